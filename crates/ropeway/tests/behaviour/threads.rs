//! Many threads at once: no message is lost or overtaken, and no wake-up is lost. A lost wake-up shows as a test that
//! never ends.

use std::collections::HashMap;

use ropeway::{Message, Server, WebSocket};
use tokio::sync::mpsc::unbounded_channel;

const SENDERS: usize = 8;
const MESSAGES: usize = 2000;

/// Takes all messages. Each is the number of its sender, and the sender's next number.
async fn take_all(ws: &mut WebSocket) {
    let mut next: HashMap<String, usize> = HashMap::new();
    for _ in 0..SENDERS * MESSAGES {
        let message = ws.recv().await.unwrap().expect("there are more");
        let (sender, number) = message.as_text().unwrap().split_once(' ').unwrap();
        let next = next.entry(sender.to_owned()).or_default();
        assert_eq!(number.trim_end().parse(), Ok(*next), "of sender {sender}");
        *next += 1;
    }
    assert!(next.len() == SENDERS && next.values().all(|number| *number == MESSAGES));
}

/// A message of any size up to a few read buffers.
fn message(sender: usize, number: usize) -> String {
    let size = if number.is_multiple_of(500) { 300_000 } else { number % 300 };
    format!("{sender} {number} {}", " ".repeat(size))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_of_many_threads_with_little_room_arrive_in_each_threads_order() {
    let server = Server::builder().max_buffered(5000).bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| {
        for sender in 0..SENDERS {
            let handle = ws.handle();
            tokio::spawn(async move {
                for number in 0..MESSAGES {
                    handle.send_wait(message(sender, number)).await.unwrap();
                }
            });
        }
    });
    let url = format!("ws://{}/", server.local_addr().unwrap());
    tokio::spawn(async move { server.run().await });
    let mut ws = ropeway::connect(&url).await.unwrap();
    take_all(&mut ws).await;
    assert!(ws.close(1000, "").await.unwrap().clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_is_paused_and_resumed_all_the_time_delivers_everything() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let (give, mut take) = unbounded_channel();
    server.on_connection(move |ws, _| {
        let (handle, give) = (ws.handle(), give.clone());
        let toggling = tokio::spawn(async move {
            loop {
                handle.pause();
                tokio::task::yield_now().await;
                handle.resume();
                tokio::task::yield_now().await;
            }
        });
        ws.on_message(move |_, message| give.send(message.into_owned()).unwrap());
        ws.on_close(move |_, _| toggling.abort());
    });
    let url = format!("ws://{}/", server.local_addr().unwrap());
    tokio::spawn(async move { server.run().await });
    let ws = ropeway::connect(&url).await.unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            ws.send(message(0, number)).await.unwrap();
        }
        ws
    });
    for number in 0..MESSAGES {
        assert_eq!(take.recv().await.unwrap(), Message::from(message(0, number)));
    }
    assert!(sending.await.unwrap().close(1000, "").await.unwrap().clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_tasks_that_await_the_end_are_told() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.spawn_each(|mut ws, _| async move { while let Ok(Some(_)) = ws.recv().await {} });
    let url = format!("ws://{}/", server.local_addr().unwrap());
    tokio::spawn(async move { server.run().await });
    for round in 0..100 {
        let mut ws = ropeway::connect(&url).await.unwrap();
        let waiting: Vec<_> = (0..SENDERS)
            .map(|_| {
                let handle = ws.handle();
                tokio::spawn(async move {
                    while handle.send("x").is_ok() {
                        tokio::task::yield_now().await;
                    }
                    handle.closed().await;
                })
            })
            .collect();
        if round % 2 == 0 {
            assert!(ws.close(1000, "").await.unwrap().clean);
        } else {
            ws.handle().terminate();
            assert!(matches!(ws.recv().await, Ok(None)));
        }
        for waiting in waiting {
            waiting.await.unwrap();
        }
    }
}

#[tokio::test]
async fn runtimes_that_serve_one_port_share_its_clients_evenly() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = Server::builder().build();
    // Each client is told the name of the thread that drives its connection.
    server.on_connection(|ws, _| {
        ws.send(std::thread::current().name().unwrap_or_default()).unwrap();
    });
    let threads = ["a", "b"].map(|name| {
        let (server, listener) = (server.clone(), listener.try_clone().unwrap());
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                server.serve(tokio::net::TcpListener::from_std(listener).unwrap()).await;
            });
        };
        std::thread::Builder::new().name(name.into()).spawn(serve).unwrap()
    });
    let mut clients = Vec::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    // The second thread may start late.
    while counts.len() < 2 {
        assert!(clients.len() < 1000, "all of a thousand clients went to one thread");
        *counts.entry(carrier(&url, &mut clients).await).or_default() += 1;
    }
    counts.clear();
    for _ in 0..10 {
        *counts.entry(carrier(&url, &mut clients).await).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 5), "{counts:?}");
    drop(clients);
    server.shutdown().timeout(std::time::Duration::from_secs(3_600)).await;
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Connects a client. Returns the name of the thread that drives the connection on the server's side.
async fn carrier(url: &str, clients: &mut Vec<WebSocket>) -> String {
    let mut client = ropeway::connect(url).await.unwrap();
    let name = client.recv().await.unwrap().expect("a name");
    clients.push(client);
    name.as_text().unwrap().to_owned()
}
