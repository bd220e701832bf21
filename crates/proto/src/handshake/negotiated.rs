//! The result of the opening handshake, the same for both roles.

use crate::deflate;

/// The terms that both sides agreed on. The handshake passes nothing else to the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The subprotocol as the client wrote it. `None` if none was agreed on.
    pub subprotocol: Option<String>,
    /// The parameters of permessage-deflate. `None` if messages are not compressed.
    pub deflate: Option<deflate::Params>,
}
