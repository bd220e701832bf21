//! Sends each message to everyone at the path, the sender included. A client that reads too slowly is closed with 1013.

use ropeway::{Connection, Handler, Handshake, MessageRef, Topic};

#[derive(Default)]
pub(super) struct Broadcast {
    everyone: Topic,
}

impl Handler for Broadcast {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        ws.subscribe(&self.everyone);
    }

    fn on_message(&self, _ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        // There is room for it: a client that is ahead of the others is not read from.
        let _ = self.everyone.publish(message);
    }
}
