//! Two endpoints that connections with a closure of their own share: one for each style. Such a closure is called once. After that
//! the connection costs no more than others.

use std::sync::Arc;

use ropeway_proto::handshake::ServerOptions;

use super::settings::RouteSettings;
use crate::connection::{Clients, Endpoint};
use crate::handshake::Handshake;
use crate::listen::{Listen, Listeners};
use crate::pull::{Pull, WebSocket};

/// Serves one connection in the pull style. It comes to the endpoint as the value of the handshake.
pub(super) type Serve = Box<dyn FnOnce(WebSocket, Handshake) + Send>;

/// Puts listeners on one connection. It too is the value of the handshake.
pub(super) type Attend = Box<dyn FnOnce(&mut Listeners, Handshake) + Send>;

/// The handlers of the two endpoints.
type PullOnce = Pull<fn(WebSocket, Handshake<Serve>)>;
type ListenOnce = Listen<fn(&mut Listeners, Handshake<Attend>)>;

/// The endpoints, and the options that a request is judged by before its closure is known.
pub(super) struct OneOff {
    pub(super) options: Arc<ServerOptions>,
    pub(super) pull: Arc<Endpoint<PullOnce>>,
    pub(super) listen: Arc<Endpoint<ListenOnce>>,
}

impl OneOff {
    pub(super) fn new(settings: &RouteSettings, clients: &Arc<Clients>) -> Self {
        let serve: fn(WebSocket, Handshake<Serve>) = |ws, handshake| {
            let (serve, handshake) = handshake.replace(());
            serve(ws, handshake);
        };
        let attend: fn(&mut Listeners, Handshake<Attend>) = |ws, handshake| {
            let (attend, handshake) = handshake.replace(());
            attend(ws, handshake);
        };
        let clients = || Some(Arc::clone(clients));
        Self {
            options: settings.judged_by(),
            pull: Arc::new(Endpoint { handler: Pull { opened: serve }, clients: clients() }),
            listen: Arc::new(Endpoint { handler: Listen(attend), clients: clients() }),
        }
    }
}
