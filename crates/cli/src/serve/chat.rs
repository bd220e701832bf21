//! Sends each message to everyone at the path, with its sender's name. Notices tell of guests that come and go. The
//! names are made by [`guests`](super::guests), the notices by [`notices`](super::notices). If there are other servers,
//! each name ends with that of its server, such as `Ada @4f2a`, and a notice counts the guests of that server.
//!
//! A line that begins with `* ` is a notice. A line that begins with a blank continues the one before. Any other line
//! begins a message, with the name up to the first colon. No guest can imitate another: names have no colon, and no
//! blank in front. A line break in a text is followed by [`FURTHER`], or shown as a number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ropeway::{Closed, Connection, Handler, Handshake, MessageRef, Name, Topic};
use tokio::runtime::Handle;

use super::guests::Guests;
use super::notices::{Notices, Tell};
use super::rooms::{Rooms, Seat};
use crate::visible::escaped;

/// The beginning of each line of a message except the first.
const FURTHER: &str = "\n  | ";

pub(super) struct Chat {
    room: Arc<Room>,
}

struct Room {
    rooms: Rooms,
    everyone: Topic,
    door: Mutex<Door>,
}

struct Door {
    guests: Guests,
    notices: Notices,
}

/// A guest of this server.
pub(super) struct Guest {
    seat: Seat,
    /// The name, which is one guest's on this server.
    name: String,
    /// The name as all see it.
    shown: String,
}

impl Chat {
    pub(super) fn new(rooms: Rooms) -> Self {
        let place = rooms.server().map_or_else(|| "here".to_owned(), |server| format!("on {server}"));
        let door = Door { guests: Guests::default(), notices: Notices::of_guests(place) };
        let everyone = rooms.topic(&name());
        Self { room: Arc::new(Room { rooms, everyone, door: Mutex::new(door) }) }
    }
}

/// The name of the chat's topic.
fn name() -> Name {
    Name::new("/chat").expect("a short name")
}

impl Handler for Chat {
    type State = Guest;

    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake) -> Guest {
        let (room, query) = (&self.room, handshake.uri().query());
        let mut door = room.door();
        let own = door.guests.admit(query);
        let shown = room.shown(&own);
        let seat = room.rooms.enter(ws, name(), query, Some(&format!("* You are {shown}")));
        let here = door.guests.len();
        let tell = door.notices.joined(&shown, here, Instant::now());
        room.tell(tell);
        Guest { seat, name: own, shown }
    }

    fn on_message(&self, ws: &mut Connection<'_>, guest: &mut Guest, message: MessageRef<'_>) {
        let line = format!("{}: {}", guest.shown, said(&message.to_string()));
        self.room.rooms.publish(ws, &guest.seat, line);
    }

    fn on_close(&self, ws: &mut Connection<'_>, guest: Guest, _closed: &Closed) {
        self.room.rooms.leave(ws, &guest.seat);
        let mut door = self.room.door();
        door.guests.dismiss(&guest.name);
        let here = door.guests.len();
        let tell = door.notices.left(&guest.shown, here, Instant::now());
        self.room.tell(tell);
    }
}

impl Room {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guest's name as all see it. If there are other servers, it ends with this one's, so that no guest of another
    /// server can have it.
    fn shown(&self, name: &str) -> String {
        self.rooms.server().map_or_else(|| name.to_owned(), |server| format!("{name} {server}"))
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
