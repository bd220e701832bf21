//! The mode of the terminal, to be restored after the prompt has changed it.

/// The mode of a terminal.
#[cfg(unix)]
pub(crate) struct Mode(nix::sys::termios::Termios);

#[cfg(unix)]
impl Mode {
    /// Returns the current mode. `None` if it cannot be read.
    pub(crate) fn now() -> Option<Self> {
        nix::sys::termios::tcgetattr(std::io::stdin()).ok().map(Self)
    }

    /// Restores the mode. Does not wait for output that is still to be shown, since it may never be shown.
    pub(crate) fn restore(&self) {
        use nix::sys::termios::{SetArg, tcsetattr};

        // If the terminal is gone, it needs no mode.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// On Windows, shells set the mode of their console themselves.
#[cfg(windows)]
pub(crate) struct Mode;

#[cfg(windows)]
impl Mode {
    pub(crate) fn now() -> Option<Self> {
        None
    }

    pub(crate) fn restore(&self) {}
}
