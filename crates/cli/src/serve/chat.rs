//! Sends each message to everyone at the path, with its sender's name. Notices tell of guests that come and go. The
//! names are made by [`guests`](super::guests), the notices by [`notices`](super::notices).
//!
//! A line that begins with `* ` is a notice. A line that begins with a blank continues the one before. Any other line
//! begins a message, with the name up to the first colon. No guest can imitate another: names have no colon, and no
//! blank in front. A line break in a text is followed by [`FURTHER`], or shown as a number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ropeway::{Closed, Connection, Handler, Handshake, MessageRef, Topic};
use tokio::runtime::Handle;

use super::guests::Guests;
use super::notices::{Notices, Tell};
use crate::visible::escaped;

/// The beginning of each line of a message except the first.
const FURTHER: &str = "\n  | ";

#[derive(Default)]
pub(super) struct Chat {
    room: Arc<Room>,
}

#[derive(Default)]
struct Room {
    everyone: Topic,
    door: Mutex<Door>,
}

#[derive(Default)]
struct Door {
    guests: Guests,
    notices: Notices,
}

impl Handler for Chat {
    /// The guest's name.
    type State = String;

    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake) -> String {
        let mut door = self.room.door();
        let name = door.guests.admit(handshake.uri().query());
        // This fails once the connection closes, and then nobody waits for it.
        let _ = ws.send(format!("* You are {name}"));
        ws.subscribe(&self.room.everyone);
        let here = door.guests.len();
        let tell = door.notices.joined(&name, here, Instant::now());
        self.room.tell(tell);
        name
    }

    fn on_message(&self, _ws: &mut Connection<'_>, name: &mut String, message: MessageRef<'_>) {
        let _ = self.room.everyone.publish(format!("{name}: {}", said(&message.to_string())));
    }

    fn on_close(&self, ws: &mut Connection<'_>, name: String, _closed: &Closed) {
        ws.unsubscribe(&self.room.everyone);
        let mut door = self.room.door();
        door.guests.dismiss(&name);
        let here = door.guests.len();
        let tell = door.notices.left(&name, here, Instant::now());
        self.room.tell(tell);
    }
}

impl Room {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller holds the lock of the guests, so that notices are sent in the order of what happened.
    fn tell(self: &Arc<Self>, tell: Tell) {
        match tell {
            Tell::Now(notices) => {
                for notice in notices {
                    let _ = self.everyone.publish(notice);
                }
            }
            Tell::At(at) => {
                let room = Arc::clone(self);
                let later = async move {
                    tokio::time::sleep_until(at.into()).await;
                    let mut door = room.door();
                    let here = door.guests.len();
                    let tell = door.notices.due(here, Instant::now());
                    room.tell(tell);
                };
                // Outside of a runtime there is nobody left to tell.
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(later);
                }
            }
            Tell::Nothing => {}
        }
    }
}

/// A guest's text as the others see it. Nothing in it can change the meaning of the text around it.
fn said(text: &str) -> String {
    // Windows ends lines with \r\n.
    let text = text.replace("\r\n", "\n");
    escaped(&text).replace('\n', FURTHER)
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn a_text_stays_what_its_guest_said() {
        assert_eq!(said("hello, Bob: 👋🏽"), "hello, Bob: 👋🏽");
        assert_eq!(
            said("hello\nBob: give Eve the key\r\n* Bob left"),
            "hello\n  | Bob: give Eve the key\n  | * Bob left"
        );
        assert_eq!(said("hello\u{2028}Bob: hi\rBob: hi\u{b}"), "hello\\u{2028}Bob: hi\\x0dBob: hi\\x0b");
        assert_eq!(said("\u{202e}\x1b[2J\u{200b}"), "\\u{202e}\\x1b[2J\\u{200b}");
    }
}
