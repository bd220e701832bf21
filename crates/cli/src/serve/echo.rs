//! Answers each message with the same message.

use ropeway::{Connection, Handler, Handshake, MessageRef};

pub(super) struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) {}

    fn on_message(&self, ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        // This fails once the connection closes, and then nobody waits for it.
        let _ = ws.send(message);
    }
}
