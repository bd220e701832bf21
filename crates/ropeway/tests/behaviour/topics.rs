//! Topics: which subscribers get a message, in which order, and for how long. Over TCP connections are on event loops,
//! over other streams they are tasks.

use std::time::Duration;

use ropeway::deflate::Options;
use ropeway::{Client, Connection, Handler, Handshake, MessageRef, Prepared, Server, ServerBuilder, Topic, WebSocket};
use tokio::net::TcpListener;

use super::eventually::eventually;

/// Publishes its clients' messages. A client that sends "leave" or "come" does so, one that sends "quit" is closed, a
/// message that begins with "echo" goes back to its sender alone, and one that begins with "others" to all but its
/// sender, with their number in front.
struct Hall {
    topic: Topic,
}

impl Handler for Hall {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        ws.subscribe(&self.topic);
    }

    fn on_message(&self, ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        match message.as_text() {
            Some("leave") => ws.unsubscribe(&self.topic),
            Some("come") => drop(ws.subscribe(&self.topic)),
            Some("quit") => ws.terminate(),
            Some(text) if text.starts_with("others") => {
                let id = ws.id();
                let count = self.topic.publish_except(id, text).expect("room").local;
                self.topic.publish_except(id, format!("{count} heard it")).expect("room");
                ws.send(format!("{count} others")).expect("an answer finds room");
            }
            Some(text) if text.starts_with("echo") => ws.send(text).expect("an answer finds room"),
            _ => drop(self.topic.publish(message)),
        }
    }
}

/// A server whose clients subscribe to a topic.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) topic: Topic,
    url: Option<String>,
}

impl House {
    /// A house with clients over TCP, or over streams in memory.
    async fn new(tcp: bool) -> Self {
        Self::with(Server::builder(), tcp).await
    }

    async fn with(server: ServerBuilder, tcp: bool) -> Self {
        Self::serving(server, tcp, |server, topic| server.handle_with(Hall { topic })).await
    }

    /// Serves the topic with `serve`.
    pub(crate) async fn serving(server: ServerBuilder, tcp: bool, serve: impl FnOnce(&Server, Topic)) -> Self {
        let server = server.build();
        let topic = Topic::new();
        serve(&server, topic.clone());
        let mut url = None;
        if tcp {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            url = Some(format!("ws://{}/", listener.local_addr().expect("an address")));
            tokio::spawn({
                let server = server.clone();
                async move { server.serve(listener).await }
            });
        }
        Self { server, topic, url }
    }

    pub(crate) async fn client(&self) -> WebSocket {
        self.admit(Client::new()).await
    }

    pub(crate) async fn admit(&self, client: Client) -> WebSocket {
        if let Some(url) = &self.url {
            return client.connect(url).await.expect("a connection");
        }
        let (near, far) = tokio::io::duplex(1 << 16);
        let server = self.server.clone();
        tokio::spawn(async move { server.serve_stream(ropeway::Transport::other(far), None).await });
        let stream = ropeway::Transport::other(near);
        client.connect("ws://localhost/").over(stream).await.expect("a connection")
    }

    /// Waits until this many are subscribed, since the server learns of a client's action some time later.
    pub(crate) async fn until(&self, count: usize) {
        eventually(&format!("{count} subscribers"), || self.topic.len() == count).await;
    }
}

pub(crate) async fn heard(client: &mut WebSocket) -> String {
    client.recv().await.expect("no error").expect("a message").as_text().expect("a text").to_owned()
}

#[tokio::test]
async fn everyone_hears_everything_in_order_the_publisher_too() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(house.client().await);
        }
        house.until(20).await;
        for count in 0..10 {
            clients[3].send(format!("news {count}")).await.expect("it is open");
        }
        for client in &mut clients {
            for count in 0..10 {
                assert_eq!(heard(client).await, format!("news {count}"));
            }
        }
    }
}

#[tokio::test]
async fn a_message_may_leave_out_one_subscriber_which_is_not_counted() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        let mut clients = [house.client().await, house.client().await, house.client().await];
        house.until(3).await;
        clients[1].send("others hear this").await.expect("it is open");
        clients[1].send("all").await.expect("it is open");
        for index in [0, 2] {
            assert_eq!(heard(&mut clients[index]).await, "others hear this", "over TCP: {tcp}");
            assert_eq!(heard(&mut clients[index]).await, "2 heard it");
            assert_eq!(heard(&mut clients[index]).await, "all");
        }
        assert_eq!(heard(&mut clients[1]).await, "2 others");
        assert_eq!(heard(&mut clients[1]).await, "all");
        // A sender that is not subscribed is no subscriber less.
        clients[1].send("leave").await.expect("it is open");
        clients[1].send("others again").await.expect("it is open");
        assert_eq!(heard(&mut clients[1]).await, "2 others");
        clients[1].send("come").await.expect("it is open");
        clients[1].send("others at last").await.expect("it is open");
        assert_eq!(heard(&mut clients[1]).await, "2 others");
        for index in [0, 2] {
            for expected in ["others again", "2 heard it", "others at last", "2 heard it"] {
                assert_eq!(heard(&mut clients[index]).await, expected, "over TCP: {tcp}");
            }
        }
    }
}

#[tokio::test]
async fn a_message_that_leaves_one_out_waits_for_room_as_others_do() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        let mut client = house.client().await;
        house.until(1).await;
        let (own, other) = (client.id(), house.server.clients()[0].id());
        assert_ne!(own, other, "the two ends of a connection");
        let others = |published: Result<ropeway::Published, _>| published.expect("room").local;
        assert_eq!(others(house.topic.publish_except_wait(other, "not for it").await), 0);
        assert_eq!(others(house.topic.publish_except_wait(own, "for it").await), 1);
        assert_eq!(heard(&mut client).await, "for it");
    }
}

#[tokio::test]
async fn a_message_reaches_earlier_subscribers_once_and_later_ones_not_at_all() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        house.topic.publish("too early").expect("room");
        let mut first = house.client().await;
        house.until(1).await;
        house.topic.publish("first").expect("room");
        let mut second = house.client().await;
        house.until(2).await;
        house.topic.publish("second").expect("room");
        assert_eq!(heard(&mut first).await, "first");
        assert_eq!(heard(&mut first).await, "second");
        assert_eq!(heard(&mut second).await, "second");
    }
}

#[tokio::test]
async fn after_unsubscribing_nothing_comes_and_subscribing_twice_counts_once() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        let (mut stays, mut leaves) = (house.client().await, house.client().await);
        house.until(2).await;
        leaves.send("leave").await.expect("it is open");
        house.until(1).await;
        stays.send("without you").await.expect("it is open");
        assert_eq!(heard(&mut stays).await, "without you");
        leaves.send("come").await.expect("it is open");
        leaves.send("come").await.expect("it is open");
        leaves.send("again").await.expect("it is open");
        assert_eq!(heard(&mut leaves).await, "again");
        leaves.send("once").await.expect("it is open");
        assert_eq!(heard(&mut leaves).await, "once");
        assert_eq!(house.topic.len(), 2);
    }
}

#[tokio::test]
async fn a_subscription_ends_with_its_connection_and_its_place_is_not_inherited() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        let mut clients = vec![house.client().await, house.client().await];
        house.until(2).await;
        clients[0].send("quit").await.expect("it is open");
        house.until(1).await;
        // The new connection may have the same number, but that does not subscribe it.
        let mut quiet = house.client().await;
        house.until(2).await;
        quiet.send("leave").await.expect("it is open");
        house.until(1).await;
        clients[1].send("hello").await.expect("it is open");
        assert_eq!(heard(&mut clients[1]).await, "hello");
        quiet.send("come").await.expect("it is open");
        quiet.send("and now").await.expect("it is open");
        assert_eq!(heard(&mut quiet).await, "and now");
        drop(clients);
        drop(quiet);
        house.until(0).await;
        assert!(house.topic.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_on_many_threads_are_heard_by_subscribers_on_many_each_once() {
    let house = House::new(true).await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(house.client().await);
    }
    house.until(16).await;
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let topic = house.topic.clone();
            std::thread::spawn(move || {
                for count in 0..100 {
                    topic.publish(format!("{publisher} {count}")).expect("room");
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().expect("no panic");
    }
    for client in &mut clients {
        let mut next = [0; 4];
        for _ in 0..400 {
            let text = heard(client).await;
            let (publisher, count) = text.split_once(' ').expect("two numbers");
            let publisher: usize = publisher.parse().expect("a number");
            assert_eq!(count.parse(), Ok(next[publisher]), "each publisher's messages come in order, each once");
            next[publisher] += 1;
        }
    }
}

#[tokio::test]
async fn a_large_message_reaches_everyone_whole() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        let mut clients = vec![house.client().await, house.client().await, house.client().await];
        house.until(3).await;
        let large = vec![7; 3 << 20];
        house.topic.publish(large.clone()).expect("room");
        for client in &mut clients {
            assert!(client.recv().await.expect("no error").expect("a message").as_bytes() == large);
        }
    }
}

#[tokio::test]
async fn a_message_is_compressed_once_for_all_windows_of_a_size_and_everyone_hears_the_same() {
    for tcp in [true, false] {
        let house = House::with(Server::builder().per_message_deflate(Options::context_takeover()), tcp).await;
        let offering = |options| Client::new().per_message_deflate(options);
        let mut clients = Vec::new();
        for client in [
            Client::new().per_message_deflate(None),
            offering(Options::context_takeover()),
            offering(Options::no_context_takeover()),
            offering(Options::context_takeover()),
            offering(Options::no_context_takeover()),
            offering(Options::context_takeover().server_max_window_bits(14)),
        ] {
            clients.push(house.admit(client).await);
        }
        house.until(6).await;
        let news = Prepared::from("it rains, and rains, ".repeat(50));
        assert_eq!(news.compressions(), 0);
        for _ in 0..3 {
            house.topic.publish(news.clone()).expect("room");
            house.topic.publish("short").expect("room");
            for client in &mut clients {
                assert_eq!(heard(client).await, news.message().as_text().expect("a text"));
                assert_eq!(heard(client).await, "short");
                // Compressed for this subscriber alone, with references to the messages that everyone got.
                let own = format!("echo {}", news.message());
                client.send(own.as_str()).await.expect("it is open");
                assert_eq!(heard(client).await, own);
            }
        }
        assert_eq!(news.compressions(), 1);

        clients.push(house.admit(offering(Options::context_takeover().server_max_window_bits(9))).await);
        house.until(7).await;
        house.topic.publish(news.clone()).expect("room");
        for client in &mut clients {
            assert_eq!(heard(client).await, news.message().as_text().expect("a text"));
        }
        assert_eq!(news.compressions(), 2, "a smaller window needs a form of its own");
    }
}

#[tokio::test]
async fn a_message_that_nobody_would_compress_is_not_compressed() {
    for tcp in [true, false] {
        let house = House::with(Server::builder().per_message_deflate(Options::context_takeover()), tcp).await;
        let mut plain = house.admit(Client::new().per_message_deflate(None)).await;
        house.until(1).await;
        let (long, short) = (Prepared::from("it rains, ".repeat(50)), Prepared::from("short"));
        house.topic.publish(long.clone()).expect("room");
        assert_eq!(heard(&mut plain).await, long.message().as_text().expect("a text"));
        let mut deflating = house.admit(Client::new().per_message_deflate(Options::context_takeover())).await;
        house.until(2).await;
        house.topic.publish(short.clone()).expect("room");
        assert_eq!(heard(&mut deflating).await, "short");
        assert_eq!([long.compressions(), short.compressions()], [0, 0]);
    }
}

#[tokio::test]
async fn a_topic_outlives_its_subscribers() {
    for tcp in [true, false] {
        let house = House::new(tcp).await;
        let mut client = house.client().await;
        house.until(1).await;
        house.topic.publish("while it lasts").expect("room");
        assert_eq!(heard(&mut client).await, "while it lasts");
        house.server.shutdown().timeout(Duration::from_secs(5)).await;
        house.until(0).await;
        assert_eq!(house.topic.publish("to nobody").map(|published| published.local), Ok(0));
    }
}
