//! Each subscriber sees the actions of one thread in order: publications, messages for that subscriber alone, its
//! close, the end of its subscription, and the server's end. This holds on event loops and on tasks.

use std::time::Duration;

use ropeway::{CloseCode, Connection, Handler, Handshake, MessageRef, Server, Topic, WebSocket};
use tokio::sync::mpsc;

use super::topics::{House, heard};

/// Subscribes its clients. Acts at the message "go".
struct Acts<F> {
    topic: Topic,
    act: F,
}

impl<F: Fn(&mut Connection<'_>, &Topic) + Send + Sync + 'static> Handler for Acts<F> {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        ws.subscribe(&self.topic);
    }

    fn on_message(&self, ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        match message.as_text() {
            Some("go") => (self.act)(ws, &self.topic),
            // A second client's message for everyone.
            _ => publish(&self.topic, "from another"),
        }
    }
}

fn publish(topic: &Topic, text: &str) {
    let _ = topic.publish(text);
}

/// A house whose handler acts at the message "go".
async fn acting(tcp: bool, act: impl Fn(&mut Connection<'_>, &Topic) + Send + Sync + 'static) -> House {
    House::serving(Server::builder(), tcp, |server, topic| server.handle_with(Acts { topic, act })).await
}

/// Returns all messages until the end.
async fn all(mut client: WebSocket) -> Vec<String> {
    let mut texts = Vec::new();
    let hearing = async {
        while let Some(message) = client.recv().await.expect("a clean end") {
            texts.push(message.as_text().expect("a text").to_owned());
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(60), hearing).await;
    end.unwrap_or_else(|_| panic!("no end came after {texts:?}"));
    texts
}

#[tokio::test]
async fn publications_keep_their_place_among_what_a_handler_sends_and_its_close() {
    for tcp in [true, false] {
        let house = acting(tcp, |ws, topic| {
            publish(topic, "A");
            ws.send("B").expect("it is open");
            publish(topic, "C");
            ws.handle().send("D").expect("it is open");
            publish(topic, "E");
            ws.close(1000, "").expect("it is open");
        });
        let house = house.await;
        let (client, mut other) = (house.client().await, house.client().await);
        house.until(2).await;
        client.send("go").await.expect("it is open");
        assert_eq!(all(client).await, ["A", "B", "C", "D", "E"], "over TCP: {tcp}");
        for expected in ["A", "C", "E"] {
            assert_eq!(heard(&mut other).await, expected);
        }
    }
}

#[tokio::test]
async fn publications_that_leave_out_a_subscriber_keep_their_place_for_all_others() {
    for tcp in [true, false] {
        let house = acting(tcp, |ws, topic| {
            let id = ws.id();
            let others = |text: &str| topic.publish_except(id, text).expect("room").local;
            assert_eq!(others("A"), 1);
            publish(topic, "B");
            assert_eq!(others("C"), 1);
            ws.send("own").expect("it is open");
            publish(topic, "D");
            ws.unsubscribe(topic);
            assert_eq!(others("E"), 1);
            ws.subscribe(topic);
            assert_eq!(others("F"), 1);
            publish(topic, "G");
            ws.close(1000, "").expect("it is open");
        });
        let house = house.await;
        let (client, mut other) = (house.client().await, house.client().await);
        house.until(2).await;
        client.send("go").await.expect("it is open");
        assert_eq!(all(client).await, ["B", "own", "D", "G"], "over TCP: {tcp}");
        for expected in ["A", "B", "C", "D", "E", "F", "G"] {
            assert_eq!(heard(&mut other).await, expected, "over TCP: {tcp}");
        }
    }
}

#[tokio::test]
async fn fragments_keep_their_place_behind_publications() {
    for tcp in [true, false] {
        let house = acting(tcp, |ws, topic| {
            publish(topic, "A");
            ws.send_fragment("B", false).expect("it is open");
            publish(topic, "C");
            ws.send_fragment("B", true).expect("it is open");
            publish(topic, "D");
            ws.close(1000, "").expect("it is open");
        });
        let house = house.await;
        let client = house.client().await;
        house.until(1).await;
        client.send("go").await.expect("it is open");
        assert_eq!(all(client).await, ["A", "BB", "C", "D"], "over TCP: {tcp}");
    }
}

#[tokio::test]
async fn a_subscriber_that_leaves_hears_what_was_published_before_and_nothing_after() {
    for tcp in [true, false] {
        let house = acting(tcp, |ws, topic| {
            publish(topic, "before");
            ws.unsubscribe(topic);
            publish(topic, "without it");
            ws.subscribe(topic);
            publish(topic, "again");
            ws.handle().unsubscribe(topic);
            publish(topic, "without it");
            assert_eq!(topic.len(), 1, "the other one");
            ws.handle().close(1000, "").expect("it can be sent");
        });
        let house = house.await;
        let (client, mut other) = (house.client().await, house.client().await);
        house.until(2).await;
        client.send("go").await.expect("it is open");
        assert_eq!(all(client).await, ["before", "again"], "over TCP: {tcp}");
        for expected in ["before", "without it", "again", "without it"] {
            assert_eq!(heard(&mut other).await, expected);
        }
        assert_eq!(house.topic.len(), 1);
    }
}

/// Both come in one read, so the close frame is there before anything is sent.
#[tokio::test]
async fn a_client_gets_its_own_publication_before_its_close_frame_is_answered() {
    for tcp in [true, false] {
        let house = acting(tcp, |ws, topic| {
            publish(topic, "A");
            ws.handle().send("B").expect("it is open");
            publish(topic, "C");
        });
        let house = house.await;
        let client = house.client().await;
        house.until(1).await;
        let handle = client.handle();
        handle.send("go").expect("it is open");
        handle.close(1000, "").expect("it can be sent");
        assert_eq!(all(client).await, ["A", "B", "C"], "over TCP: {tcp}");
    }
}

#[tokio::test]
async fn publications_before_a_shutdown_are_delivered() {
    for tcp in [true, false] {
        let house = acting(tcp, |_, _| {}).await;
        let client = house.client().await;
        house.until(1).await;
        publish(&house.topic, "the last word");
        let (heard, _) = tokio::join!(all(client), house.server.shutdown().timeout(Duration::from_secs(60)));
        assert_eq!(heard, ["the last word"], "over TCP: {tcp}");
    }
}

#[tokio::test]
async fn a_pull_handler_that_publishes_and_returns_is_heard() {
    for tcp in [true, false] {
        let house = House::serving(Server::builder(), tcp, |server, topic| {
            server.spawn_each(move |mut ws, _| {
                let topic = topic.clone();
                async move {
                    ws.handle().subscribe(&topic);
                    ws.recv().await.expect("no error").expect("a message");
                    publish(&topic, "A");
                    ws.send("B").await.expect("it is open");
                    publish(&topic, "C");
                }
            });
        });
        let house = house.await;
        let client = house.client().await;
        house.until(1).await;
        client.send("go").await.expect("it is open");
        assert_eq!(all(client).await, ["A", "B", "C"], "over TCP: {tcp}");
    }
}

/// Subscribes its clients, and sends their handles to the test.
struct HandsOut {
    topic: Topic,
    tell: mpsc::UnboundedSender<ropeway::Handle>,
}

impl Handler for HandsOut {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        ws.subscribe(&self.topic);
        self.tell.send(ws.handle()).expect("the test waits for it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publications_and_sends_of_a_thread_arrive_in_order_on_every_loop() {
    for tcp in [true, false] {
        let (tell, mut opened) = mpsc::unbounded_channel();
        let house = House::serving(Server::builder(), tcp, |server, topic| {
            server.handle_with(HandsOut { topic, tell });
        });
        let house = house.await;
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(house.client().await);
        }
        house.until(4).await;
        let mut handles = Vec::new();
        while handles.len() < 4 {
            handles.push(opened.recv().await.expect("all four are open"));
        }
        let topic = house.topic.clone();
        let speaking = std::thread::spawn(move || {
            for number in 0..500 {
                publish(&topic, &format!("published {number}"));
                for handle in &handles {
                    handle.send(format!("sent {number}")).expect("room");
                }
            }
            publish(&topic, "last");
            for handle in &handles {
                handle.close(CloseCode::NORMAL, "").expect("it can be sent");
            }
        });
        let hearing: Vec<_> = clients.into_iter().map(|client| tokio::spawn(all(client))).collect();
        let expected: Vec<_> = (0..500)
            .flat_map(|number| [format!("published {number}"), format!("sent {number}")])
            .chain(["last".to_owned()])
            .collect();
        for heard in hearing {
            let heard = heard.await.expect("no panic");
            let wrong = heard.iter().zip(&expected).position(|(heard, expected)| heard != expected);
            let around = wrong.map(|index| (&expected[index], &heard[index]));
            assert_eq!((heard.len(), around), (expected.len(), None), "over TCP: {tcp}");
        }
        tokio::task::spawn_blocking(move || speaking.join()).await.expect("no panic").expect("no panic");
    }
}

/// There are more subscribers than are sent a message before the loop looks at its sockets again.
#[tokio::test]
async fn many_subscribers_hear_each_message_once_though_they_are_sent_others_meanwhile() {
    let house = acting(true, |ws, topic| {
        publish(topic, "first");
        // The subscriber is sent its own message ahead of all others.
        ws.send("own").expect("it is open");
        publish(topic, "second");
    });
    let house = house.await;
    let mut clients = Vec::new();
    for _ in 0..600 {
        clients.push(house.client().await);
    }
    house.until(600).await;
    for index in [0, 599] {
        clients[index].send("go").await.expect("it is open");
    }
    clients[300].send("word").await.expect("it is open");
    publish(&house.topic, "last");
    for (index, client) in clients.iter_mut().enumerate() {
        let mut texts = Vec::new();
        let count = if [0, 599].contains(&index) { 7 } else { 6 };
        for _ in 0..count {
            texts.push(heard(client).await);
        }
        let said = |word: &str| texts.iter().filter(|text| *text == word).count();
        assert_eq!(
            (said("first"), said("second"), said("from another"), said("last"), said("own")),
            (2, 2, 1, 1, count - 6),
            "{index} heard {texts:?}"
        );
        if let Some(own) = texts.iter().position(|text| text == "own") {
            assert!(texts[..own].contains(&"first".to_owned()), "{index} heard {texts:?}");
        }
    }
}
