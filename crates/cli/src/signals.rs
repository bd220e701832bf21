//! Signals that ask the program to stop. They are waited for only here.

use std::io;

/// A request to stop the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT, or Ctrl-C at a prompt.
    Interrupt,
    /// SIGTERM, which service managers send.
    #[cfg_attr(windows, expect(dead_code, reason = "there is none"))]
    Terminate,
}

/// Receives the signals from now on. They no longer end the program.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn watch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(windows)]
impl Signals {
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for the next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        self.interrupt.recv().await;
        Signal::Interrupt
    }
}

impl Signals {
    /// Waits for Ctrl-C. Cancel safe.
    pub(crate) async fn interrupt(&mut self) {
        while self.next().await != Signal::Interrupt {}
    }
}

/// Waits for Ctrl-C. SIGTERM still ends the program. If Ctrl-C cannot be waited for, it ends the program too, and this
/// never returns.
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
