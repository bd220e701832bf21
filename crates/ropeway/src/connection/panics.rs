//! The log of panics in handlers. Peers can cause them, so the rate of these lines is bounded, for events and pull
//! together.

use crate::handle::Link;
use crate::log::{self, Rate};

static PANICS: Rate = Rate::new("panics of handlers");

const PANICKED: &str = "a handler panicked; its connection is closed with 1011";

/// Logs the panic of an event handler.
pub(super) fn log_event_handler(link: &Link) {
    PANICS.log(|| log::of_connection!(error, link, "{PANICKED}"));
}

/// Logs the panic of a pull handler. Its `WebSocket` was the handler's own, so the connection is not known here.
pub(super) fn log_pull_handler() {
    PANICS.log(|| tracing::error!("{PANICKED}"));
}
