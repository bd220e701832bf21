//! The input of a filter: each line becomes a message.

use ropeway::{Handle, Message};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::coop::consume_budget;

use super::events::Event;

/// The payload of the ping before the first line. Its answer divides the server's own messages from those that may be replies:
/// a server answers "as soon as is practical" (RFC 6455 section 5.5.2), so what comes before the pong was said before the
/// first line was read.
pub(crate) const FIRST_LINE: &[u8] = b"the first line follows";

/// Sends each line of stdin, no faster than the server takes them, and tells of the end. Where replies are counted a ping is
/// sent before the first one.
pub(crate) async fn send(handle: Handle, events: UnboundedSender<Event>, are_replies_counted: bool) {
    let mut stdin = BufReader::with_capacity(64 * 1024, stdin());
    let mut sent = 0;
    let end = loop {
        let mut line = Vec::new();
        match stdin.read_until(b'\n', &mut line).await {
            Ok(0) => break Event::InputEnded { sent },
            Ok(_) => {}
            Err(error) => break Event::InputFailed(error),
        }
        if sent == 0 && are_replies_counted {
            // Where it cannot be sent the line cannot either.
            let _ = handle.ping(FIRST_LINE).sent();
        }
        if handle.send_wait(message(line)).await.is_err() {
            // The connection is closing or closed; it tells so itself.
            return;
        }
        sent += 1;
        // Many lines come in one read, and there is room for a million short messages: signals have their turn between.
        consume_budget().await;
    };
    // Nobody waits for it once the session is over.
    let _ = events.send(end);
}

/// A line without its end, as text if it is.
fn message(mut line: Vec<u8>) -> Message {
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    match String::from_utf8(line) {
        Ok(text) => text.into(),
        Err(error) => error.into_bytes().into(),
    }
}
