//! The states of a connection, drawn. What moves it from one to the next is [`Connection`](crate::Connection)'s.

use std::time::Instant;

use crate::message::Message;
use crate::outcome::Closed;

/// ```text
///   Open ◄── send_fragment() ──► Fragmenting
///    │                              │
///    ├──────────────────────────────┘
///    │                                              close(), answer_close(), or close_timeout
///    ├── peer's close frame or EOF, told ──► Unanswered ──────────────────────────────────────────┐
///    ├── close() ──► CloseSent ── peer's close frame, or EOF ───────────────────────────────────┐ │
///    ├── peer's close frame, answered ────────────────────────────────────────────────────────┐ │ │
///    ├── EOF ───────────────────────────────────────────────────────────────────────────────┐ │ │ │
///    └── violation ── (close frame) ──────────────────────────────────────────────────────┐ │ │ │ │
///                                                                                         ▼ ▼ ▼ ▼ ▼
///   any ── terminate(), reset, keepalive or close_timeout over ──► Closed ◄─────────────── Lingering
/// ```
///
/// `Unanswered` is entered where `auto_close` is off; where it is on, the peer's close frame is answered at once.
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
    /// The peer has closed or ended its half, and this side may still send.
    Unanswered(Unanswered),
    /// Our close frame is queued or sent, the peer's has not come. Messages may still come.
    CloseSent {
        deadline: Instant,
    },
    Lingering(Lingering),
    Closed(Closed),
}

/// The peer has said that it is done, and this side has not.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// Clean where the peer's close frame came; where it ended its half without one it is not.
    pub(crate) outcome: Closed,
    /// When it is answered in any case.
    pub(crate) deadline: Instant,
    /// Whether the peer has ended its half of the transport.
    pub(crate) is_ended: bool,
    /// How many bytes may still come behind the close frame, see [`LEFT`].
    pub(crate) left: usize,
    /// The message that this side is sending in fragments.
    pub(crate) fragments: Option<Fragments>,
}

/// Nothing more is received. What is queued is written, then the transport is ended. What the peer still sends is thrown
/// away rather than left unread: ending a TCP connection with unread bytes resets it, and the peer would lose our close frame.
///
/// ```text
///              EOF, or end_timeout
///   Awaiting ──────────────────────► Writing ── all written ──► Ending ── told that it is done ──► Ended
/// ```
///
/// It is over in `Ended`, once the peer has ended its half where that is waited for.
#[derive(Debug)]
pub(crate) struct Lingering {
    pub(crate) outcome: Closed,
    pub(crate) shutdown: Shutdown,
    pub(crate) peer: Peer,
    /// When the state of `shutdown` has lasted long enough.
    pub(crate) deadline: Instant,
    /// When all has to be over.
    pub(crate) last: Instant,
    /// How many bytes may still come, see [`LEFT`].
    pub(crate) left: usize,
}

/// How far our half of the transport is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// The peer ends its half first. RFC 6455 section 7.1.1: "The underlying TCP connection, in most normal cases, SHOULD be
    /// closed first by the server", so a client waits for that, unless the connection failed.
    Awaiting,
    /// What is queued goes first.
    Writing,
    /// The driver was told to end it.
    Ending,
    Ended,
}

/// The peer's half of the transport, of a connection that lingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Its end is waited for: it may be in the middle of sending, and has to read our close frame first.
    Awaited,
    /// After both close frames it has nothing more to say (RFC 6455 section 5.5.1), so a server need not wait.
    Done,
    /// Its end came.
    Ended,
}

/// How many bytes of a peer that was told to stop are read and thrown away: the largest message that a client takes by
/// default, whose sender may read nothing before all of it is written. The time alone would bound nothing, as a peer can send
/// some gigabytes a second.
pub(crate) const LEFT: usize = 64 << 20;

impl State {
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.other(), None | Some(Other::Fragmenting(_) | Other::Unanswered(_)))
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
                Other::Unanswered(unanswered) => unanswered.fragments.as_mut(),
                _ => None,
            },
            Self::Open => None,
        }
    }

    /// A message that is sent in fragments has begun.
    pub(crate) fn start_fragments(&mut self) {
        if let Self::Other(other) = self
            && let Other::Unanswered(unanswered) = &mut **other
        {
            unanswered.fragments = Some(Fragments::default());
        } else {
            *self = Self::Other(Box::new(Other::Fragmenting(Fragments::default())));
        }
    }

    /// It was sent to its end: gives what waited for that.
    pub(crate) fn end_fragments(&mut self) -> Fragments {
        if let Self::Other(other) = self
            && let Other::Unanswered(unanswered) = &mut **other
        {
            return unanswered.fragments.take().unwrap_or_default();
        }
        match std::mem::replace(self, Self::Open) {
            Self::Other(other) => match *other {
                Other::Fragmenting(fragments) => fragments,
                _ => Fragments::default(),
            },
            Self::Open => Fragments::default(),
        }
    }
}

impl Lingering {
    /// The peer need not be waited for any more: our half ends once all is written.
    pub(crate) fn leave(&mut self) {
        if self.shutdown == Shutdown::Awaiting {
            self.shutdown = Shutdown::Writing;
        }
        self.deadline = self.last;
    }
}

/// Messages that wait for the end of one in fragments.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    pub(crate) held: Vec<Message>,
    /// The bytes of their payloads and their places, so that empty messages are bounded too.
    pub(crate) held_bytes: usize,
}

impl Fragments {
    pub(crate) fn hold(&mut self, message: Message) {
        self.held_bytes += message.len() + size_of::<Message>();
        self.held.push(message);
    }
}
