//! The states of a connection, drawn. What moves it from one to the next is [`Connection`](crate::Connection)'s.

use std::time::Instant;

use crate::close::Closed;
use crate::message::Message;

/// ```text
///   Open ◄── send_fragment() ──► Fragmenting
///    │                              │
///    ├──────────────────────────────┘
///    │               close()                        peer's close frame
///    ├─────────────────────────────► CloseSent ────────────────────────┐
///    ├──── peer's close frame ───────── │ ──── (answered) ──────────┐ │
///    └──── violation ──────────────── ──┴──── (close frame) ───────┐│ │
///                                                                  ▼▼ ▼
///                                                               Lingering ──EOF, or close_timeout──► Closed
///   any ── EOF, terminate(), keepalive or close_timeout over ──────────────────────────────────────────▲
/// ```
///
/// A connection is open for most of its life, so what the other states need is kept apart.
#[derive(Debug)]
pub(crate) enum State {
    Open,
    Other(Box<Other>),
}

/// What is not [`State::Open`], or not just that.
#[derive(Debug)]
pub(crate) enum Other {
    /// Open, and within a message that is sent in fragments.
    Fragmenting(Fragments),
    /// Our close frame is queued or sent, the peer's has not come. Messages may still come.
    CloseSent {
        deadline: Instant,
    },
    /// Nothing more will come. What is queued is written, then the transport is ended. What the peer still sends is thrown
    /// away rather than left unread: ending a TCP connection with unread bytes resets it, and the peer would lose our
    /// close frame.
    Lingering {
        outcome: Closed,
        deadline: Instant,
        shutdown: Shutdown,
    },
    Closed(Closed),
}

impl State {
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.other(), None | Some(Other::Fragmenting(_)))
    }

    #[inline]
    pub(crate) fn other(&self) -> Option<&Other> {
        match self {
            Self::Open => None,
            Self::Other(other) => Some(other),
        }
    }

    /// Within a message that is sent in fragments: what waits for its end.
    #[inline]
    pub(crate) fn fragments(&mut self) -> Option<&mut Fragments> {
        match self {
            Self::Other(other) => match &mut **other {
                Other::Fragmenting(fragments) => Some(fragments),
                _ => None,
            },
            Self::Open => None,
        }
    }
}

/// Who ends the transport. RFC 6455 section 7.1.1: "The underlying TCP connection, in most normal cases, SHOULD be closed
/// first by the server", so a client waits for that, unless the connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    Ours,
    Peers,
    Done,
}

/// Messages that wait for the end of one in fragments.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    pub(crate) held: Vec<Message>,
    /// The bytes of their payloads.
    pub(crate) held_bytes: usize,
}
