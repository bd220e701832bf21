//! Connections over TCP, which share an event loop. The other files use a transport that tests control; here the
//! operating system has a part. Times decide only when things happen, never which things.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ropeway::{
    CloseCode, Connection, Handle, Handler, Handshake, Message, MessageRef, Overflow, ReadyState, Server,
    ServerBuilder, Topic,
};
use testkit::wire::Frame;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::eventually::eventually;
use super::script::{binary, request, text};

/// Echoes. Panics if told to.
struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) {}

    fn on_message(&self, ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        assert_ne!(message.as_text(), Some("panic"), "this is meant to panic");
        ws.send(message).expect("a reply finds room");
    }
}

/// Runs a server on a port. Returns its address.
async fn serve(builder: ServerBuilder, handler: impl Handler) -> (Server, String) {
    let server = builder.bind("127.0.0.1:0").await.expect("a port");
    server.handle_with(handler);
    let addr = server.local_addr().expect("it is bound");
    tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    (server, format!("ws://{addr}/"))
}

/// A client that uses only a socket, on a thread of its own. It is open when this returns.
pub(crate) fn raw_client(url: &str) -> TcpStream {
    let addr = url.trim_start_matches("ws://").trim_end_matches('/');
    let mut tcp = TcpStream::connect(addr).expect("a connection");
    tcp.write_all(request("").as_ref()).expect("it takes a request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    tcp
}

pub(crate) fn masked(frame: Frame) -> Vec<u8> {
    Frame { mask: Some([1, 2, 3, 4]), ..frame }.encode()
}

#[tokio::test]
async fn more_connections_than_a_loop_looks_at_at_once_are_all_served() {
    let (server, url) = serve(Server::builder(), Echo).await;
    let mut clients = Vec::new();
    for _ in 0..400 {
        clients.push(ropeway::connect(&url).await.expect("a connection"));
    }
    for round in 0..5 {
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{round} {number}")).await.expect("it is open");
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let message = client.recv().await.expect("no error");
            assert_eq!(message, Some(Message::from(format!("{round} {number}"))));
        }
    }
    assert_eq!(server.clients().len(), 400);
    drop(clients);
    server.shutdown().timeout(Duration::from_secs(60)).await;
    assert!(server.clients().is_empty());
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_own_connection_and_no_other_of_its_loop() {
    let (_server, url) = serve(Server::builder(), Echo).await;
    let mut fine = ropeway::connect(&url).await.expect("a connection");
    let mut bad = ropeway::connect(&url).await.expect("a connection");
    bad.send("panic").await.expect("it is open");
    assert_eq!(bad.recv().await.expect("a clean close"), None);
    assert_eq!(bad.outcome().expect("it is closed").code, CloseCode::INTERNAL_ERROR);
    fine.send("still here").await.expect("it is open");
    assert_eq!(fine.recv().await.expect("no error"), Some(Message::from("still here")));
}

#[tokio::test]
async fn the_rest_is_written_once_a_slow_reader_reads() {
    const SIZE: usize = 1 << 20;
    const COUNT: usize = 24;
    let (server, url) = serve(Server::builder(), Echo).await;
    let (begin, wait_to_begin) = std::sync::mpsc::channel();
    let reader = tokio::task::spawn_blocking(move || {
        let mut tcp = raw_client(&url);
        let mut writer = tcp.try_clone().expect("a second handle");
        let frame = masked(binary(vec![9; SIZE]));
        let writing = std::thread::spawn(move || {
            for _ in 0..COUNT {
                writer.write_all(&frame).expect("the server reads on in the end");
            }
        });
        wait_to_begin.recv().expect("the test goes on");
        let mut echoed = vec![0; COUNT * (SIZE + 10)];
        tcp.read_exact(&mut echoed).expect("everything comes back");
        writing.join().expect("no panic");
        assert!(echoed.chunks(SIZE + 10).all(|frame| frame[10..].iter().all(|byte| *byte == 9)));
    });
    // Nothing is read before an echo is stuck at the server.
    eventually("an echo waits for its reader", || {
        server.clients().first().is_some_and(|client| client.buffered_amount() > 0)
    })
    .await;
    begin.send(()).expect("the reader waits");
    reader.await.expect("no panic");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_asked_and_then_given_up() {
    let builder = Server::builder().ping_interval(Duration::from_millis(30)).ping_timeout(Duration::from_millis(30));
    let (server, url) = serve(builder, Echo).await;
    let peer = tokio::task::spawn_blocking(move || {
        let mut tcp = raw_client(&url);
        let mut ping = [0; 6];
        tcp.read_exact(&mut ping).expect("it is asked before it is given up");
        assert_eq!(ping[..2], [0x89, 4]);
        // The end may come as a reset.
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    peer.await.expect("no panic");
    eventually("the peer is given up", || server.clients().is_empty()).await;
}

#[tokio::test]
async fn a_peer_that_answers_is_kept_and_one_that_ends_mid_frame_is_let_go() {
    let builder = Server::builder().ping_interval(Duration::from_millis(20)).ping_timeout(Duration::from_secs(60));
    let (server, url) = serve(builder, Echo).await;
    let peer = tokio::task::spawn_blocking(move || {
        let mut tcp = raw_client(&url);
        for _ in 0..5 {
            let mut ping = [0; 6];
            tcp.read_exact(&mut ping).expect("a ping");
            assert_eq!(ping[..2], [0x89, 4]);
            let pong = Frame { opcode: 10, payload: ping[2..].to_vec(), ..text("") };
            tcp.write_all(&masked(pong)).expect("it is open");
        }
        let frame = masked(text("cut in two"));
        tcp.write_all(&frame[..frame.len() / 2]).expect("it is open");
    });
    peer.await.expect("no panic");
    eventually("the peer is let go", || server.clients().is_empty()).await;
}

/// Sends its handles to the test.
struct HandsOut(mpsc::UnboundedSender<Handle>);

impl Handler for HandsOut {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        self.0.send(ws.handle()).expect("the test waits for it");
    }
}

#[test]
fn a_runtime_that_ends_closes_its_connections_and_tells_those_who_wait() {
    let (runtime, elsewhere) = (Runtime::new().expect("a runtime"), Runtime::new().expect("another"));
    let (tell, mut told) = mpsc::unbounded_channel();
    let (server, url) = runtime.block_on(serve(Server::builder(), HandsOut(tell)));
    let mut client = elsewhere.block_on(ropeway::connect(&url)).expect("a connection");
    let handle = elsewhere.block_on(told.recv()).expect("it opened");
    let waiting = elsewhere.spawn({
        let handle = handle.clone();
        async move { handle.closed().await }
    });
    drop(runtime);
    elsewhere.block_on(async {
        waiting.await.expect("no panic");
        assert_eq!(handle.ready_state(), ReadyState::Closed);
        assert!(handle.send("too late").is_err());
        assert!(server.clients().is_empty());
        assert!(client.recv().await.is_err(), "the client sees an end without a close frame");
    });
}

#[tokio::test]
async fn the_loss_of_a_peer_is_noticed_though_its_messages_are_not_taken() {
    let builder = Server::builder().ping_interval(Duration::from_millis(30)).ping_timeout(Duration::from_secs(60));
    let server = builder.bind("127.0.0.1:0").await.expect("a port");
    let (give, mut connections) = mpsc::unbounded_channel();
    server.spawn_each(move |ws, _| {
        let _ = give.send(ws);
        async {}
    });
    let url = format!("ws://{}/", server.local_addr().expect("it is bound"));
    tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    let peer = tokio::task::spawn_blocking(move || {
        let mut tcp = raw_client(&url);
        // More than the inbox holds, less than the inbox and the system's buffers hold.
        for _ in 0..12 {
            tcp.write_all(&masked(binary(vec![9; 100_000]))).expect("it is open");
        }
    });
    let mut ws = connections.recv().await.expect("it opens");
    peer.await.expect("no panic");
    let gone = async {
        while !server.clients().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the server misses its peer");
    for _ in 0..12 {
        assert_eq!(ws.recv().await.expect("no error yet").map(|message| message.len()), Some(100_000));
    }
    assert!(ws.recv().await.is_err(), "it went without a close frame");
}

#[test]
fn publications_before_a_runtimes_end_are_written() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let elsewhere = Runtime::new().expect("another");
    let topic = Topic::new();
    let (_server, url) = runtime.block_on(serve(Server::builder(), Subscribes(topic.clone())));
    let connecting = elsewhere.spawn(async move { ropeway::connect(&url).await });
    let mut client = runtime.block_on(connecting).expect("no panic").expect("a connection");
    // No thread drives the connection now. When the runtime ends, this is still waiting.
    topic.publish("published").expect("room");
    drop(runtime);
    let heard = elsewhere.block_on(client.recv()).expect("no error before it");
    assert_eq!(heard, Some(Message::from("published")));
    assert!(elsewhere.block_on(client.recv()).is_err(), "the end without a close frame");
}

#[test]
fn a_peer_that_reads_nothing_does_not_keep_a_runtime_from_its_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (server, url) = runtime.block_on(serve(Server::builder().max_buffered(100 << 20), Echo));
    let connecting = runtime.spawn_blocking(move || raw_client(&url));
    let _reads_nothing = runtime.block_on(connecting).expect("no panic");
    server.clients().remove(0).send(vec![7; 64 << 20]).expect("it is open");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        tell.send(())
    });
    told.recv_timeout(Duration::from_secs(60)).expect("the runtime ends");
    assert!(server.clients().is_empty());
}

/// Subscribes every client.
struct Subscribes(Topic);

impl Handler for Subscribes {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        ws.subscribe(&self.0);
    }
}

#[tokio::test]
async fn a_subscriber_that_is_closed_for_lack_of_room_is_let_go_though_nothing_comes_from_it() {
    let topic = Topic::new();
    let builder =
        Server::builder().overflow(Overflow::Close).ping_interval(None).close_timeout(Duration::from_millis(50));
    let (server, url) = serve(builder, Subscribes(topic.clone())).await;
    let reads_nothing = tokio::task::spawn_blocking(move || raw_client(&url)).await.expect("no panic");
    eventually("it is subscribed", || !topic.is_empty()).await;
    eventually("it is closed for lack of room", || {
        // This fails if too much waits for a loop, which then has to be given time.
        let _ = topic.publish(vec![0; 1 << 20]);
        server.clients().first().is_none_or(|client| client.ready_state() != ReadyState::Open)
    })
    .await;
    eventually("it is let go", || server.clients().is_empty()).await;
    drop(reads_nothing);
}

/// Echoes. At each short message it records how many bytes wait on the connection that sent a long one.
struct Watch {
    noisy: std::sync::Mutex<Option<Handle>>,
    waiting: mpsc::UnboundedSender<usize>,
}

impl Handler for Watch {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) {}

    fn on_message(&self, ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        let mut noisy = self.noisy.lock().unwrap();
        if message.len() > 1000 {
            *noisy = Some(ws.handle());
        }
        ws.send(message).expect("a reply finds room");
        self.waiting.send(noisy.as_ref().map_or(0, Handle::buffered_amount)).expect("the test listens");
    }
}

#[tokio::test]
async fn while_a_large_message_is_compressed_others_are_served() {
    const SIZE: usize = 4 << 20;
    let (waiting, mut told) = mpsc::unbounded_channel();
    let builder = Server::builder().per_message_deflate(ropeway::deflate::Options::default());
    let (_server, url) = serve(builder, Watch { noisy: std::sync::Mutex::default(), waiting }).await;
    let mut quiet = ropeway::connect(&url).await.expect("a connection");
    let client = ropeway::Client::new().per_message_deflate(ropeway::deflate::Options::default());
    let mut noisy = client.connect(&url).await.expect("a connection");
    noisy.send(vec![b'a'; SIZE]).await.expect("it is open");
    told.recv().await.expect("it came");
    let mut served = 0;
    loop {
        quiet.send("quiet").await.expect("it is open");
        assert_eq!(quiet.recv().await.expect("no error"), Some(Message::from("quiet")));
        if told.recv().await.expect("it came") == 0 {
            break;
        }
        served += 1;
    }
    assert!(served > 0, "it was compressed before anybody else was served");
    assert_eq!(noisy.recv().await.expect("no error"), Some(Message::from(vec![b'a'; SIZE])));
}
