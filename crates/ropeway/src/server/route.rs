//! Paths, and what happens to the connections that ask for them.

use std::sync::Arc;

use super::gate::{Gate, write};
use super::routes::Service;
use crate::connection::{Endpoint, Handler};
use crate::handshake::Handshake;
use crate::listen::{Listen, Listeners};
use crate::pull::{Pull, WebSocket};
use crate::settings::{ConnectionSettings, connection_setters};

/// A path of a [`Server`](crate::Server), to be given something that happens there. A path that had something before gets the new.
#[derive(Debug)]
#[must_use = "a route serves nothing until it is given a handler"]
pub struct Route<'s> {
    gate: &'s Gate,
    path: Option<String>,
    connection: ConnectionSettings,
}

impl<'s> Route<'s> {
    pub(super) fn new(gate: &'s Gate, path: Option<String>) -> Self {
        Self { gate, path, connection: gate.settings.connection.clone() }
    }

    /// Calls `listen` with each connection, to put listeners on it.
    pub fn on_connection(self, listen: impl Fn(&mut Listeners, Handshake) + Send + Sync + 'static) {
        self.handle_with(Listen(listen));
    }

    /// Spawns `serve` as a task for each connection, to ask its [`WebSocket`] for messages. A
    /// [shutdown](crate::Server::shutdown) waits for its end.
    pub fn spawn_each<F, Fut>(self, serve: F)
    where
        F: Fn(WebSocket, Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let clients = Arc::clone(&self.gate.clients);
        self.handle_with(Pull { opened: move |socket, handshake| clients.run(serve(socket, handshake)) });
    }

    /// Lets `handler` handle each connection.
    pub fn handle_with(self, handler: impl Handler) {
        let clients = Some(Arc::clone(&self.gate.clients));
        let mut options = self.gate.settings.options.clone();
        options.deflate.clone_from(&self.connection.deflate);
        let service = Service {
            endpoint: Arc::new(Arc::new(Endpoint { handler, clients })),
            options: Arc::new(options),
            connection: Arc::new(self.connection),
        };
        let old = write(&self.gate.routes).set(self.path, service);
        // It owns values of the application's, so it goes when the lock is free.
        drop(old);
    }
}

/// Settings of the connections of this path, where they differ from the server's.
impl Route<'_> {
    connection_setters!();

    fn connection_settings(&mut self) -> &mut ConnectionSettings {
        &mut self.connection
    }
}
