//! Each message goes to everyone at the path, the sender too.

use std::sync::Arc;

use ropeway::{Handler, Handshake, MessageRef, Ws};

use super::room::{Member, Room};

#[derive(Default)]
pub(super) struct Broadcast {
    room: Arc<Room>,
}

impl Handler for Broadcast {
    type State = Member;

    fn on_open(&self, ws: &mut Ws<'_>, _handshake: Handshake) -> Member {
        self.room.enter(ws.sender())
    }

    fn on_message(&self, _ws: &mut Ws<'_>, _member: &mut Member, message: MessageRef<'_>) {
        self.room.say(&message.into_owned());
    }
}
