//! The four parameters that both sides agreed on. Reaching the agreement is left to the negotiation.

use crate::role::Role;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The side that accepted the connection.
    Server,
    /// The side that opened the connection.
    Client,
}

impl From<&Role> for Side {
    fn from(role: &Role) -> Self {
        match role {
            Role::Server => Self::Server,
            Role::Client { .. } => Self::Client,
        }
    }
}

/// The agreed parameters of permessage-deflate (RFC 7692 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The server starts each message with an empty window (section 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// The client starts each message with an empty window (section 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// The server points back at most 2 to the power of this bytes (section 7.1.2.1). 8 to 15.
    pub server_max_window_bits: u8,
    /// The client points back at most 2 to the power of this bytes (section 7.1.2.2). 8 to 15.
    pub client_max_window_bits: u8,
}

/// The parameters of an answer that states none: windows of 2^15 bytes, kept from message to message.
impl Default for Params {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

/// The part of the parameters that concerns the messages of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    /// Whether the window is kept from message to message.
    pub(super) context_takeover: bool,
    pub(super) max_window_bits: u8,
}

impl Params {
    /// The part for the messages that this side sends.
    pub(super) const fn sent_by(self, side: Side) -> Direction {
        match side {
            Side::Server => Direction {
                context_takeover: !self.server_no_context_takeover,
                max_window_bits: self.server_max_window_bits,
            },
            Side::Client => Direction {
                context_takeover: !self.client_no_context_takeover,
                max_window_bits: self.client_max_window_bits,
            },
        }
    }

    /// The part for the messages that this side receives.
    pub(super) const fn received_by(self, side: Side) -> Direction {
        self.sent_by(match side {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        })
    }
}
