//! The example `chat_topics`, started twice: two servers are one chat, and tell when the broker is down and back.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ropeway::{Message, WebSocket};
use testkit::broker::{Broker, NATS};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Each wait ends after this long.
const LIMIT: Duration = Duration::from_secs(60);

struct Node {
    printed: Lines<BufReader<ChildStdout>>,
    /// It is killed with the test.
    _program: Child,
}

impl Node {
    fn start(broker: &Broker) -> Self {
        let test = std::env::current_exe().expect("the test has a path");
        let profile: PathBuf = test.ancestors().nth(2).expect("it is in target/<profile>/deps").into();
        let mut command = Command::new(profile.join("examples/chat_topics"));
        command.args(["127.0.0.1:0", &format!("nats://{}", broker.address())]);
        let mut program = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the example is built by `cargo test -p ropeway-nats`, but not with `--test`");
        let printed = BufReader::new(program.stdout.take().expect("it is piped")).lines();
        Self { printed, _program: program }
    }

    /// The rest of the line that begins with this.
    async fn line(&mut self, beginning: &str) -> String {
        let line = async {
            loop {
                let line = self.printed.next_line().await.expect("text").expect("it runs on");
                if let Some(rest) = line.strip_prefix(beginning) {
                    return rest.to_owned();
                }
            }
        };
        timeout(LIMIT, line).await.unwrap_or_else(|_| panic!("{beginning:?} was not printed in time"))
    }

    async fn enter(&mut self, room: &str) -> WebSocket {
        let url = self.line("open http://").await;
        let mut ws = ropeway::connect(&format!("ws://{url}rooms/{room}")).await.expect("it serves");
        assert_eq!(hear(&mut ws).await, "* you hear all servers");
        ws
    }
}

async fn hear(ws: &mut WebSocket) -> String {
    match timeout(LIMIT, ws.recv()).await.expect("a message comes in time") {
        Ok(Some(Message::Text(text))) => text.to_string(),
        other => panic!("a text was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn two_servers_are_one_chat() {
    let mut broker = Broker::start(NATS);
    let (mut near, mut far) = (Node::start(&broker), Node::start(&broker));
    let (mut ada, mut bob) = (near.enter("a%20*").await, far.enter("a%20*").await);
    ada.send("hello").await.unwrap();
    assert_eq!([hear(&mut ada).await, hear(&mut bob).await], ["hello", "hello"]);

    broker.kill();
    near.line("the broker is down: ").await;
    far.line("the broker is down: ").await;
    bob.send("alone").await.unwrap();
    assert_eq!(hear(&mut bob).await, "alone");
    broker.restart();
    near.line("the broker is up").await;
    far.line("the broker is up").await;
    bob.send("together again").await.unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|text| text != "together again") {
        heard.push(hear(&mut ada).await);
    }
    // The other server's outbox is heard if this server was back before it.
    assert_eq!(heard[0], "* messages of other servers may be missing here", "{heard:?}");
}
