//! Servers that cannot be used, and errors that say what to do.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ropeway::History;
use ropeway::engine::{Engine, EngineFault};
use ropeway::rustls::pki_types::CertificateDer;
use ropeway_redis::Redis;
use testkit::broker::{Broker, REDIS, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::node::{Node, command, engine, refused};

/// Connecting fails with this fault, and a text with these words.
async fn refuses(engine: Redis, fault: EngineFault, words: &[&str]) {
    let error = refused(engine).await;
    assert_eq!(error.fault(), fault, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in {error}");
    }
    assert!(!error.to_string().contains("secret"), "{error}");
}

/// A server that answers the first bytes with others, and then does nothing or closes.
async fn imposter(answer: &'static [u8], closes: bool) -> Redis {
    scripted(&[answer], closes).await
}

/// A server that answers as it is told, each time after some bytes, and then does nothing or closes.
async fn scripted(answers: &[&'static [u8]], closes: bool) -> Redis {
    let answers = answers.to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answers = answers.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                for answer in answers {
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(answer).await;
                }
                while !closes && stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
            });
        }
    });
    Redis::connect_to(format!("redis://127.0.0.1:{port}")).timeout(Duration::from_millis(500))
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told() {
    let at = |url: &str| Redis::connect_to(url);
    refuses(at("127.0.0.1:6379"), EngineFault::Settings, &["redis://127.0.0.1:6379"]).await;
    refuses(at("http://:secret@host"), EngineFault::Settings, &["http:", "redis://127.0.0.1:6379"]).await;
    refuses(at("redis://127.0.0.1").prefix("a{b}"), EngineFault::Settings, &["prefix", "brace"]).await;
    refuses(Redis::cluster([""; 0]), EngineFault::Settings, &["at least one"]).await;
    assert_eq!(at("redis://:secret@127.0.0.1").address(), "redis://127.0.0.1:6379");
    let broker = Broker::start(REDIS);
    let url = format!("redis://{}/99", broker.address());
    refuses(at(&url), EngineFault::Settings, &["no such database"]).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    refuses(Redis::connect_to(url), EngineFault::Unreachable, &["cannot be reached", "check that Redis runs"]).await;
    refuses(Redis::connect_to("redis://host.invalid"), EngineFault::Unreachable, &["host.invalid"]).await;
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let broker = Broker::with_settings(REDIS, "user default off\nuser rope on >secret allcommands allkeys allchannels");
    let at = |credentials: &str| Redis::connect_to(format!("redis://{credentials}{}", broker.address()));
    refuses(at("rope:wrong-secret@"), EngineFault::Access, &["refused the user name or the password"]).await;
    refuses(at("other:secret@"), EngineFault::Access, &["refused the user name or the password"]).await;
    refuses(at(""), EngineFault::Access, &["asks for a password"]).await;
    Node::of(at("rope:secret@")).await;
    Node::of(at("").password("rope", "secret")).await;
    let broker = Broker::with_settings(REDIS, "requirepass secret");
    let at = |credentials: &str| Redis::connect_to(format!("redis://{credentials}{}", broker.address()));
    refuses(at(""), EngineFault::Access, &["asks for a password"]).await;
    refuses(at(":wrong-secret@"), EngineFault::Access, &["refused the user name or the password"]).await;
    Node::of(at(":secret@")).await;
}

/// The commands, channels and keys that the README lists.
pub(crate) const ALLOWED: &str = "user rope on >secret resetchannels &rw{* resetkeys ~rw{* -@all +publish +subscribe +unsubscribe +ping \
                       +info +eval +evalsha +time +hmget +hset +hincrby +hdel +del +xadd +xdel +xrange +pexpire +pexpireat \
                       +zadd +zrem +zrangebyscore +zrevrange";

#[tokio::test]
async fn a_user_with_the_rights_that_are_listed_can_do_all() {
    let readme = include_str!("../../README.md").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let listed = ALLOWED.split_once("resetchannels ").expect("the rights").1;
    assert!(readme.contains(listed), "the README lists other rights than {listed}");
    let broker = Broker::with_settings(REDIS, ALLOWED);
    let mut node = Node::of(engine(&broker).password("rope", "secret")).await;
    node.subscribe(&["a"]).await.unwrap();
    node.publish(None, &[("a", "x")]).await.unwrap();
    assert_eq!(node.message().await.1, "x");
    let history = History::last(1);
    node.publish(Some(history), &[("a", "1"), ("a", "2")]).await.unwrap();
    for expected in ["1", "2"] {
        assert_eq!(node.placed().await.1, expected);
    }
    node.session.replay(&crate::node::name("a"), history, None).await.unwrap();
    let members = [crate::presence::member("a", "key", "value")];
    node.session.join(&members, Duration::from_secs(60)).await.unwrap();
    assert_eq!(node.session.members(&crate::node::name("a")).await.unwrap(), members);
    node.session.leave(&members).await.unwrap();
    node.unsubscribe(&["a"]).await.unwrap();
}

#[tokio::test]
async fn what_a_user_may_not_do_is_refused_and_the_session_goes_on() {
    let rights = "user rope on >secret resetchannels &rw{:a* resetkeys ~rw{:a* +@all -info -hset";
    let broker = Broker::with_settings(REDIS, rights);
    let mut node = Node::of(engine(&broker).password("rope", "secret")).await;
    let mut errors = vec![
        node.publish(None, &[("b", "x")]).await,
        node.subscribe(&["b", "a"]).await,
        node.session.join(&[crate::presence::member("a", "key", "value")], Duration::from_secs(60)).await,
    ];
    for error in errors.drain(..) {
        let error = error.expect_err("it is not allowed");
        assert_eq!(error.fault(), EngineFault::Refused, "{error}");
        assert!(error.to_string().contains("ACL SETUSER"), "{error}");
    }
    let error = node.publish(Some(History::last(1)), &[("a", "x")]).await.expect_err("there is no INFO");
    assert_eq!(error.fault(), EngineFault::Refused);
    assert!(error.to_string().contains("+info"), "{error}");
    // The subscription beside the refused one was made.
    node.publish(None, &[("a", "x")]).await.unwrap();
    assert_eq!(node.message().await.1, "x");
}

#[tokio::test]
async fn a_full_server_refuses_history_and_the_session_goes_on() {
    let broker = Broker::start(REDIS);
    let mut node = Node::on(&broker).await;
    node.subscribe(&["a"]).await.unwrap();
    command(&broker.address(), &["CONFIG", "SET", "maxmemory", "1"]);
    let error = node.publish(Some(History::last(1)), &[("a", "x")]).await.expect_err("it is full");
    assert_eq!(error.fault(), EngineFault::Refused);
    assert!(error.to_string().contains("memory is full"), "{error}");
    node.publish(None, &[("a", "y")]).await.unwrap();
    assert_eq!(node.message().await.1, "y");
}

#[tokio::test]
async fn a_server_of_another_kind_is_told() {
    let is_not_redis = EngineFault::WrongBroker;
    refuses(
        imposter(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await,
        is_not_redis,
        &["protocol of Redis", "rediss://"],
    )
    .await;
    refuses(imposter(b"\x15\x03\x01\x00\x02\x02\x46", true).await, is_not_redis, &["rediss://"]).await;
    refuses(imposter(b"", true).await, is_not_redis, &["closed the connection", "not Redis"]).await;
    refuses(imposter(b"", false).await, EngineFault::Unreachable, &["did not answer within 500ms"]).await;
    let old = b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n-ERR x\r\n-ERR x\r\n";
    refuses(imposter(old, false).await, is_not_redis, &["older than Redis 6"]).await;
    let old = b"-ERR unknown command 'HELLO'\r\n-ERR x\r\n-ERR x\r\n";
    refuses(imposter(old, false).await, is_not_redis, &["older than Redis 6"]).await;
    let denied = b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n";
    refuses(imposter(denied, true).await, EngineFault::Access, &["protected mode"]).await;
    // The answers to HELLO, and then to HELLO and five more.
    let hello = b"%1\r\n+role\r\n+master\r\n";
    let loading =
        b"%1\r\n+role\r\n+master\r\n-LOADING Redis is loading the dataset in memory\r\n+a\r\n+b\r\n+c\r\n+d\r\n";
    let engine = scripted(&[hello, loading], false).await;
    refuses(engine, EngineFault::Unreachable, &["not ready yet", "LOADING"]).await;
    let full = b"-ERR max number of clients reached\r\n";
    refuses(imposter(full, true).await, EngineFault::Unreachable, &["maxclients"]).await;
}

#[tokio::test]
async fn a_server_of_another_mode_is_told() {
    let broker = Broker::with_settings(REDIS, "cluster-enabled yes");
    refuses(engine(&broker), EngineFault::WrongBroker, &["Redis::cluster"]).await;
    let broker = Broker::start(REDIS);
    let cluster = Redis::cluster([format!("redis://{}", broker.address())]);
    refuses(cluster, EngineFault::WrongBroker, &["Redis::connect_to"]).await;
}

#[tokio::test]
async fn tls_with_a_private_authority() {
    let issuer_key = KeyPair::generate().unwrap();
    let mut issuer = CertificateParams::new(Vec::new()).unwrap();
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = issuer.self_signed(&issuer_key).unwrap();
    let (authority, issuer_pem) = (authority.der().clone(), authority.pem());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &Issuer::new(issuer, issuer_key)).unwrap().pem();
    let port = free_port();
    let settings = format!(
        "tls-port {port}\ntls-cert-file FOLDER/cert.pem\ntls-key-file FOLDER/key.pem\ntls-ca-cert-file FOLDER/ca.pem\n\
         tls-auth-clients no"
    );
    let files = [("cert.pem", certificate.as_str()), ("key.pem", &key.serialize_pem()), ("ca.pem", &issuer_pem)];
    let broker = Broker::with_files(REDIS, &settings, &files);
    let at = |scheme: &str, port: u16| Redis::connect_to(format!("{scheme}://127.0.0.1:{port}"));

    let mut node = Node::of(at("rediss", port).trust([authority])).await;
    node.subscribe(&["a"]).await.unwrap();
    node.publish(None, &[("a", "x")]).await.unwrap();
    assert_eq!(node.message().await.1, "x");

    refuses(at("rediss", port), EngineFault::Access, &["TLS", "`trust`"]).await;
    let no_certificate = CertificateDer::from(b"x".to_vec());
    refuses(at("rediss", port).trust([no_certificate]), EngineFault::Settings, &["cannot be used"]).await;
    refuses(at("rediss", port).trust([]), EngineFault::Settings, &["no certificate"]).await;
    refuses(at("redis", port), EngineFault::WrongBroker, &["rediss://"]).await;
    let limit = Duration::from_millis(500);
    refuses(at("rediss", broker.port()).timeout(limit), EngineFault::Access, &["TLS", "redis://"]).await;
}
