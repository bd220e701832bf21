//! Publishers that publish faster than messages can be sent, and subscribers that read too slowly. The publishers wait,
//! the subscribers are closed or miss messages, and no other connection is affected.

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use ropeway::{
    Client, Connection, Handler, Handshake, MessageRef, Overflow, PublishError, ReadyState, SendError, Server, Topic,
    TopicSettings, WebSocket,
};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::event_loop::{masked, raw_client};
use super::eventually::{eventually, within};
use super::script::{binary, code_of, connect, open, text};
use super::topics::House;
use super::wire::settle;

/// The work from which on a loop is behind, the most work that may wait for a loop, and the work for one subscriber;
/// see `mailbox` and `topic`.
const BEHIND: usize = 1 << 20;
const MOST_WORK: usize = 8 << 20;
const WORK: usize = 64;

/// Subscribes clients that ask for it, and publishes all other messages.
struct Press {
    topic: Topic,
    published: Arc<AtomicUsize>,
}

impl Handler for Press {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) {}

    fn on_message(&self, ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        if message.as_text() == Some("subscribe") {
            ws.subscribe(&self.topic);
        } else {
            let _ = self.topic.publish(message);
            self.published.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A server that runs only when a test lets it. Each of its runtimes has a loop.
struct Works {
    server: Server,
    topic: Topic,
    published: Arc<AtomicUsize>,
}

impl Works {
    fn new() -> Self {
        let (server, topic, published) = (Server::builder().build(), Topic::new(), Arc::default());
        server.handle_with(Press { topic: topic.clone(), published: Arc::clone(&published) });
        Self { server, topic, published }
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    /// A client whose connection is on the loop of this runtime.
    fn client(&self, runtime: &Runtime) -> TcpStream {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("ws://{}/", listener.local_addr().expect("an address"));
            let client = tokio::task::spawn_blocking(move || raw_client(&url));
            let (stream, addr) = listener.accept().await.expect("a client");
            self.server.serve_stream(stream, Some(addr)).await;
            client.await.expect("it is open")
        })
    }

    fn subscriber(&self, runtime: &Runtime) -> TcpStream {
        let before = self.topic.len();
        let mut client = self.client(runtime);
        client.write_all(&masked(text("subscribe"))).expect("it is open");
        runtime.block_on(eventually("it is subscribed", || self.topic.len() > before));
        client
    }

    fn published(&self) -> usize {
        self.published.load(Ordering::Relaxed)
    }
}

/// Reads this many empty messages, on a thread of its own.
async fn read_empty(mut client: TcpStream, count: usize) {
    let reading = tokio::task::spawn_blocking(move || {
        let mut frames = vec![0; 2 * count];
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
        client.read_exact(&mut frames).expect("all of them");
        assert!(frames.chunks(2).all(|frame| frame == [0x82, 0]));
    });
    reading.await.expect("no panic");
}

#[test]
fn a_publisher_that_is_ahead_of_a_loop_is_not_read_from_until_the_loop_has_caught_up() {
    const COUNT: usize = 40_000;
    let works = Works::new();
    let (here, there) = (Works::runtime(), Works::runtime());
    let subscriber = works.subscriber(&there);
    let mut publisher = works.client(&here);
    let writing = std::thread::spawn(move || {
        publisher.write_all(&masked(binary("")).repeat(COUNT)).expect("it is read in the end");
        publisher
    });
    // The other loop does not run.
    here.block_on(eventually("the publisher waits", || works.published() == BEHIND / WORK));
    here.block_on(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(works.published(), BEHIND / WORK, "it was read from though a loop was behind");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = std::thread::spawn(move || here.block_on(stopped));
    there.block_on(read_empty(subscriber, COUNT));
    assert_eq!(works.published(), COUNT);
    drop(stop);
    running.join().expect("no panic").expect_err("nothing was said");
    drop(writing.join().expect("no panic"));
}

/// Two minutes of a paused clock, which advances by itself while nothing else happens.
#[test]
fn a_publisher_that_has_to_wait_for_long_is_not_taken_for_one_that_is_gone() {
    let works = Works::new();
    let there = Works::runtime();
    let here = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let _subscriber = works.subscriber(&there);
    let mut publisher = works.client(&here);
    publisher.write_all(&masked(binary("")).repeat(BEHIND / WORK + 1)).expect("the sockets take so much");
    here.block_on(eventually("the publisher waits", || works.published() == BEHIND / WORK));
    here.block_on(async { tokio::time::sleep(Duration::from_secs(120)).await });
    let states: Vec<_> = works.server.clients().iter().map(ropeway::Handle::ready_state).collect();
    assert_eq!(states, [ReadyState::Open; 2]);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = std::thread::spawn(move || there.block_on(stopped));
    here.block_on(eventually("the rest is read", || works.published() == BEHIND / WORK + 1));
    drop(stop);
    running.join().expect("no panic").expect_err("nothing was said");
}

#[test]
fn a_publisher_that_cannot_be_made_to_wait_is_told_and_may_wait_for_room() {
    let works = Works::new();
    let runtime = Works::runtime();
    let subscriber = works.subscriber(&runtime);
    let count = (0..2 * MOST_WORK).take_while(|_| works.topic.publish(vec![]).is_ok()).count();
    assert_eq!(count, MOST_WORK / WORK);
    assert_eq!(works.topic.publish(vec![]), Err(PublishError::Full));
    let topic = works.topic.clone();
    let mut waiting = pin!(topic.publish_wait(vec![]));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    runtime.block_on(async {
        let reading = tokio::spawn(read_empty(subscriber, count + 1));
        assert_eq!(waiting.await.map(|published| published.local), Ok(1));
        reading.await.expect("all of them came, and the one that waited");
    });
}

/// The messages that one client reads, and those that were dropped for it, add up to all that were published.
#[tokio::test]
async fn a_topic_may_drop_what_a_slow_subscriber_has_no_room_for_and_counts_it() {
    const COUNT: usize = 60;
    for tcp in [true, false] {
        let topic = Topic::with_overflow(Overflow::Drop);
        let house = House::serving(Server::builder(), tcp, {
            let topic = topic.clone();
            |server, _| server.handle_with(Press { topic, published: Arc::default() })
        });
        let house = house.await;
        let mut client = house.client().await;
        client.send("subscribe").await.expect("it is open");
        eventually("it is subscribed", || topic.len() == 1).await;
        for _ in 0..COUNT {
            topic.publish_wait(vec![7; 1 << 20]).await.expect("it is published");
        }
        let handle = house.server.clients().remove(0);
        eventually("the last one is sent or dropped", || handle.dropped() > 0).await;
        let mut heard = 0;
        while heard + handle.dropped() < COUNT as u64 {
            client.recv().await.expect("no error").expect("it is open");
            heard += 1;
        }
        assert!(heard > 0 && handle.dropped() > 0, "heard {heard}, dropped {}", handle.dropped());
        assert_eq!(handle.ready_state(), ReadyState::Open);
    }
}

#[tokio::test]
async fn a_slow_subscriber_is_closed_with_1013_unless_something_else_is_said() {
    for tcp in [true, false] {
        for (policy, is_closed) in [(Overflow::Refuse, true), (Overflow::Close, true), (Overflow::Drop, false)] {
            let house = House::serving(Server::builder(), tcp, |server, topic| {
                server.at("/").overflow(policy).handle_with(Press { topic, published: Arc::default() });
            });
            let house = house.await;
            let mut client = house.client().await;
            client.send("subscribe").await.expect("it is open");
            house.until(1).await;
            let handle = house.server.clients().remove(0);
            // More than the buffers of two systems hold.
            for _ in 0..100 {
                house.topic.publish_wait(vec![7; 1 << 20]).await.expect("it is published");
                if handle.dropped() > 0 {
                    break;
                }
            }
            eventually("a message that was dropped is counted", || handle.dropped() > 0).await;
            if is_closed {
                within("the subscriber is closed", async { while client.recv().await.expect("no error").is_some() {} })
                    .await;
                let closed = client.outcome().expect("it is closed");
                assert_eq!((closed.code.as_u16(), &closed.reason[..]), (1013, "the write queue is full"));
            } else {
                assert_eq!(handle.ready_state(), ReadyState::Open);
            }
        }
    }
}

/// The number at the start of a message, and its key.
fn numbered(message: &ropeway::Message) -> (u64, u64) {
    let bytes = message.as_bytes();
    let word = |start: usize| bytes[start..start + 8].try_into().expect("eight bytes");
    (u64::from_be_bytes(word(0)), u64::from_be_bytes(word(8)))
}

/// A message of about 64 KiB with this number and key.
fn large(number: u64, key: u64) -> Vec<u8> {
    let mut bytes = vec![7; 64 << 10];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..16].copy_from_slice(&key.to_be_bytes());
    bytes
}

/// A subscriber that stalls, over TCP on a loop, over TLS on a task and in memory on a task: the messages that it hears
/// and those that it misses add up to all, those that it hears are in order, and it hears the last.
#[tokio::test]
async fn a_subscriber_that_stalls_and_comes_back_hears_the_newest_in_order() {
    const KEYS: u64 = 7;
    for lane in Lane::ALL {
        for overflow in [Overflow::DropOldest, Overflow::Conflate] {
            let topic = Topic::with_settings(TopicSettings::default().overflow(overflow).max_waiting(10));
            let (server, mut client) = lane.connect(&topic).await;
            eventually("it is subscribed", || topic.len() == 1).await;
            let handle = server.clients().remove(0);
            let mut count = 0;
            // It reads nothing until it has missed many.
            while handle.dropped() < 50 {
                let key = count % KEYS;
                topic.publish_keyed_wait(key.to_string(), large(count, key)).await.expect("it is published");
                count += 1;
            }
            let (mut heard, mut last_of_key, mut last) = (0, [None; KEYS as usize], None);
            while last_of_key.iter().max() != Some(&Some(count - 1)) || heard + handle.dropped() < count {
                let message = within("the next message", client.recv()).await.expect("no error").expect("it is open");
                let (number, key) = numbered(&message);
                heard += 1;
                assert!(last_of_key[key as usize] < Some(number), "{number} of key {key} after {last_of_key:?}");
                assert!(overflow == Overflow::Conflate || last < Some(number), "{number} after {last:?}");
                (last_of_key[key as usize], last) = (Some(number), Some(number));
            }
            assert_eq!(heard + handle.dropped(), count, "{lane:?} {overflow:?}");
            if overflow == Overflow::Conflate {
                let latest: Vec<_> = (count - KEYS..count).map(Some).collect();
                last_of_key.sort_unstable();
                assert_eq!(last_of_key[..], latest, "{lane:?}");
            }
            assert_eq!(handle.ready_state(), ReadyState::Open);
        }
    }
}

/// A kind of stream, which decides whether a connection is on an event loop or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Tcp,
    Memory,
    #[cfg(feature = "tls")]
    Tls,
}

impl Lane {
    const ALL: &[Self] = &[
        Self::Tcp,
        Self::Memory,
        #[cfg(feature = "tls")]
        Self::Tls,
    ];

    /// A server, and a client that subscribes to the topic.
    async fn connect(self, topic: &Topic) -> (Server, WebSocket) {
        let handler = Press { topic: topic.clone(), published: Arc::default() };
        let client = match self {
            #[cfg(feature = "tls")]
            Self::Tls => {
                let server = Server::builder().tls(super::tls::server_config()).bind("127.0.0.1:0").await;
                let server = server.expect("a port");
                server.handle_with(handler);
                tokio::spawn({
                    let server = server.clone();
                    async move { server.run().await }
                });
                let url = format!("wss://localhost:{}/", server.local_addr().expect("it is bound").port());
                let client = Client::new().tls(super::tls::client_config()).connect(&url).await;
                (server, client.expect("a connection"))
            }
            _ => {
                let house =
                    House::serving(Server::builder(), self == Self::Tcp, |server, _| server.handle_with(handler));
                let house = house.await;
                (house.server.clone(), house.client().await)
            }
        };
        client.1.send("subscribe").await.expect("it is open");
        client
    }
}

/// The queue is full and has room again many times, while threads publish. No message is lost without being counted,
/// none is heard twice, and no subscriber is forgotten with messages that wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_are_now_slow_and_now_not_hear_each_thread_in_order_and_its_last_message() {
    const COUNT: u64 = 3000;
    for tcp in [true, false] {
        let topic = Topic::with_settings(TopicSettings::default().overflow(Overflow::DropOldest).max_waiting(20));
        let house = House::serving(Server::builder().max_buffered(4096).ping_interval(None), tcp, {
            let topic = topic.clone();
            |server, _| server.handle_with(Press { topic, published: Arc::default() })
        });
        let house = house.await;
        let mut clients = Vec::new();
        for _ in 0..4 {
            // A ping would wake a subscriber that was forgotten.
            let client = house.admit(Client::new().ping_interval(None)).await;
            client.send("subscribe").await.expect("it is open");
            clients.push(client);
        }
        eventually("all are subscribed", || topic.len() == 4).await;
        let handles = house.server.clients();
        let publishers: Vec<_> = (0..2)
            .map(|publisher| {
                let topic = topic.clone();
                std::thread::spawn(move || {
                    for number in 1..=COUNT {
                        let message = [number.to_be_bytes(), u64::to_be_bytes(publisher), [0; 8]].concat();
                        while topic.publish(message.repeat(20)).is_err() {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let hearing: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                tokio::spawn(async move {
                    let (mut last, mut heard) = ([0; 2], 0);
                    while last.iter().max() != Some(&u64::MAX) {
                        let message = client.recv().await.expect("no error").expect("it is open");
                        let (number, publisher) = numbered(&message);
                        assert!(last[publisher as usize] < number, "{number} of {publisher} after {last:?}");
                        last[publisher as usize] = number;
                        heard += 1;
                    }
                    heard
                })
            })
            .collect();
        let joined = tokio::task::spawn_blocking(move || publishers.into_iter().all(|thread| thread.join().is_ok()));
        assert!(joined.await.expect("no panic"));
        // It has waited behind all others at each subscriber that was slow.
        let last = [u64::MAX.to_be_bytes(), [0; 8]].concat();
        topic.publish_wait(last).await.expect("it is published");
        let mut heard: Vec<u64> = Vec::new();
        for hearing in hearing {
            heard.push(within("the last message", hearing).await.expect("no panic"));
        }
        let dropped: u64 = handles.iter().map(ropeway::Handle::dropped).sum();
        assert_eq!(heard.iter().sum::<u64>() + dropped, 4 * (2 * COUNT + 1), "heard {heard:?}, over TCP: {tcp}");
        assert!(dropped > 0, "none of them was slow, over TCP: {tcp}");
    }
}

/// Subscribers that are tasks are late if many connections publish at once. That is not the fault of their peers, so
/// the publishers wait.
#[tokio::test(start_paused = true)]
async fn publishers_wait_for_subscribers_that_have_not_had_their_turn() {
    const PUBLISHERS: usize = 16;
    const COUNT: usize = 2000;
    let (server, topic) = (Server::builder().build(), Topic::new());
    server.handle_with(Press { topic: topic.clone(), published: Arc::default() });
    let subscriber = open(&server).await;
    subscriber.send(&[text("subscribe")]);
    settle().await;
    let mut publishers = Vec::new();
    for _ in 0..PUBLISHERS {
        publishers.push(open(&server).await);
    }
    for publisher in &publishers {
        publisher.send(&vec![binary(vec![7; 100]); COUNT]);
    }
    settle().await;
    let heard = subscriber.take_frames().iter().filter(|frame| frame.payload.len() == 100).count();
    assert_eq!(heard, PUBLISHERS * COUNT);
    assert_eq!(server.clients()[0].dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn empty_messages_are_bounded_by_their_number() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    // Its task has not run since.
    let count = (0..100_000).take_while(|_| handle.send("").is_ok()).count();
    assert_eq!(count, 16 * 1024);
    assert_eq!(handle.send(""), Err(SendError::Full { buffered: 0 }));
    settle().await;
    assert_eq!(wire.take_frames().len(), count);
    handle.send("room again").expect("room");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_closed_as_too_slow_says_so() {
    let (server, topic) = (Server::builder().max_buffered(1000).build(), Topic::new());
    server.handle_with(Press { topic: topic.clone(), published: Arc::default() });
    let wire = open(&server).await;
    wire.send(&[text("subscribe")]);
    settle().await;
    wire.set_room(Some(0));
    for _ in 0..3 {
        topic.publish(vec![0; 600]).expect("no loop is behind");
        settle().await;
    }
    assert_eq!(server.clients()[0].dropped(), 1);
    wire.set_room(None);
    settle().await;
    let frames = wire.take_frames();
    assert_eq!((frames.len(), code_of(&frames[2])), (3, 1013));
}
