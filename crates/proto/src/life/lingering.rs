//! The last state before a connection is closed: the queue is written, and both halves of the transport are ended.

use std::time::{Duration, Instant};

use crate::outcome::Closed;

/// Facts that decide, with the state, how a connection ends: the time, the role, and a part of
/// [`Config`](crate::Config).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) now: Instant,
    pub(crate) is_server: bool,
    pub(crate) auto_close: bool,
    pub(crate) auto_fail: bool,
    pub(crate) close_timeout: Option<Duration>,
    pub(crate) end_timeout: Duration,
}

impl Terms {
    /// The time at which closing is given up, if it ever is.
    pub(super) fn close_deadline(self) -> Option<Instant> {
        self.now.checked_add(self.close_timeout?)
    }
}

/// Nothing more is received. The queue is written, then the transport is ended. Bytes that still come from the peer are
/// read and thrown away: if a TCP connection ends with unread bytes, it is reset, and the peer loses our close frame.
///
/// ```text
///              eof(), or end_timeout
///   Awaiting ───────────────────────► Writing ── begin_shutdown() ──► Ending ── shutdown_done() ──► Ended
/// ```
///
/// It is over in `Ended`; if the peer's end is waited for, only after that.
#[derive(Debug)]
pub(crate) struct Lingering {
    pub(crate) outcome: Closed,
    pub(super) shutdown: Shutdown,
    pub(super) peer: Peer,
    /// The deadline of the current value of `shutdown`.
    pub(super) deadline: Option<Instant>,
    /// The deadline for all of it.
    last: Option<Instant>,
    /// The number of bytes that may still come, see [`LEFT`].
    pub(super) left: usize,
}

/// The progress of ending our half of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    /// The peer ends its half first. RFC 6455 section 7.1.1: "The underlying TCP connection, in most normal cases,
    /// SHOULD be closed first by the server", so a client waits for that, unless the connection failed.
    Awaiting,
    /// The queue is being written.
    Writing,
    /// The driver was told to end our half.
    Ending,
    Ended,
}

/// The state of the peer's half of the transport while a connection lingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// The peer's end is waited for: the peer may be in the middle of sending, and must get the time to read our close
    /// frame.
    Awaited,
    /// The peer has nothing more to send after both close frames (RFC 6455 section 5.5.1), so a server need not wait.
    Done,
    /// The peer has ended its half.
    Ended,
}

/// The most bytes of a peer that are read and thrown away after it was told to stop. A peer that reads nothing before
/// it has written a whole message still gets our close frame, if no more than this is missing. A time limit alone would
/// not bound the work, since a peer can send some gigabytes a second.
pub(super) const LEFT: usize = 64 << 20;

impl Lingering {
    /// Both close frames are sent or queued. `is_ended` says whether the peer has ended its half, too.
    pub(super) fn clean(outcome: Closed, is_ended: bool, terms: Terms) -> Self {
        match terms.is_server {
            _ if is_ended => Self::new(outcome, Shutdown::Writing, Peer::Ended, terms),
            true => Self::new(outcome, Shutdown::Writing, Peer::Done, terms),
            false => Self::new(outcome, Shutdown::Awaiting, Peer::Awaited, terms),
        }
    }

    /// The connection has failed: this side ends its half as soon as all is written, and lets the peer read it.
    /// `is_ended` says whether the peer has ended its half.
    pub(super) fn failed(outcome: Closed, is_ended: bool, terms: Terms) -> Self {
        let peer = if is_ended { Peer::Ended } else { Peer::Awaited };
        Self::new(outcome, Shutdown::Writing, peer, terms)
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

    /// Returns whether to go on. If the server was given time to end the connection first, and did not, this side ends
    /// its half now.
    pub(super) fn timeout(&mut self, now: Instant) -> bool {
        if self.shutdown != Shutdown::Awaiting || self.last.is_some_and(|last| now >= last) {
            return false;
        }
        self.peer = Peer::Done;
        self.stop_waiting();
        true
    }

    /// Whether both halves have ended, or need not be waited for.
    pub(super) fn is_over(&self) -> bool {
        self.shutdown == Shutdown::Ended && self.peer != Peer::Awaited
    }

    /// Stops waiting for the peer: our half ends once all is written, in the rest of the time.
    fn stop_waiting(&mut self) {
        if self.shutdown == Shutdown::Awaiting {
            self.shutdown = Shutdown::Writing;
        }
        self.deadline = self.last;
    }
}
