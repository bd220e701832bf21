//! The mode of the terminal: how it was before the prompt changed it.

/// How a terminal was.
#[cfg(unix)]
pub(crate) struct Mode(nix::sys::termios::Termios);

#[cfg(unix)]
impl Mode {
    /// How the terminal is; `None` if it does not tell.
    pub(crate) fn now() -> Option<Self> {
        nix::sys::termios::tcgetattr(std::io::stdin()).ok().map(Self)
    }

    /// Makes it so again, without waiting for what is still to be shown: nobody may ever look at it.
    pub(crate) fn restore(&self) {
        use nix::sys::termios::{SetArg, tcsetattr};

        // A terminal that is gone needs no mode.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Shells there set the mode of their console themselves.
#[cfg(windows)]
pub(crate) struct Mode;

#[cfg(windows)]
impl Mode {
    pub(crate) fn now() -> Option<Self> {
        None
    }

    pub(crate) fn restore(&self) {}
}
