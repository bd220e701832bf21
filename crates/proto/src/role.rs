//! The two ends of a connection.

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// The end that was connected to. It never masks.
    Server,
    /// The end that connected. RFC 6455 section 5.3 asks for a fresh key for each frame, from a strong source of entropy.
    Client {
        /// Returns the key for the next frame.
        mask: fn() -> [u8; 4],
    },
}
