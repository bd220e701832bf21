//! Sends each message to everyone at the path, the sender included: on `/broadcast`, and on `/topics/{name}` for each
//! name. A client that reads too slowly is closed with 1013.

use http::StatusCode;
use ropeway::{Closed, Connection, Handler, Handshake, MessageRef, Name, Refusal, UpgradeRequest};

use super::rooms::{Rooms, Seat};

/// The beginning of names that belong to this program's own paths.
const OWN: char = '/';

/// The path `/broadcast`.
pub(super) struct Broadcast(pub(super) Rooms);

impl Handler for Broadcast {
    type State = Seat;

    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake) -> Seat {
        let name = Name::new("/broadcast").expect("a short name");
        self.0.enter(ws, name, handshake.uri().query(), None)
    }

    fn on_message(&self, ws: &mut Connection<'_>, seat: &mut Seat, message: MessageRef<'_>) {
        self.0.publish(ws, seat, message);
    }

    fn on_close(&self, ws: &mut Connection<'_>, seat: Seat, _closed: &Closed) {
        self.0.leave(ws, &seat);
    }
}

/// The paths `/topics/{name}`.
pub(super) struct Named(pub(super) Rooms);

impl Handler<Name> for Named {
    type State = Seat;

    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake<Name>) -> Seat {
        let query = handshake.uri().query().map(str::to_owned);
        self.0.enter(ws, handshake.value, query.as_deref(), None)
    }

    fn on_message(&self, ws: &mut Connection<'_>, seat: &mut Seat, message: MessageRef<'_>) {
        self.0.publish(ws, seat, message);
    }

    fn on_close(&self, ws: &mut Connection<'_>, seat: Seat, _closed: &Closed) {
        self.0.leave(ws, &seat);
    }
}

/// The name of the topic that a request asks for.
pub(super) fn name(request: &UpgradeRequest) -> Result<Name, Refusal> {
    let asked = request.param("name").unwrap_or_default();
    if asked.starts_with(OWN) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "The name of a topic does not begin with a slash here: those are this server's own, such as /chat.\n",
        ));
    }
    Name::new(asked).map_err(|error| {
        let mut text = error.to_string();
        text.push('\n');
        Refusal::new(StatusCode::URI_TOO_LONG, text)
    })
}
