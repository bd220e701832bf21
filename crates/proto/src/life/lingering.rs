//! The last state before a connection is closed: the queue is written, and both halves of the transport end.

use std::time::{Duration, Instant};

use crate::outcome::Closed;

/// The time, the end that this is, and a part of [`Config`](crate::Config): with the state they decide how a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) now: Instant,
    pub(crate) is_server: bool,
    pub(crate) auto_close: bool,
    pub(crate) close_timeout: Option<Duration>,
    pub(crate) end_timeout: Duration,
}

impl Terms {
    /// When the time for closing is over, if it ever is.
    pub(super) fn close_deadline(self) -> Option<Instant> {
        self.now.checked_add(self.close_timeout?)
    }
}

/// Nothing more is received. What is queued is written, then the transport is ended. What the peer still sends is thrown
/// away rather than left unread: ending a TCP connection with unread bytes resets it, and the peer would lose our close frame.
///
/// ```text
///              eof(), or end_timeout
///   Awaiting ───────────────────────► Writing ── begin_shutdown() ──► Ending ── shutdown_done() ──► Ended
/// ```
///
/// It is over in `Ended`, once the peer has ended its half if that is waited for.
#[derive(Debug)]
pub(crate) struct Lingering {
    pub(crate) outcome: Closed,
    pub(super) shutdown: Shutdown,
    pub(super) peer: Peer,
    /// When the state of `shutdown` has lasted long enough.
    pub(super) deadline: Option<Instant>,
    /// When all has to be over.
    last: Option<Instant>,
    /// How many bytes may still come, see [`LEFT`].
    pub(super) left: usize,
}

/// How far our half of the transport is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    /// The peer ends its half first. RFC 6455 section 7.1.1: "The underlying TCP connection, in most normal cases, SHOULD be
    /// closed first by the server", so a client waits for that, unless the connection failed.
    Awaiting,
    /// The queue is written first.
    Writing,
    /// The driver was told to end it.
    Ending,
    Ended,
}

/// The peer's half of the transport, of a connection that lingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Its end is waited for: it may be in the middle of sending, and has to read our close frame first.
    Awaited,
    /// After both close frames it has nothing more to say (RFC 6455 section 5.5.1), so a server need not wait.
    Done,
    /// Its end came.
    Ended,
}

/// How many bytes of a peer that was told to stop are read and thrown away. A peer that reads nothing before it has written all
/// of a message gets our close frame if no more than this is missing. The time alone would bound nothing: a peer can send some
/// gigabytes a second.
pub(super) const LEFT: usize = 64 << 20;

impl Lingering {
    /// Both close frames are sent or queued. `is_ended` if the peer has ended its half, too.
    pub(super) fn clean(outcome: Closed, is_ended: bool, terms: Terms) -> Self {
        match terms.is_server {
            _ if is_ended => Self::new(outcome, Shutdown::Writing, Peer::Ended, terms),
            true => Self::new(outcome, Shutdown::Writing, Peer::Done, terms),
            false => Self::new(outcome, Shutdown::Awaiting, Peer::Awaited, terms),
        }
    }

    /// The connection has failed: this side ends its half as soon as all is written, and lets the peer read it.
    pub(super) fn failed(outcome: Closed, terms: Terms) -> Self {
        Self::new(outcome, Shutdown::Writing, Peer::Awaited, terms)
    }

    /// The peer has ended its half without a close frame.
    pub(super) fn unclean(outcome: Closed, terms: Terms) -> Self {
        Self::new(outcome, Shutdown::Writing, Peer::Ended, terms)
    }

    fn new(outcome: Closed, shutdown: Shutdown, peer: Peer, terms: Terms) -> Self {
        let last = terms.close_deadline();
        let deadline = match shutdown {
            Shutdown::Awaiting => last.into_iter().chain(terms.now.checked_add(terms.end_timeout)).min(),
            Shutdown::Writing | Shutdown::Ending | Shutdown::Ended => last,
        };
        Self { outcome, shutdown, peer, deadline, last, left: LEFT }
    }

    /// The peer has ended its half.
    pub(super) fn eof(&mut self) {
        self.peer = Peer::Ended;
        self.stop_waiting();
    }

    /// Returns whether to go on: the server has had its time to end the connection first, and this side ends its half now.
    pub(super) fn timeout(&mut self, now: Instant) -> bool {
        if self.shutdown != Shutdown::Awaiting || self.last.is_some_and(|last| now >= last) {
            return false;
        }
        self.peer = Peer::Done;
        self.stop_waiting();
        true
    }

    /// Both halves have ended, as far as they are waited for.
    pub(super) fn is_over(&self) -> bool {
        self.shutdown == Shutdown::Ended && self.peer != Peer::Awaited
    }

    /// The peer need not be waited for any more: our half ends once all is written, with the rest of the time.
    fn stop_waiting(&mut self) {
        if self.shutdown == Shutdown::Awaiting {
            self.shutdown = Shutdown::Writing;
        }
        self.deadline = self.last;
    }
}
