//! Endpoints for connections that each come with a closure of their own, which is called once: shared by all of them, so that such a
//! connection costs no more than others once the closure is gone.

use std::sync::{Arc, OnceLock};

use ropeway_proto::handshake::ServerOptions;

use super::settings::RouteSettings;
use crate::connection::{Clients, Endpoint};
use crate::handshake::Handshake;
use crate::listen::{Listen, Listeners};
use crate::pull::{Pull, WebSocket};

/// Serves one connection in the pull style. It comes to the endpoint as the value of the handshake.
pub(super) type Serve = Box<dyn FnOnce(WebSocket, Handshake) + Send>;

/// Puts listeners on one connection; the same.
pub(super) type Attend = Box<dyn FnOnce(&mut Listeners, Handshake) + Send>;

type PullOnce = Pull<fn(WebSocket, Handshake<Serve>)>;
type ListenOnce = Listen<fn(&mut Listeners, Handshake<Attend>)>;

/// The parts that a server's connections with closures of their own share. Each is made when it is first needed.
#[derive(Default)]
pub(super) struct OneOff {
    options: OnceLock<Arc<ServerOptions>>,
    pull: OnceLock<Arc<Endpoint<PullOnce>>>,
    listen: OnceLock<Arc<Endpoint<ListenOnce>>>,
}

impl OneOff {
    /// The server's settings, by which a request is judged.
    pub(super) fn options(&self, settings: &RouteSettings) -> Arc<ServerOptions> {
        let options = self.options.get_or_init(|| {
            let mut options = settings.options.clone();
            options.deflate.clone_from(&settings.connection.deflate);
            Arc::new(options)
        });
        Arc::clone(options)
    }

    pub(super) fn pull(&self, clients: &Arc<Clients>) -> Arc<Endpoint<PullOnce>> {
        let opened: fn(WebSocket, Handshake<Serve>) = |ws, handshake| {
            let (serve, handshake) = handshake.replace(());
            serve(ws, handshake);
        };
        let endpoint = self
            .pull
            .get_or_init(|| Arc::new(Endpoint { handler: Pull { opened }, clients: Some(Arc::clone(clients)) }));
        Arc::clone(endpoint)
    }

    pub(super) fn listen(&self, clients: &Arc<Clients>) -> Arc<Endpoint<ListenOnce>> {
        let listen: fn(&mut Listeners, Handshake<Attend>) = |ws, handshake| {
            let (attend, handshake) = handshake.replace(());
            attend(ws, handshake);
        };
        let endpoint = self
            .listen
            .get_or_init(|| Arc::new(Endpoint { handler: Listen(listen), clients: Some(Arc::clone(clients)) }));
        Arc::clone(endpoint)
    }
}
