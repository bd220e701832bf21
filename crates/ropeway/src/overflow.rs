//! The policy for messages for which there is no room.

#[cfg(doc)]
use ropeway_proto::SendError;
use ropeway_proto::{CloseCode, CloseFrame};

/// The policy for a message for which there is no room, because the peer reads more slowly than messages are sent to
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Sending it fails with [`SendError::Full`], and the caller decides. This is the default. A message of a
    /// [`Topic`](crate::Topic) has no caller that could decide, so there this means the same as [`Overflow::Close`].
    #[default]
    Refuse,
    /// It is dropped and [counted](crate::Handle::dropped), and the first is logged. Sending it succeeds. This is right
    /// for values that the next message replaces.
    Drop,
    /// The connection is closed with 1013, try again later.
    Close,
}

/// The close frame for a peer that reads too slowly.
pub(crate) fn too_slow() -> CloseFrame {
    CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "the write queue is full")
}
