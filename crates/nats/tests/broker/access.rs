//! Credentials, certificates and permissions.

use std::net::TcpListener;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ropeway::engine::{Engine as _, EngineFault, Inlet};
use ropeway_nats::Nats;
use ropeway_nats::rustls::pki_types::{CertificateDer, pem::PemObject};
use testkit::broker::{Broker, NATS};

use tokio::time::timeout;

use crate::{assert_says, connected, engine, heard, publish, refused, subscribe, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_needed_and_wrong_ones_are_refused() {
    let broker = Broker::with_settings(NATS, "authorization { user: chat, password: 's cret/1' }");
    let address = broker.address();
    let plain = || engine(&format!("nats://{address}"));
    connected(&plain().password("chat", "s cret/1")).await;
    connected(&engine(&format!("nats://chat:s%20cret%2F1@{address}"))).await;
    for engine in [plain(), plain().password("chat", "wrong"), plain().token("s cret/1")] {
        let error = refused(&engine).await;
        assert_eq!(error.fault(), EngineFault::Access, "{error}");
        assert_says(&error, &[&address, "check the user and password"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_needed_and_wrong_ones_are_refused() {
    let broker = Broker::with_settings(NATS, "authorization { token: 't0ken' }");
    let address = broker.address();
    connected(&engine(&format!("nats://{address}")).token("t0ken")).await;
    connected(&engine(&format!("nats://t0ken@{address}"))).await;
    let error = refused(&engine(&format!("nats://wrong@{address}"))).await;
    assert_eq!(error.fault(), EngineFault::Access, "{error}");
    assert!(!error.to_string().contains("wrong@"), "no credentials are shown: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey_is_needed_and_wrong_ones_are_refused() {
    let user = nkeys::KeyPair::new_user();
    let broker =
        Broker::with_settings(NATS, &format!("authorization {{ users: [{{ nkey: {} }}] }}", user.public_key()));
    let plain = || engine(&format!("nats://{}", broker.address()));
    connected(&plain().nkey(user.seed().expect("a seed"))).await;
    let other = nkeys::KeyPair::new_user().seed().expect("a seed");
    assert_eq!(refused(&plain().nkey(other)).await.fault(), EngineFault::Access);
    let error = refused(&plain().nkey("no seed")).await;
    assert_eq!(error.fault(), EngineFault::Settings, "{error}");
    let error = refused(&plain().credentials("no file")).await;
    assert_eq!(error.fault(), EngineFault::Settings, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_private_authority_is_accepted_if_that_is_trusted() {
    let mut authority = CertificateParams::new([]).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority_pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).expect("names");
    let server = server.signed_by(&key, &issuer).expect("a certificate");
    let settings = "tls { cert_file: 'FOLDER/server.pem', key_file: 'FOLDER/server.key' }";
    let files = [("server.pem", server.pem()), ("server.key", key.serialize_pem())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let broker = Broker::with_files(NATS, settings, &files);
    let trusted = CertificateDer::from_pem_slice(authority_pem.as_bytes()).expect("PEM");
    for scheme in ["tls", "nats"] {
        let url = format!("{scheme}://{}", broker.address());
        let (session, mut arrivals) = connected(&engine(&url).trust([trusted.clone()])).await;
        subscribe(&session, "room").await.expect("it is allowed");
        publish(&session, "room", "secretly", None).await.expect("it is allowed");
        assert_eq!(heard(&mut arrivals).await, "secretly");
        let error = refused(&engine(&url)).await;
        assert_eq!(error.fault(), EngineFault::Access, "{error}");
        assert_says(&error, &["TLS", "Nats::trust"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_server_that_has_none_is_told() {
    let broker = Broker::start(NATS);
    let error = refused(&engine(&format!("tls://{}", broker.address()))).await;
    assert_eq!(error.fault(), EngineFault::Access, "{error}");
    assert_says(&error, &["write nats:// instead of tls://"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_for_the_prefix_are_enough_without_history_and_are_needed() {
    let settings =
        "authorization { users: [{ user: a, password: a, permissions: { publish: 'chat.>', subscribe: 'chat.>' } }] }";
    let broker = Broker::with_settings(NATS, settings);
    let plain = || engine(&format!("nats://a:a@{}", broker.address()));
    let (session, mut arrivals) = connected(&plain().prefix("chat")).await;
    subscribe(&session, "room").await.expect("it is allowed");
    publish(&session, "room", "hello", None).await.expect("it is allowed");
    assert_eq!(heard(&mut arrivals).await, "hello");
    let error = refused(&plain()).await;
    assert_eq!(error.fault(), EngineFault::Access, "{error}");
    assert_says(&error, &["let this user publish and subscribe to `rw.>`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_with_different_prefixes_do_not_hear_each_other() {
    let broker = Broker::start(NATS);
    let url = format!("nats://{}", broker.address());
    let (a, mut heard_by_a) = connected(&engine(&url).prefix("a")).await;
    let (b, mut heard_by_b) = connected(&engine(&url).prefix("b")).await;
    for session in [&a, &b] {
        subscribe(session, "room").await.expect("it is allowed");
    }
    publish(&a, "room", "from a", None).await.expect("it is allowed");
    publish(&b, "room", "from b", None).await.expect("it is allowed");
    assert_eq!(heard(&mut heard_by_a).await, "from a");
    assert_eq!(heard(&mut heard_by_b).await, "from b");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used_is_a_fault_of_the_settings() {
    for (engine, words) in [
        (Nats::connect_to("http://127.0.0.1:4222"), ["http", "nats://HOST:PORT"]),
        (Nats::connect_to("nats://127.0.0.1:4222").prefix("a b"), ["a b", "letters, digits"]),
        (Nats::connect_to("nats://127.0.0.1:4222").replicas(7), ["7", "write 1, 3 or 5"]),
    ] {
        let error = refused(&engine).await;
        assert_eq!(error.fault(), EngineFault::Settings, "{error}");
        assert_says(&error, &words);
    }
    let error = refused(&engine("nats://no-such-host.invalid:4222")).await;
    assert_eq!(error.fault(), EngineFault::Unreachable, "{error}");
    assert_says(&error, &["no-such-host.invalid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_early_gets_past_silent_servers() {
    let silent = [TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0")];
    let silent = silent.map(|listener| listener.expect("a port is free"));
    let url = |listener: &TcpListener| format!("nats://{}", listener.local_addr().expect("it has an address"));
    let broker = Broker::start(NATS);
    let engine = Nats::connect_to(url(&silent[0])).or(url(&silent[1])).or(format!("nats://{}", broker.address()));
    let mut attempts = 0;
    loop {
        let (inlet, _arrivals) = Inlet::new(1);
        attempts += 1;
        // Less than the engine's own limit for one server.
        match timeout(Duration::from_secs(2), engine.connect(inlet)).await {
            Ok(session) => break drop(session.expect("the third server is a broker")),
            Err(_elapsed) => assert!(attempts < 9, "the third server is never tried"),
        }
    }
    // From now on that one is the first.
    within("connecting", engine.connect(Inlet::new(1).0)).await.expect("the third server is a broker");
}
