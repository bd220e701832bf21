//! Paths, and what happens to the connections that ask for them.

use std::sync::Arc;

use ropeway_proto::deflate;
use ropeway_proto::handshake::ServerOptions;

use super::{Server, write};
#[cfg(unix)]
use crate::driver::Driver;
use crate::driver::{Endpoint, Opened};
#[cfg(unix)]
use crate::event_loop::{Drive, Socket};
use crate::handler::Handler;
use crate::handshake::Handshake;
use crate::listeners::{self, Listen};
use crate::overflow::Overflow;
use crate::start;
use crate::websocket::{Pull, WebSocket};

/// A path of a [`Server`], to be given something that happens there. A path that had something before gets the new.
#[derive(Debug)]
#[must_use = "a route serves nothing until it is given a handler"]
pub struct Route<'s> {
    server: &'s Server,
    path: Option<String>,
    deflate: Option<deflate::Options>,
    overflow: Overflow,
}

impl<'s> Route<'s> {
    pub(super) fn new(server: &'s Server, path: Option<String>) -> Self {
        let settings = &server.shared.settings;
        Self { server, path, deflate: settings.options.deflate.clone(), overflow: settings.overflow }
    }

    /// Compression on this path, where it differs from the server's; `None` for none.
    pub fn per_message_deflate(mut self, options: impl Into<Option<deflate::Options>>) -> Self {
        self.deflate = options.into();
        self
    }

    /// What happens on this path to a message for which there is no room, where it differs from the server's policy.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Calls `listen` with each connection, to put listeners on it.
    pub fn on_connection(self, listen: impl Fn(&mut listeners::Socket, Handshake) + Send + Sync + 'static) {
        self.handler(Listen(listen));
    }

    /// Runs `serve` as a task for each connection.
    pub fn pull<F, Fut>(self, serve: F)
    where
        F: Fn(WebSocket, Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handler(Pull {
            opened: move |socket, handshake| {
                tokio::spawn(serve(socket, handshake));
            },
        });
    }

    /// Handles each connection.
    pub fn handler(self, handler: impl Handler) {
        let clients = Some(Arc::clone(&self.server.shared.clients));
        let mut options = self.server.shared.settings.options.clone();
        options.deflate = self.deflate;
        let service = Service {
            endpoint: Arc::new(Arc::new(Endpoint { handler, clients })),
            options: Arc::new(options),
            overflow: self.overflow,
        };
        let old = write(&self.server.shared.routes).set(self.path, service);
        // It owns values of the application's, so it goes when the lock is free.
        drop(old);
    }
}

/// What happens at a path.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) endpoint: Arc<dyn Start>,
    /// The server's, with what is different here.
    pub(super) options: Arc<ServerOptions>,
    pub(super) overflow: Overflow,
}

/// Starts a connection, whatever its handler.
pub(super) trait Start: Send + Sync {
    fn start(&self, opened: Opened);
    /// What an event loop is to carry.
    #[cfg(unix)]
    fn drive(&self, opened: Opened<Socket>) -> Box<dyn Drive>;
}

impl<H: Handler> Start for Arc<Endpoint<H>> {
    fn start(&self, opened: Opened) {
        if let Err(error) = start::start(opened, self) {
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
    /// What happens at every other path.
    everywhere: Option<Service>,
}

impl Routes {
    pub(super) fn find(&self, path: &str) -> Option<Service> {
        let exact = self.paths.iter().find(|(served, _)| served == path).map(|(_, service)| service);
        exact.or(self.everywhere.as_ref()).cloned()
    }

    /// Gives what happened there before.
    fn set(&mut self, path: Option<String>, service: Service) -> Option<Service> {
        let Some(path) = path else { return self.everywhere.replace(service) };
        if let Some((_, served)) = self.paths.iter_mut().find(|(served, _)| *served == path) {
            return Some(std::mem::replace(served, service));
        }
        self.paths.push((path, service));
        None
    }
}
