//! Lines of the log: which fields they have.

use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ropeway::{Server, Transport};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::script::{Log, request, text};
use super::wire::{settle, wire};

/// Writes down the crate's lines, each as its fields in order.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = fmt::Write::write_fmt(&mut self.0, format_args!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ropeway")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// All tests of this program share the limit of 100 lines of a kind a second, so a line may be left out. Another
/// connection in another second has it.
#[tokio::test(start_paused = true)]
async fn all_lines_about_a_connection_have_its_number_and_its_address() {
    let all = Lines::default();
    let mut missing = vec!["\"/chat\"", "open", "dropped", "UTF-8", "broke", "closed: 1006"];
    for _ in 0..60 {
        // Set anew each time, so that `tracing` asks again which lines are wanted: another thread may have been told
        // that none is.
        let _here = tracing::subscriber::set_default(all.clone());
        let (about, lines) = of_a_connection(&all).await;
        missing.retain(|word| !lines.iter().any(|line| line.contains(word)));
        assert!(lines.iter().all(|line| fields_first(line).starts_with(&about)), "{about:?} in {lines:#?}");
        if missing.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    panic!("{missing:?} in no line of {:#?}", all.0.lock().unwrap());
}

/// The fields that all lines about a connection begin with, and these lines.
async fn of_a_connection(all: &Lines) -> (String, Vec<String>) {
    all.0.lock().unwrap().clear();
    let (server, log) = (Server::builder().max_buffered(1).overflow(ropeway::Overflow::Drop).build(), Log::default());
    server.handle_with(log.clone());
    let (peer, end) = wire();
    let addr: SocketAddr = "192.0.2.7:80".parse().unwrap();
    tokio::spawn(async move { server.serve_stream(Transport::other(end), Some(addr)).await });
    peer.send_bytes(request(""));
    settle().await;
    let handle = log.handle();
    // One has no room, and is dropped.
    handle.send("fits").unwrap();
    handle.send("does not").unwrap();
    peer.send(&[text("fine"), text([0xff])]);
    peer.reset();
    handle.closed().await;
    let lines = all.0.lock().unwrap();
    let lines = lines.iter().filter(|line| line.contains(&addr.to_string())).cloned().collect();
    (format!("connection={} remote_addr={addr} ", handle.id()), lines)
}

/// A line without its message, which is recorded before the fields.
fn fields_first(line: &str) -> &str {
    line.find("connection=").map_or(line, |at| &line[at..])
}
