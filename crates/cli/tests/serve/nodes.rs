//! Several servers that share a broker: what guests of one hear of the others, and what they are told while the broker
//! is down.

use std::process::Stdio;

use ropeway::{Message, WebSocket};
use serde_json::Value;
use testkit::broker::{Broker, Kind, NATS, REDIS, free_port};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::program::{Serve, fails, refused};
use crate::raw;
use crate::soon::soon;

/// The URL of a broker.
fn url(kind: Kind, address: &str) -> String {
    format!("{}://{address}", kind.program.trim_end_matches("-server"))
}

async fn hear(client: &mut WebSocket) -> String {
    match soon("a message", client.recv()).await {
        Ok(Some(Message::Text(text))) => text.to_string(),
        other => panic!("the server sends text: {other:?}"),
    }
}

/// Hears messages until one is this.
async fn hear_until(client: &mut WebSocket, last: impl Fn(&str) -> bool) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        heard.push(hear(client).await);
        if last(&heard[heard.len() - 1]) {
            return heard;
        }
    }
}

async fn open(serve: &Serve, path: &str) -> WebSocket {
    ropeway::connect(&serve.url(path)).await.unwrap()
}

/// Sends messages until the other hears one: the topic is then subscribed at the broker. Returns when none is on its way.
async fn meet(one: &mut WebSocket, other: &mut WebSocket) {
    let mut number = 0;
    let text = loop {
        number += 1;
        let text = format!("meet {number}");
        one.send(text.as_str()).await.unwrap();
        assert_eq!(hear(one).await, text);
        // It is heard soon, or never.
        let heard = tokio::time::timeout(std::time::Duration::from_millis(300), other.recv()).await;
        if let Ok(Ok(Some(heard))) = heard {
            break heard.to_string();
        }
    };
    let last = format!("meet {number}");
    if text != last {
        hear_until(other, |heard| heard == last).await;
    }
}

#[tokio::test]
async fn servers_with_one_broker_share_their_topics() {
    for kind in [NATS, REDIS] {
        let broker = Broker::start(kind);
        let engine = url(kind, &broker.address());
        let (near, far) = (Serve::start(&["--engine", &engine]).await, Serve::start(&["--engine", &engine]).await);
        let by_itself = Serve::start(&[]).await;
        for path in ["broadcast", "topics/room:42", "topics/a.b%20*%3E%C3%A9"] {
            let (mut here, mut there) = (open(&near, path).await, open(&far, path).await);
            let mut stranger = open(&by_itself, path).await;
            meet(&mut here, &mut there).await;
            here.send("to all").await.unwrap();
            there.send("and back").await.unwrap();
            let (mut one, mut other) =
                ([hear(&mut here).await, hear(&mut here).await], [hear(&mut there).await, hear(&mut there).await]);
            one.sort();
            other.sort();
            assert_eq!((&one, &other), (&["and back".to_owned(), "to all".to_owned()], &one), "{engine} {path}");
            stranger.send("alone").await.unwrap();
            assert_eq!(hear(&mut stranger).await, "alone");
        }
    }
}

#[tokio::test]
async fn each_name_is_a_topic_of_its_own() {
    let serve = Serve::start(&[]).await;
    let (mut one, mut other) = (open(&serve, "topics/one").await, open(&serve, "topics/other").await);
    one.send("1").await.unwrap();
    other.send("2").await.unwrap();
    assert_eq!([hear(&mut one).await, hear(&mut other).await], ["1", "2"]);
    for (name, status, says) in
        [("%2Fchat", 400, "does not begin with a slash"), (&*"x".repeat(256), 414, "at most 255 are allowed")]
    {
        let request = raw::handshake(&format!("/topics/{name}"), &format!("Host: {}\r\n", serve.addr()));
        let (answered, body) = raw::ask(serve.addr(), &request).await;
        assert!(answered == status && body.contains(says), "{answered} {body}");
    }
}

#[tokio::test]
async fn the_chat_tells_when_the_broker_is_down_and_when_it_is_back() {
    for kind in [NATS, REDIS] {
        let mut broker = Broker::start(kind);
        let engine = url(kind, &broker.address());
        let near = Serve::start(&["--engine", &engine]).await;
        let far = Serve::start(&["--engine", &engine]).await;
        let mut bob = open(&far, "chat?name=Bob").await;
        let you = hear(&mut bob).await;
        let place = you.strip_prefix("* You are Bob @").unwrap_or_else(|| panic!("{you}")).to_owned();
        assert_eq!(hear(&mut bob).await, format!("* Bob @{place} joined (1 on @{place})"));
        let mut ada = open(&near, "chat?name=Bob").await;
        let you = hear(&mut ada).await;
        let ada_place = you.strip_prefix("* You are Bob @").unwrap_or_else(|| panic!("{you}")).to_owned();
        assert_ne!(ada_place, place, "guests of two servers have different names");
        // Both servers are subscribed once each guest has heard the other.
        let mut number = 0;
        loop {
            number += 1;
            ada.send(format!("hello {number}")).await.unwrap();
            bob.send(format!("hi {number}")).await.unwrap();
            let (own, other) = (format!("Bob @{ada_place}: hello {number}"), format!("Bob @{place}: hi {number}"));
            let wait = std::time::Duration::from_millis(500);
            let both = async {
                let mut left = 2;
                while left > 0 {
                    let heard = hear(&mut ada).await;
                    left -= usize::from(heard == own || heard == other);
                }
                let mut left = 2;
                while left > 0 {
                    let heard = hear(&mut bob).await;
                    left -= usize::from(heard == own || heard == other);
                }
            };
            if tokio::time::timeout(wait, both).await.is_ok() {
                break;
            }
        }
        broker.kill();
        for guest in [&mut ada, &mut bob] {
            let down = hear(guest).await;
            assert!(down.starts_with("* The broker is down: "), "{down}");
        }
        let mut eve = open(&near, "chat?name=Eve").await;
        let told = hear_until(&mut eve, |text| text.contains("joined")).await;
        assert!(told[1].starts_with("* The broker is down: "), "a guest that comes now is told: {told:?}");
        ada.send("does anybody hear me?").await.unwrap();
        hear_until(&mut eve, |text| text == format!("Bob @{ada_place}: does anybody hear me?")).await;
        broker.restart();
        for guest in [&mut ada, &mut eve, &mut bob] {
            let told = hear_until(guest, |text| text.starts_with("* The broker is back: ")).await;
            let gaps = told.iter().filter(|text| *text == "* Messages of other servers may be missing here").count();
            assert_eq!(gaps, 1, "{told:?}");
        }
        // Both servers are back, so each message is heard again.
        ada.send("and now?").await.unwrap();
        hear_until(&mut bob, |text| text == format!("Bob @{ada_place}: and now?")).await;
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Hears messages until one is this text. Returns its position.
async fn position_of(client: &mut WebSocket, text: &str) -> String {
    let heard = hear_until(client, |heard| json(heard)["text"] == text).await;
    json(&heard[heard.len() - 1])["position"].as_str().unwrap_or_else(|| panic!("{heard:?}")).to_owned()
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_on_any_server() {
    for kind in [Some(NATS), Some(REDIS), None] {
        let broker = kind.map(Broker::start);
        let engine = broker.as_ref().map(|broker| url(broker_kind(kind), &broker.address()));
        let mut args = vec!["--history", "5"];
        args.extend(engine.iter().flat_map(|engine| ["--engine", engine]));
        let near = Serve::start(&args).await;
        let far = if kind.is_some() { Some(Serve::start(&args).await) } else { None };
        let far = far.as_ref().unwrap_or(&near);
        let mut speaker = open(&near, "topics/news").await;
        assert_eq!(json(&hear(&mut speaker).await), serde_json::json!({ "history": 5 }));
        let begin = json(&hear(&mut speaker).await);
        assert!(begin["position"].is_string(), "it can be come back to: {begin}");
        speaker.send("1").await.unwrap();
        let place = position_of(&mut speaker, "1").await;
        speaker.send("2").await.unwrap();
        speaker.send(vec![3]).await.unwrap();
        position_of(&mut speaker, "2").await;
        let bytes = json(&hear(&mut speaker).await);
        assert_eq!(bytes["base64"], "Aw==");

        let mut back = open(far, &format!("topics/news?after={place}")).await;
        let missed = hear_until(&mut back, |text| !json(text)["recovered"].is_null()).await;
        let missed: Vec<Value> = missed.iter().map(|text| json(text)).collect();
        assert_eq!((&missed[1]["text"], &missed[2]["base64"]), (&"2".into(), &"Aw==".into()), "{missed:?}");
        assert_eq!(missed[3], serde_json::json!({ "recovered": true, "replayed": 2, "position": bytes["position"] }));

        for number in 4..=9 {
            speaker.send(number.to_string()).await.unwrap();
        }
        position_of(&mut speaker, "9").await;
        let mut late = open(far, &format!("topics/news?after={place}")).await;
        hear(&mut late).await;
        let lost = json(&hear(&mut late).await);
        assert_eq!((&lost["recovered"], &lost["replayed"]), (&false.into(), &0.into()), "nothing by halves");
        let mut mistaken = open(far, "topics/news?after=yesterday").await;
        hear(&mut mistaken).await;
        let told = hear(&mut mistaken).await;
        assert!(told.contains("this is not a position"), "{told}");
    }
}

fn broker_kind(kind: Option<Kind>) -> Kind {
    kind.expect("there is a broker")
}

#[tokio::test]
async fn an_engine_that_cannot_be_used_is_named_with_what_to_do() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let nats = Broker::with_settings(NATS, "authorization { user: chat, password: secret }");
    let redis = Broker::with_settings(REDIS, "requirepass secret");
    let [to_nats, to_redis] = [nats.address(), redis.address()];
    for (engine, code, says) in [
        (format!("nats://{nobody}"), 1, "cannot be reached"),
        (format!("redis://{nobody}"), 1, "cannot be reached"),
        (format!("nats://{to_redis}"), 1, "did not greet as a NATS server"),
        (format!("redis://{to_nats}"), 1, "redis://"),
        (format!("nats://chat:wrong@{to_nats}"), 1, "refused the credentials"),
        (format!("redis://:wrong@{to_redis}"), 1, "password"),
        (format!("http://:wrong@{nobody}"), 64, "begin with http://; use nats:// or tls:// for NATS; redis://"),
        ("127.0.0.1:4222".to_owned(), 64, "such as nats://127.0.0.1:4222"),
        ("redis://:wrong@127.0.0.1/x".to_owned(), 64, "--engine cannot be used: "),
    ] {
        let (exit, said) = fails(&["--engine", &engine]).await;
        assert!(exit == Some(code) && said.contains(says) && !said.contains("wrong@"), "{engine}: {exit:?} {said}");
    }
    let said = refused(&["--engine-cacert", "authority.pem"]).await;
    assert!(said.contains("--engine <URL>"), "{said}");
    let said = refused(&["--engine", "nats://127.0.0.1", "--engine-cacert", "/nowhere.pem"]).await;
    assert!(said.contains("/nowhere.pem"), "{said}");
}

#[tokio::test]
async fn a_broker_with_a_private_authority_is_reached_with_tls_and_a_password() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let files = [("server.pem", &*certificate.pem()), ("server.key", &*key.serialize_pem())];
    let nats = Broker::with_files(
        NATS,
        "tls { cert_file: \"FOLDER/server.pem\", key_file: \"FOLDER/server.key\" }\n\
         authorization { user: chat, password: secret }",
        &files,
    );
    let engine = format!("tls://chat:secret@localhost:{}", nats.port());
    let authority = nats.folder().join("server.pem");
    let serve = Serve::start(&["--engine", &engine, "--engine-cacert", authority.to_str().unwrap()]).await;
    let mut client = open(&serve, "topics/secure").await;
    client.send("hello").await.unwrap();
    assert_eq!(hear(&mut client).await, "hello");
    let (exit, said) = fails(&["--engine", &engine]).await;
    assert!(exit == Some(1) && said.contains("TLS") && said.contains("--engine-cacert"), "{exit:?} {said}");
}

#[tokio::test]
async fn the_log_says_that_the_broker_is_down_without_the_password() {
    let mut broker = Broker::with_settings(NATS, "authorization { user: chat, password: secret }");
    let engine = format!("nats://chat:secret@{}", broker.address());
    let mut serve = Serve::start_with(&["--engine", &engine], Stdio::piped()).await;
    let mut log = BufReader::new(serve.child.stderr.take().unwrap()).lines();
    broker.kill();
    loop {
        let line = soon("word of the broker in the log", log.next_line()).await.unwrap().expect("it goes on");
        assert!(!line.contains("secret"), "{line}");
        if line.contains("the engine of topics is down") {
            return;
        }
    }
}
