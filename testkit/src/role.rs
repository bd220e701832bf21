//! The end of the connection that a case tests.

use serde::Deserialize;

use crate::wire;

/// The end that is tested in a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The peer masks, we do not.
    Server,
    /// We mask, the peer does not.
    Client,
}

impl Role {
    /// The masking key of the frames that the peer sends.
    pub fn peer_mask(self) -> Option<[u8; 4]> {
        (self == Self::Server).then_some(wire::KEY)
    }

    /// The masking key of the frames that we send.
    pub fn our_mask(self) -> Option<[u8; 4]> {
        (self == Self::Client).then_some(wire::KEY)
    }
}
