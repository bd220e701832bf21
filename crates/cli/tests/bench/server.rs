//! Servers to put load on. All are ropeway's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ropeway::{Handle, Server, ServerBuilder, Topic, deflate};
use tokio::net::TcpListener;

/// The counts of a server.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) opened: AtomicU64,
    pub(crate) messages: AtomicU64,
    /// Connections that were closed with 1000 from both sides.
    pub(crate) closed: AtomicU64,
}

/// A server that echoes. Returns its URL.
pub(crate) async fn echo() -> (String, Arc<Seen>) {
    echo_with(Server::builder()).await
}

/// A server with these settings that echoes.
pub(crate) async fn echo_with(builder: ServerBuilder) -> (String, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let server = builder.bind("127.0.0.1:0").await.unwrap();
    let noting = Arc::clone(&seen);
    server.on_connection(move |ws, _| {
        noting.opened.fetch_add(1, Ordering::Relaxed);
        let (messages, closed) = (Arc::clone(&noting), Arc::clone(&noting));
        ws.on_message(move |ws, message| {
            messages.messages.fetch_add(1, Ordering::Relaxed);
            ws.send(message).unwrap();
        });
        ws.on_close(move |_, end| {
            closed.closed.fetch_add(u64::from(end.clean && end.code.as_u16() == 1000), Ordering::Relaxed);
        });
    });
    (run(server), seen)
}

/// A server that echoes, and compresses if the client offers it.
pub(crate) async fn deflating() -> (String, Arc<Seen>) {
    echo_with(Server::builder().per_message_deflate(deflate::Options::no_context_takeover())).await
}

/// A server that sends each message to everyone.
pub(crate) async fn broadcast() -> String {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let everyone: Arc<Mutex<Vec<Handle>>> = Arc::default();
    server.on_connection(move |ws, _| {
        everyone.lock().unwrap().push(ws.handle());
        let everyone = Arc::clone(&everyone);
        ws.on_message(move |_, message| {
            let message = message.into_owned();
            for client in &*everyone.lock().unwrap() {
                client.send(&message).ok();
            }
        });
    });
    run(server)
}

/// Two servers that send each message to everyone at either of them.
pub(crate) struct Two {
    pub(crate) near: String,
    pub(crate) at_near: Arc<Seen>,
    pub(crate) far: String,
    pub(crate) at_far: Arc<Seen>,
}

pub(crate) async fn broadcast_on_two() -> Two {
    let everyone = Topic::new();
    let start = async |seen: &Arc<Seen>| {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let (everyone, seen) = (everyone.clone(), Arc::clone(seen));
        server.on_connection(move |ws, _| {
            seen.opened.fetch_add(1, Ordering::Relaxed);
            ws.subscribe(&everyone);
            let everyone = everyone.clone();
            ws.on_message(move |_, message| {
                let _ = everyone.publish(message);
            });
        });
        run(server)
    };
    let (at_near, at_far) = (Arc::default(), Arc::default());
    Two { near: start(&at_near).await, far: start(&at_far).await, at_near, at_far }
}

/// A server that never answers.
pub(crate) async fn silent() -> String {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|_, _| {});
    run(server)
}

/// A server that answers two messages of each connection, and closes it with 4001 at the third.
pub(crate) async fn closing() -> String {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| {
        let mut messages = 0;
        ws.on_message(move |ws, message| {
            messages += 1;
            if messages < 3 { ws.send(message).unwrap() } else { ws.close(4001, "enough").unwrap() }
        });
    });
    run(server)
}

/// A server that answers each message with a different one.
pub(crate) async fn contrary() -> String {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, _| ws.send("no").unwrap());
    });
    run(server)
}

/// A server that answers each message twice.
pub(crate) async fn twice() -> String {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| {
            let message = message.into_owned();
            ws.send(&message).unwrap();
            ws.send(&message).unwrap();
        });
    });
    run(server)
}

/// A server that closes each connection with 4001 as soon as it is open.
pub(crate) async fn unwilling() -> String {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| ws.close(4001, "not you").unwrap());
    run(server)
}

/// A server that can be killed: its connections break, and its port is gone.
pub(crate) struct Mortal {
    pub(crate) url: String,
    pub(crate) seen: Arc<Seen>,
    runtime: tokio::runtime::Runtime,
}

impl Mortal {
    /// Starts a server that echoes. At /all it sends each message to everyone.
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (server, seen) = (Server::builder().build(), Arc::new(Seen::default()));
        let echo = Arc::clone(&seen);
        server.at("/").on_connection(move |ws, _| {
            echo.opened.fetch_add(1, Ordering::Relaxed);
            let echo = Arc::clone(&echo);
            ws.on_message(move |ws, message| {
                echo.messages.fetch_add(1, Ordering::Relaxed);
                ws.send(message).ok();
            });
        });
        let (everyone, all) = (Topic::new(), Arc::clone(&seen));
        server.at("/all").on_connection(move |ws, _| {
            ws.handle().subscribe(&everyone);
            let (everyone, all) = (everyone.clone(), Arc::clone(&all));
            ws.on_message(move |_, message| {
                all.messages.fetch_add(1, Ordering::Relaxed);
                let _ = everyone.publish(message);
            });
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        runtime.spawn(async move { server.serve(TcpListener::from_std(listener).unwrap()).await });
        Self { url, seen, runtime }
    }

    pub(crate) fn die(self) {
        self.runtime.shutdown_background();
    }
}

/// Runs a server. Returns its URL.
pub(crate) fn run(server: Server) -> String {
    let url = format!("ws://{}/", server.local_addr().unwrap());
    tokio::spawn(async move { server.run().await });
    url
}
