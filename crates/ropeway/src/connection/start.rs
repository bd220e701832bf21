//! Starts an opened connection: on an event loop if its stream can be watched there, otherwise as a task.

use std::io;
use std::sync::Arc;

use super::driver::Driver;
use super::handler::Handler;
use super::on_task::Task;
use super::opened::{Endpoint, Opened};
#[cfg(unix)]
use crate::event_loop;
#[cfg(unix)]
use crate::io::{Socket, Transport};
#[cfg(unix)]
use crate::log::guarded;

/// Tells the handler that the connection is open, and has it driven until it is closed. If the socket cannot be taken
/// from its runtime, this fails and the handler is not called.
pub(crate) fn start<T: 'static, H: Handler<T>>(
    opened: Opened,
    endpoint: &Arc<Endpoint<H>>,
    value: T,
) -> io::Result<()> {
    #[cfg(unix)]
    let Some((opened, value)) = on_event_loop(opened, endpoint, value)? else { return Ok(()) };
    tokio::spawn(Task::new(Driver::open(opened, Arc::clone(endpoint), value)));
    Ok(())
}

/// Passes a plain TCP connection to an event loop. Returns any other.
#[cfg(unix)]
fn on_event_loop<T: 'static, H: Handler<T>>(
    opened: Opened,
    endpoint: &Arc<Endpoint<H>>,
    value: T,
) -> io::Result<Option<(Opened, T)>> {
    let Opened { stream: Transport::Tcp(tcp), core, link, handshake, leftover, place } = opened else {
        #[cfg(test)]
        return receive_guest(opened, endpoint, value);
        #[cfg(not(test))]
        return Ok(Some((opened, value)));
    };
    let mailbox = match event_loop::next_mailbox(&tokio::runtime::Handle::current()) {
        Ok(mailbox) => mailbox,
        Err(error) => {
            guarded(|| {
                tracing::warn!(%error, "no event loop could be made, so a connection runs as a task; is the limit of open files (ulimit -n) too low?");
            });
            let stream = Transport::Tcp(tcp);
            return Ok(Some((Opened { stream, core, link, handshake, leftover, place }, value)));
        }
    };
    let stream = Socket::new(tcp.into_std()?);
    let opened = Opened { stream, core, link, handshake, leftover, place };
    mailbox.adopt(Box::new(Driver::open(opened, Arc::clone(endpoint), value)));
    Ok(None)
}

/// Puts a connection on an event loop that would otherwise be a task.
#[cfg(all(test, unix))]
fn receive_guest<T: 'static, H: Handler<T>>(
    opened: Opened,
    endpoint: &Arc<Endpoint<H>>,
    value: T,
) -> io::Result<Option<(Opened, T)>> {
    let mailbox = event_loop::next_mailbox(&tokio::runtime::Handle::current())?;
    mailbox.adopt(Box::new(super::guest::Guest::new(Driver::open(opened, Arc::clone(endpoint), value))));
    Ok(None)
}
