//! The result of the opening handshake, the same for both roles.

use crate::deflate;

/// The terms that both sides agreed on: all that the handshake hands over to the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The subprotocol, exactly as the client offered it. `None` if none was agreed on.
    pub subprotocol: Option<String>,
    /// The parameters of permessage-deflate. `None` if messages travel uncompressed.
    pub deflate: Option<deflate::Params>,
}
