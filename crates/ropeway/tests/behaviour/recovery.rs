//! Subscribers that come back: they are sent all that they missed, or nothing of it.

use ropeway::{Client, Connection, Handle, Handler, Handshake, History, Position, Server, Topic, Topics, WebSocket};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::broker::Broker;
use super::eventually::{eventually, within};
use super::topics::heard;

/// Passes on a handle to each connection.
struct Doorman(mpsc::UnboundedSender<Handle>);

impl Handler for Doorman {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        self.0.send(ws.handle()).expect("the test waits for it");
    }
}

/// A client, and the server's handle to its connection. Over TCP it is on an event loop, otherwise a task.
async fn connect(tcp: bool) -> (WebSocket, Handle) {
    let (sender, mut handles) = mpsc::unbounded_channel();
    let server = Server::builder().build();
    server.handle_with(Doorman(sender));
    let client = if tcp {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move { server.serve(listener).await });
        Client::new().connect(&url).await.expect("a connection")
    } else {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move { server.serve_stream(ropeway::Transport::other(far), None).await });
        Client::new().connect("ws://localhost/").over(ropeway::Transport::other(near)).await.expect("a connection")
    };
    (client, within("a handle", handles.recv()).await.expect("it is open"))
}

fn publish(topic: &Topic, texts: &[&str]) {
    for text in texts {
        topic.publish(*text).expect("room");
    }
}

/// The last position that a client could have.
fn position(topic: &Topic) -> Position {
    topic.position().expect("there is history")
}

async fn hears(client: &mut WebSocket, texts: &[&str]) {
    for text in texts {
        assert_eq!(within("a message", heard(client)).await, *text);
    }
}

#[tokio::test]
async fn a_subscriber_is_sent_exactly_what_it_missed() {
    for tcp in [true, false] {
        let topics = Topics::builder().history(History::last(3)).build();
        let topic = topics.topic("room").expect("a short name");
        let start = position(&topic);
        publish(&topic, &["a", "b"]);
        let (mut client, ws) = connect(tcp).await;
        let recovery = ws.subscribe_from(&topic, start).await;
        assert_eq!((recovery.recovered, recovery.replayed), (true, 2));
        assert_eq!(recovery.position, topic.position());
        publish(&topic, &["c"]);
        hears(&mut client, &["a", "b", "c"]).await;
        drop((client, ws));

        let left = position(&topic);
        publish(&topic, &["d", "e", "f", "g"]);
        let (mut client, ws) = connect(tcp).await;
        let recovery = ws.subscribe_from(&topic, left).await;
        assert_eq!((recovery.recovered, recovery.replayed), (false, 0), "d is no longer kept");
        publish(&topic, &["h"]);
        hears(&mut client, &["h"]).await;

        let (_other, ws) = connect(tcp).await;
        let foreign = Position::new(left.epoch.wrapping_add(1), left.offset);
        assert!(!ws.subscribe_from(&topic, foreign).await.recovered);
        let anonymous = ws.subscribe_from(&Topic::new(), left).await;
        assert_eq!((anonymous.recovered, anonymous.position), (false, None));
    }
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_while_others_publish() {
    for tcp in [true, false] {
        let topics = Topics::builder().history(History::last(100_000)).build();
        let topic = topics.topic("room").expect("a short name");
        let start = position(&topic);
        let publisher = std::thread::spawn({
            let topic = topic.clone();
            move || {
                for count in 0..5000 {
                    while topic.publish(format!("{count}")).is_err() {
                        std::thread::yield_now();
                    }
                }
            }
        });
        for _ in 0..10 {
            let (mut client, ws) = connect(tcp).await;
            assert!(ws.subscribe_from(&topic, start).await.recovered);
            for count in 0..100 {
                assert_eq!(within("a message", heard(&mut client)).await, count.to_string());
            }
        }
        publisher.join().expect("no panic");
    }
}

#[tokio::test]
async fn with_an_engine_a_node_that_never_heard_the_topic_replays_it() {
    for tcp in [true, false] {
        let broker = Broker::default();
        let node = || Topics::builder().history(History::last(10)).connect(broker.clone());
        let one = within("a connection", node()).await.expect("the broker is up");
        let topic = one.topic("room").expect("a short name");
        publish(&topic, &["a", "b", "c"]);
        eventually("three messages", || broker.published() == 3).await;
        let two = within("a connection", node()).await.expect("the broker is up");
        let there = two.topic("room").expect("a short name");
        let (mut client, ws) = connect(tcp).await;
        let recovery = within("a replay", ws.subscribe_from(&there, Position::new(0, 1))).await;
        assert_eq!((recovery.recovered, recovery.replayed), (true, 2));
        publish(&topic, &["d"]);
        hears(&mut client, &["b", "c", "d"]).await;
        let (_other, ws) = connect(tcp).await;
        let recovery = within("a replay", ws.subscribe_from(&there, Position::new(7, 1))).await;
        assert_eq!((recovery.recovered, recovery.replayed), (false, 0), "another epoch");
    }
}

#[tokio::test]
async fn a_topic_is_forgotten_with_its_last_message() {
    tokio::time::pause();
    let history = History::last(3).for_at_most(std::time::Duration::from_secs(10));
    let topics = Topics::builder().history(history).build();
    let topic = topics.topic("room").expect("a short name");
    drop(topic);
    assert!(topics.is_empty(), "it kept nothing");
    let topic = topics.topic("room").expect("a short name");
    publish(&topic, &["a"]);
    let end = position(&topic);
    drop(topic);
    assert_eq!(topics.len(), 1);
    assert_eq!(topics.topic("room").expect("a short name").position(), Some(end));
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    let others: Vec<_> = (0..100).map(|number| topics.topic(number.to_string()).expect("a short name")).collect();
    assert_eq!(topics.len(), others.len(), "it was found to be old as others were made");
}
