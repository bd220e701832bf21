//! Each message goes to everyone at the path, the sender too.

use ropeway::{Closed, Handler, Handshake, MessageRef, Ws};

use super::room::Room;

#[derive(Default)]
pub(super) struct Broadcast {
    room: Room,
}

impl Handler for Broadcast {
    /// What to leave the room with.
    type State = u64;

    fn on_open(&self, ws: &mut Ws<'_>, _handshake: Handshake) -> u64 {
        self.room.enter(ws.sender()).0
    }

    fn on_message(&self, _ws: &mut Ws<'_>, _id: &mut u64, message: MessageRef<'_>) {
        self.room.say(&message.into_owned());
    }

    fn on_close(&self, _ws: &mut Ws<'_>, id: u64, _closed: &Closed) {
        self.room.leave(id);
    }
}
