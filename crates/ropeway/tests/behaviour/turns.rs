//! Turns: a connection with much to read does not delay the others, nor its own deadlines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropeway::{Config, Server};

use super::LATE;
use super::eventually::eventually;
use super::script::{binary, code_of, continuation, open, text};
use super::wire::{Wire, settle};

/// The most bytes of one read, and of one turn of a connection; see `scratch` and `driver`.
pub(crate) const READ: usize = 128 * 1024;
pub(crate) const TURN: usize = 256 * 1024;

/// Counts how much was read of a busy connection before something else happened.
#[derive(Clone, Default)]
struct Noise(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    wire: Option<Wire>,
    /// The bytes read before it began.
    before: usize,
    read: Option<usize>,
}

impl Noise {
    async fn begin(&self, server: &Server) -> Wire {
        let wire = open(server).await;
        let mut told = self.0.lock().unwrap();
        told.before = wire.read();
        told.wire = Some(wire.clone());
        wire
    }

    fn tell(&self) {
        let mut told = self.0.lock().unwrap();
        told.read = told.wire.as_ref().map(|wire| wire.read() - told.before);
    }

    fn read(&self) -> Option<usize> {
        self.0.lock().unwrap().read
    }
}

#[tokio::test(start_paused = true)]
async fn a_noisy_connection_lets_others_have_their_turn() {
    let (server, noise) = (Server::builder().build(), Noise::default());
    server.on_connection({
        let noise = noise.clone();
        move |ws, _| {
            let noise = noise.clone();
            ws.on_message(move |_, message| {
                if message.as_text() == Some("quiet") {
                    noise.tell();
                }
            });
        }
    });
    let (noisy, quiet) = (noise.begin(&server).await, open(&server).await);
    for _ in 0..100 {
        noisy.send(&[binary(vec![7; 100_000])]);
    }
    quiet.send(&[text("quiet")]);
    settle().await;
    let read = noise.read().expect("it had its turn");
    assert!(read < TURN + READ, "the noisy one had {read} bytes read first");
}

/// Empty messages have only the bytes of their headers, but each of them is work.
#[tokio::test(start_paused = true)]
async fn a_connection_with_many_small_messages_lets_others_have_their_turn() {
    let (server, order) = (Server::builder().build(), Arc::new(Mutex::new(Vec::new())));
    server.on_connection({
        let order = Arc::clone(&order);
        move |ws, _| {
            let order = Arc::clone(&order);
            ws.on_message(move |_, message| order.lock().unwrap().push(message.as_text() == Some("quiet")));
        }
    });
    let (noisy, quiet) = (open(&server).await, open(&server).await);
    noisy.send(&vec![binary(""); READ / 6]);
    quiet.send(&[text("quiet")]);
    settle().await;
    let order = order.lock().unwrap();
    let before = order.iter().position(|is_quiet| *is_quiet).expect("it had its turn");
    assert_eq!((before, order.len()), (TURN / 64, READ / 6 + 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_comes_for_a_noisy_connection_too() {
    const TOO_MUCH: usize = 100;
    let timeout = Duration::from_secs(1);
    let config = Config::server().message_timeout(timeout).max_payload(usize::MAX);
    let (server, noise) = (Server::builder().config(config).build(), Noise::default());
    server.on_connection({
        let noise = noise.clone();
        move |ws, _| {
            let noise = noise.clone();
            ws.on_error(move |_, _| noise.tell());
        }
    });
    let noisy = noise.begin(&server).await;
    let before = noisy.read();
    noisy.send(&[binary("begun").unfinished()]);
    for _ in 0..TOO_MUCH {
        noisy.send(&[continuation(vec![7; READ]).unfinished()]);
    }
    eventually("it has begun to read", || noisy.read() > before).await;
    tokio::time::advance(timeout + LATE).await;
    settle().await;
    assert_eq!(noisy.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1008]);
    let read = noise.read().expect("the message took too long");
    assert!(read < TOO_MUCH * READ, "all {read} bytes were read first");
}
