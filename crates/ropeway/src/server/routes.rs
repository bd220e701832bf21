//! The paths of a server, and what carries the connections of each.

use std::sync::Arc;

use ropeway_proto::handshake::ServerOptions;

#[cfg(unix)]
use crate::connection::Driver;
use crate::connection::{Endpoint, Handler, Opened, start};
#[cfg(unix)]
use crate::event_loop::Drive;
#[cfg(unix)]
use crate::io::Socket;
use crate::settings::ConnectionSettings;

/// The service of a path.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) endpoint: Arc<dyn Start>,
    /// The server's, with this path's compression.
    pub(super) options: Arc<ServerOptions>,
    pub(super) connection: Arc<ConnectionSettings>,
}

/// Starts a connection, whatever its handler.
pub(super) trait Start: Send + Sync {
    fn start(&self, opened: Opened);
    /// Opens a connection for an event loop to carry.
    #[cfg(unix)]
    fn drive(&self, opened: Opened<Socket>) -> Box<dyn Drive>;
}

impl<H: Handler> Start for Arc<Endpoint<H>> {
    fn start(&self, opened: Opened) {
        if let Err(error) = start(opened, self) {
            tracing::warn!(%error, "a connection cannot be taken from its runtime, and is dropped");
        }
    }

    #[cfg(unix)]
    fn drive(&self, opened: Opened<Socket>) -> Box<dyn Drive> {
        Box::new(Driver::open(opened, Arc::clone(self)))
    }
}

/// All paths. There are few, so they are searched one by one.
#[derive(Default)]
pub(super) struct Routes {
    paths: Vec<(String, Service)>,
    /// The service of every other path.
    everywhere: Option<Service>,
}

impl Routes {
    pub(super) fn find(&self, path: &str) -> Option<Service> {
        let exact = self.paths.iter().find(|(served, _)| served == path).map(|(_, service)| service);
        exact.or(self.everywhere.as_ref()).cloned()
    }

    /// Returns what happened there before.
    pub(super) fn set(&mut self, path: Option<String>, service: Service) -> Option<Service> {
        let Some(path) = path else { return self.everywhere.replace(service) };
        if let Some((_, served)) = self.paths.iter_mut().find(|(served, _)| *served == path) {
            return Some(std::mem::replace(served, service));
        }
        self.paths.push((path, service));
        None
    }
}
