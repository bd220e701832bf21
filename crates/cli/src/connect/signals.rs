//! Signals that ask the program to stop.

use tokio::sync::mpsc::UnboundedSender;

use super::events::Event;

/// Tells of each SIGINT (Ctrl-C) and SIGTERM from now on, in place of dying of them.
#[cfg(unix)]
pub(crate) fn watch(events: &UnboundedSender<Event>) {
    use tokio::signal::unix::{SignalKind, signal};

    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        // Where a handler cannot be set the signal does what it always did.
        let Ok(mut signal) = signal(kind) else { continue };
        let events = events.clone();
        tokio::spawn(async move { while signal.recv().await.is_some() && events.send(Event::Interrupted).is_ok() {} });
    }
}

/// Tells of each Ctrl-C from now on, in place of dying of it.
#[cfg(windows)]
pub(crate) fn watch(events: &UnboundedSender<Event>) {
    // Where a handler cannot be set Ctrl-C does what it always did.
    let Ok(mut signal) = tokio::signal::windows::ctrl_c() else { return };
    let events = events.clone();
    tokio::spawn(async move { while signal.recv().await.is_some() && events.send(Event::Interrupted).is_ok() {} });
}
