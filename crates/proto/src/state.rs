//! The four ready states that a user sees, named as in the browser's `WebSocket`.

use std::fmt;

/// The ready state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ReadyState {
    /// The opening handshake is under way.
    Connecting = 0,
    /// Messages go both ways.
    Open = 1,
    /// A close frame was sent or received, or the connection has failed: nothing more can be sent.
    Closing = 2,
    /// The connection is over.
    Closed = 3,
}

impl fmt::Display for ReadyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "CONNECTING",
            Self::Open => "OPEN",
            Self::Closing => "CLOSING",
            Self::Closed => "CLOSED",
        })
    }
}
