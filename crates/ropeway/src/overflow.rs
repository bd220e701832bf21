//! What happens to a message for which there is no room.

#[cfg(doc)]
use ropeway_proto::SendError;
use ropeway_proto::{CloseCode, CloseFrame};

/// What happens to a message for which there is no room, because the peer reads more slowly than it is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Sending it fails with [`SendError::Full`], and the caller decides. The default. A message of a [`Topic`](crate::Topic) has no caller that
    /// could be told, so there this is as good as [`Overflow::Close`].
    #[default]
    Refuse,
    /// It is dropped and [counted](crate::Handle::dropped), and the first is logged; sending it succeeds. Right for values that the
    /// next message makes stale.
    Drop,
    /// The connection is closed with 1013, try again later.
    Close,
}

/// How a peer is closed that reads too slowly.
pub(crate) fn too_slow() -> CloseFrame {
    CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "the write queue is full")
}
