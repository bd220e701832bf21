//! The input of a filter: each line is sent as a message.

use ropeway::{Handle, Message};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::coop::consume_budget;

use super::events::Event;

/// The payload of the ping before the first line. Its answer separates the server's own messages from possible replies:
/// a server answers a ping "as soon as is practical" (RFC 6455 section 5.5.2), so messages that come before the pong
/// were sent before the server read the first line.
pub(crate) const FIRST_LINE: &[u8] = b"the first line follows";

/// Sends each line of stdin, no faster than the server reads them, and reports the end. If replies are counted, a ping
/// is sent before the first line.
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
            // If it cannot be sent, the line cannot be sent either.
            let _ = handle.ping(FIRST_LINE).sent();
        }
        if handle.send_wait(message(line)).await.is_err() {
            // The connection is closing or closed, which it reports itself.
            return;
        }
        sent += 1;
        // One read can bring many lines, and the queue has room for a million short messages. This lets signals get
        // their turn.
        consume_budget().await;
    };
    // After the end of the session nobody receives it.
    let _ = events.send(end);
}

/// Makes a message of a line without its line end. It is text if the line is UTF-8.
fn message(mut line: Vec<u8>) -> Message {
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    match String::from_utf8(line) {
        Ok(text) => text.into(),
        Err(error) => error.into_bytes().into(),
    }
}
