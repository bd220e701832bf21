//! Sets an opened connection to work: on an event loop if its stream can be watched there, else as a task of its own.

use std::sync::Arc;

use crate::driver::{Driver, Endpoint, Opened};
use crate::handler::Handler;
use crate::log::guarded;
use crate::task::Task;
#[cfg(unix)]
use crate::{event_loop, transport::Transport};

/// Tells the handler that the connection is open, and sees to it that it is driven until it is closed.
pub(crate) fn start<H: Handler>(opened: Opened, endpoint: &Arc<Endpoint<H>>) {
    #[cfg(unix)]
    let Some(opened) = on_event_loop(opened, endpoint) else { return };
    tokio::spawn(Task::new(Driver::open(opened, Arc::clone(endpoint))));
}

/// Hands a plain TCP connection to an event loop; gives any other back.
#[cfg(unix)]
fn on_event_loop<H: Handler>(opened: Opened, endpoint: &Arc<Endpoint<H>>) -> Option<Opened> {
    let Opened { stream: Transport::Tcp(tcp), connection, link, handshake, leftover, place } = opened else {
        return Some(opened);
    };
    let mailbox = match event_loop::next_mailbox(&tokio::runtime::Handle::current()) {
        Ok(mailbox) => mailbox,
        Err(error) => {
            guarded(|| {
                tracing::warn!(%error, "no event loop can be had; is the limit of open files (ulimit -n) too low?");
            });
            return Some(Opened { stream: Transport::Tcp(tcp), connection, link, handshake, leftover, place });
        }
    };
    match tcp.into_std() {
        Ok(tcp) => {
            let stream = event_loop::Socket::new(tcp);
            let opened = Opened { stream, connection, link, handshake, leftover, place };
            mailbox.adopt(Box::new(Driver::open(opened, Arc::clone(endpoint))));
        }
        Err(error) => guarded(|| tracing::warn!(%error, "a connection cannot be taken from its runtime")),
    }
    None
}
