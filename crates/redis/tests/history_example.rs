//! The example `history`, started on two ports: a client whose server is killed comes back to the other one and misses
//! nothing.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ropeway::{Message, WebSocket};
use serde_json::{Value, json};
use testkit::broker::{Broker, REDIS};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Each wait ends after this long.
const LIMIT: Duration = Duration::from_secs(60);

struct Node {
    url: String,
    program: Child,
}

impl Node {
    async fn start(broker: &Broker) -> Self {
        let test = std::env::current_exe().expect("the test has a path");
        let profile: PathBuf = test.ancestors().nth(2).expect("it is in target/<profile>/deps").into();
        let mut command = Command::new(profile.join("examples/history"));
        command.args(["127.0.0.1:0", &format!("redis://{}", broker.address())]);
        let mut program = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the example is built by `cargo test -p ropeway-redis`, but not with `--test`");
        let mut printed = BufReader::new(program.stdout.take().expect("it is piped")).lines();
        let line = timeout(LIMIT, printed.next_line()).await.expect("it starts in time").expect("text");
        let line = line.expect("it prints its URL");
        let url = line.strip_prefix("open http://").unwrap_or_else(|| panic!("{line}"));
        Self { url: format!("ws://{url}"), program }
    }

    async fn open(&self, query: &str) -> WebSocket {
        ropeway::connect(&format!("{}{query}", self.url)).await.expect("it serves")
    }
}

async fn hear(ws: &mut WebSocket) -> Value {
    match timeout(LIMIT, ws.recv()).await.expect("a message comes in time") {
        Ok(Some(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("a text was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_client_whose_server_is_killed_misses_nothing_at_the_other() {
    let broker = Broker::start(REDIS);
    let (mut near, far) = (Node::start(&broker).await, Node::start(&broker).await);
    let (mut client, mut other) = (near.open("").await, far.open("").await);
    assert!(hear(&mut client).await["position"].is_string(), "a place to come back to");
    hear(&mut other).await;
    client.send("1").await.unwrap();
    let first = hear(&mut client).await;
    assert_eq!(first["text"], "1");

    near.program.kill().await.expect("it can be killed");
    for text in ["2", "3"] {
        other.send(text).await.unwrap();
    }
    // It is in the history once it comes back from Redis.
    while hear(&mut other).await["text"] != "3" {}
    let position = first["position"].as_str().expect("Redis is up");
    let mut client = far.open(&format!("?after={position}")).await;
    assert_eq!([hear(&mut client).await["text"].clone(), hear(&mut client).await["text"].clone()], ["2", "3"]);
    assert_eq!(hear(&mut client).await, json!({ "recovered": true }));
    client.send("4").await.unwrap();
    assert_eq!(hear(&mut client).await["text"], "4");

    // A position of another history.
    let mut stranger = far.open("?after=1-1").await;
    assert_eq!(hear(&mut stranger).await, json!({ "recovered": false }));
}
