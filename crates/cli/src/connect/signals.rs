//! What asks the program to stop: signals, and Ctrl-C at the prompt. It has a queue of its own, so that nothing is before it.

use tokio::sync::mpsc::UnboundedSender;

/// Something that asks the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ctrl-C, or SIGINT.
    Interrupt,
    /// SIGTERM.
    #[cfg_attr(windows, expect(dead_code, reason = "there is none"))]
    Terminate,
}

/// Tells of each SIGINT (Ctrl-C) and SIGTERM from now on, in place of dying of them.
#[cfg(unix)]
pub(crate) fn watch(stops: &UnboundedSender<Stop>) {
    use tokio::signal::unix::{SignalKind, signal};

    for (kind, stop) in [(SignalKind::interrupt(), Stop::Interrupt), (SignalKind::terminate(), Stop::Terminate)] {
        // Where a handler cannot be set the signal does what it always did.
        let Ok(mut signal) = signal(kind) else { continue };
        let stops = stops.clone();
        tokio::spawn(async move { while signal.recv().await.is_some() && stops.send(stop).is_ok() {} });
    }
}

/// Tells of each Ctrl-C from now on, in place of dying of it.
#[cfg(windows)]
pub(crate) fn watch(stops: &UnboundedSender<Stop>) {
    // Where a handler cannot be set Ctrl-C does what it always did.
    let Ok(mut signal) = tokio::signal::windows::ctrl_c() else { return };
    let stops = stops.clone();
    tokio::spawn(async move { while signal.recv().await.is_some() && stops.send(Stop::Interrupt).is_ok() {} });
}
