//! The states of a connection as a machine: one method for each input, each of which matches all states. Writing close
//! frames and releasing memory is left to [`Connection`](crate::Connection).

mod lingering;
#[cfg(test)]
mod transitions;

use std::time::Instant;

use crate::close::CloseFrame;
use crate::error::Violation;
use crate::outcome::{Cause, Closed};
use crate::send::fragments::Fragments;
use crate::state::ReadyState;

use lingering::{LEFT, Lingering, Peer, Shutdown};

pub(crate) use lingering::Terms;

/// The state of a connection.
///
/// A connection is open for most of its life, and then this is one word: [`State::Open`] is `None` and is never boxed.
#[derive(Debug, Default)]
pub(crate) struct Life(Option<Box<State>>);

/// ```text
///            start_fragments()
///   Open ─────────────────────► Fragmenting
///    │ ◄───────────────────────    │
///    │       end_fragments()       │
///    ├─────────────────────────────┘
///    │
///    ├── close() ─────────────────────────► CloseSent ─── close_received(), eof(), fail() ────────┐
///    └── close_received(), eof(), fail() ─► Unanswered ── close(), answer(), timeout() ───────────┤
///                                                                                                 ▼
///   any ── end(); timeout() in CloseSent ──► Closed ◄── shutdown_done(), eof(), timeout() ── Lingering
/// ```
///
/// If `auto_close` is on, [`close_received`](Life::close_received) and [`eof`](Life::eof) go through `Unanswered` at
/// once, and so does [`fail`](Life::fail) if `auto_fail` is on.
#[derive(Debug)]
enum State {
    /// Messages go both ways.
    Open,
    /// Open, and within a message that this side sends in fragments.
    Fragmenting(Fragments),
    /// The peer has closed, ended its half, or broken the protocol, and this side may still send.
    Unanswered(Unanswered),
    /// Our close frame is queued or sent, and the peer's has not come. Messages may still come.
    CloseSent {
        /// The time until which the peer's close frame is waited for.
        deadline: Option<Instant>,
    },
    /// Nothing more is sent or received, and the transport has not ended.
    Lingering(Lingering),
    /// The transport has ended or was given up.
    Closed(Closed),
}

/// Nothing more is received, and this side has not answered yet.
#[derive(Debug)]
struct Unanswered {
    /// Clean if the peer's close frame came, unclean if the peer ended its half without one or broke the protocol.
    outcome: Closed,
    /// The time at which this side answers by itself.
    deadline: Option<Instant>,
    /// Whether the peer has ended its half of the transport.
    is_ended: bool,
    /// The number of bytes that may still come behind the close frame, see [`LEFT`].
    left: usize,
    /// The message that this side is sending in fragments.
    fragments: Option<Fragments>,
}

/// Inputs. If one returns a close frame, the caller queues it.
impl Life {
    /// The user closes the connection. Returns whether the user's close frame is to be queued.
    pub(crate) fn close(&mut self, terms: Terms) -> bool {
        let (next, is_sent) = match self.take() {
            State::Open | State::Fragmenting(_) => (State::CloseSent { deadline: terms.close_deadline() }, true),
            // The user's close frame is the answer.
            State::Unanswered(unanswered) => (State::Lingering(unanswered.linger(terms)), true),
            state @ (State::CloseSent { .. } | State::Lingering(_) | State::Closed(_)) => (state, false),
        };
        self.enter(next);
        is_sent
    }

    /// The peer's close frame came, with this content.
    pub(crate) fn close_received(&mut self, frame: Option<CloseFrame>, terms: Terms) -> Option<CloseFrame> {
        let outcome = Closed::clean(frame);
        let next = match self.take() {
            State::Open => State::Unanswered(Unanswered::new(outcome, None, terms)),
            State::Fragmenting(fragments) => State::Unanswered(Unanswered::new(outcome, Some(fragments), terms)),
            State::CloseSent { .. } => State::Lingering(Lingering::clean(outcome, false, terms)),
            // A close frame that comes after this is ignored.
            state @ (State::Unanswered(_) | State::Lingering(_) | State::Closed(_)) => state,
        };
        self.enter(next);
        self.answer_at_once(terms)
    }

    /// The peer has ended its half of the transport.
    pub(crate) fn eof(&mut self, terms: Terms) -> Option<CloseFrame> {
        let outcome = Closed::abnormal(Cause::Eof);
        let next = match self.take() {
            State::Open => State::Unanswered(Unanswered::new(outcome, None, terms)),
            State::Fragmenting(fragments) => State::Unanswered(Unanswered::new(outcome, Some(fragments), terms)),
            State::Unanswered(unanswered) => State::Unanswered(Unanswered { is_ended: true, ..unanswered }),
            State::CloseSent { .. } => State::Lingering(Lingering::failed(outcome, true, terms)),
            State::Lingering(mut lingering) => {
                lingering.eof();
                over_or(lingering)
            }
            State::Closed(outcome) => State::Closed(outcome),
        };
        self.enter(next);
        self.answer_at_once(terms)
    }

    /// The user answers the peer's close frame, the end of its half, or its violation. Returns the close frame to send.
    pub(crate) fn answer(&mut self, terms: Terms) -> Option<CloseFrame> {
        let (next, frame) = match self.take() {
            State::Unanswered(unanswered) => unanswered.answered(terms),
            state @ (State::Open
            | State::Fragmenting(_)
            | State::CloseSent { .. }
            | State::Lingering(_)
            | State::Closed(_)) => (state, None),
        };
        self.enter(next);
        frame
    }

    /// The peer broke the protocol or a limit. Returns the close frame that says so (RFC 6455 section 7.1.7).
    #[cold]
    pub(crate) fn fail(&mut self, violation: Violation, terms: Terms) -> Option<CloseFrame> {
        let outcome = Closed::abnormal(Cause::Violation(violation));
        let next = match self.take() {
            State::Open => State::Unanswered(Unanswered::new(outcome, None, terms)),
            State::Fragmenting(fragments) => State::Unanswered(Unanswered::new(outcome, Some(fragments), terms)),
            State::Unanswered(unanswered) => State::Unanswered(Unanswered { outcome, ..unanswered }),
            // Our close frame is sent: RFC 6455 section 5.5.1 allows no second.
            State::CloseSent { .. } => State::Lingering(Lingering::failed(outcome, false, terms)),
            state @ (State::Lingering(_) | State::Closed(_)) => state,
        };
        self.enter(next);
        if terms.auto_fail { self.answer(terms) } else { None }
    }

    /// The writing half of the transport can be ended if all `is_written`. Returns whether to do so now: `true` once.
    pub(crate) fn begin_shutdown(&mut self, is_written: bool) -> bool {
        match self.0.as_deref_mut() {
            Some(State::Lingering(lingering)) if is_written && lingering.shutdown == Shutdown::Writing => {
                lingering.shutdown = Shutdown::Ending;
                true
            }
            None
            | Some(
                State::Open
                | State::Fragmenting(_)
                | State::Unanswered(_)
                | State::CloseSent { .. }
                | State::Lingering(_)
                | State::Closed(_),
            ) => false,
        }
    }

    /// The writing half of the transport was ended, as [`begin_shutdown`](Life::begin_shutdown) asked for.
    pub(crate) fn shutdown_done(&mut self) {
        let next = match self.take() {
            State::Lingering(mut lingering) if lingering.shutdown == Shutdown::Ending => {
                lingering.shutdown = Shutdown::Ended;
                over_or(lingering)
            }
            state @ (State::Open
            | State::Fragmenting(_)
            | State::Unanswered(_)
            | State::CloseSent { .. }
            | State::Lingering(_)
            | State::Closed(_)) => state,
        };
        self.enter(next);
    }

    /// The [`deadline`](Life::deadline) has passed, or [`throw_away`](Life::throw_away) has returned `true`.
    #[cold]
    pub(crate) fn timeout(&mut self, terms: Terms) -> Option<CloseFrame> {
        let (next, frame) = match self.take() {
            State::Unanswered(unanswered) => unanswered.answered(terms),
            State::CloseSent { .. } => (State::Closed(Closed::abnormal(Cause::CloseTimeout)), None),
            State::Lingering(mut lingering) => {
                let goes_on = lingering.timeout(terms.now);
                (if goes_on { State::Lingering(lingering) } else { State::Closed(lingering.outcome) }, None)
            }
            // These have no deadline.
            state @ (State::Open | State::Fragmenting(_) | State::Closed(_)) => (state, None),
        };
        self.enter(next);
        frame
    }

    /// `count` bytes came and are thrown away. Returns whether they were the last that may come.
    pub(crate) fn throw_away(&mut self, count: usize) -> bool {
        let left = match self.0.as_deref_mut() {
            Some(State::Unanswered(unanswered)) => &mut unanswered.left,
            Some(State::Lingering(lingering)) => &mut lingering.left,
            None | Some(State::Open | State::Fragmenting(_) | State::CloseSent { .. } | State::Closed(_)) => {
                return false;
            }
        };
        *left = left.saturating_sub(count);
        *left == 0
    }

    /// The transport is over, or given up for this cause. It does not replace an outcome that was decided before.
    pub(crate) fn end(&mut self, cause: Cause) {
        let outcome = match self.take() {
            State::Open | State::Fragmenting(_) | State::CloseSent { .. } => Closed::abnormal(cause),
            State::Unanswered(Unanswered { outcome, .. })
            | State::Lingering(Lingering { outcome, .. })
            | State::Closed(outcome) => outcome,
        };
        self.enter(State::Closed(outcome));
    }

    /// Notes the first fragment of a message that this side sends.
    pub(crate) fn start_fragments(&mut self) {
        let next = match self.take() {
            State::Open => State::Fragmenting(Fragments::default()),
            State::Unanswered(unanswered) => {
                State::Unanswered(Unanswered { fragments: Some(Fragments::default()), ..unanswered })
            }
            // It is noted already, or nothing can be sent.
            state @ (State::Fragmenting(_) | State::CloseSent { .. } | State::Lingering(_) | State::Closed(_)) => state,
        };
        self.enter(next);
    }

    /// Notes that the last fragment of a message was sent. Returns what waited for it.
    pub(crate) fn end_fragments(&mut self) -> Fragments {
        let (next, fragments) = match self.take() {
            State::Fragmenting(fragments) => (State::Open, Some(fragments)),
            State::Unanswered(mut unanswered) => {
                let fragments = unanswered.fragments.take();
                (State::Unanswered(unanswered), fragments)
            }
            state @ (State::Open | State::CloseSent { .. } | State::Lingering(_) | State::Closed(_)) => (state, None),
        };
        self.enter(next);
        fragments.unwrap_or_default()
    }

    fn answer_at_once(&mut self, terms: Terms) -> Option<CloseFrame> {
        if terms.auto_close { self.answer(terms) } else { None }
    }

    fn take(&mut self) -> State {
        self.0.take().map_or(State::Open, |state| *state)
    }

    fn enter(&mut self, state: State) {
        self.0 = match state {
            State::Open => None,
            State::Fragmenting(_)
            | State::Unanswered(_)
            | State::CloseSent { .. }
            | State::Lingering(_)
            | State::Closed(_) => Some(Box::new(state)),
        };
    }
}

/// Facts about the state.
impl Life {
    /// Open, and not within a message that this side sends in fragments.
    #[inline]
    pub(crate) fn is_plainly_open(&self) -> bool {
        self.0.is_none()
    }

    /// Whether messages may be sent.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.0.as_deref(), None | Some(State::Open | State::Fragmenting(_) | State::Unanswered(_)))
    }

    /// Whether messages may come.
    #[inline]
    pub(crate) fn is_receiving(&self) -> bool {
        matches!(self.0.as_deref(), None | Some(State::Open | State::Fragmenting(_) | State::CloseSent { .. }))
    }

    /// Whether the transport may still be read: neither the peer nor anything else has ended it.
    pub(crate) fn is_reading(&self) -> bool {
        match self.0.as_deref() {
            None | Some(State::Open | State::Fragmenting(_) | State::CloseSent { .. }) => true,
            Some(State::Unanswered(unanswered)) => !unanswered.is_ended,
            Some(State::Lingering(lingering)) => lingering.peer != Peer::Ended,
            Some(State::Closed(_)) => false,
        }
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self.0.as_deref(), Some(State::Unanswered(_)))
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match self.0.as_deref() {
            None | Some(State::Open | State::Fragmenting(_) | State::Unanswered(_)) => ReadyState::Open,
            Some(State::CloseSent { .. } | State::Lingering(_)) => ReadyState::Closing,
            Some(State::Closed(_)) => ReadyState::Closed,
        }
    }

    #[inline]
    pub(crate) fn outcome(&self) -> Option<&Closed> {
        match self.0.as_deref() {
            Some(State::Closed(outcome)) => Some(outcome),
            None
            | Some(
                State::Open
                | State::Fragmenting(_)
                | State::Unanswered(_)
                | State::CloseSent { .. }
                | State::Lingering(_),
            ) => None,
        }
    }

    /// When to call [`timeout`](Life::timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.0.as_deref() {
            Some(
                State::CloseSent { deadline }
                | State::Unanswered(Unanswered { deadline, .. })
                | State::Lingering(Lingering { deadline, .. }),
            ) => *deadline,
            None | Some(State::Open | State::Fragmenting(_) | State::Closed(_)) => None,
        }
    }

    /// Returns the messages that wait for the end of a message in fragments, if one is being sent.
    #[inline]
    pub(crate) fn fragments(&mut self) -> Option<&mut Fragments> {
        match self.0.as_deref_mut()? {
            State::Fragmenting(fragments) => Some(fragments),
            State::Unanswered(unanswered) => unanswered.fragments.as_mut(),
            State::Open | State::CloseSent { .. } | State::Lingering(_) | State::Closed(_) => None,
        }
    }

    /// The number of bytes that wait for the end of a message in fragments.
    pub(crate) fn held_bytes(&self) -> usize {
        match self.0.as_deref() {
            Some(State::Fragmenting(fragments) | State::Unanswered(Unanswered { fragments: Some(fragments), .. })) => {
                fragments.held_bytes
            }
            None
            | Some(
                State::Open
                | State::Unanswered(Unanswered { fragments: None, .. })
                | State::CloseSent { .. }
                | State::Lingering(_)
                | State::Closed(_),
            ) => 0,
        }
    }
}

impl Unanswered {
    fn new(outcome: Closed, fragments: Option<Fragments>, terms: Terms) -> Self {
        let is_ended = outcome.cause == Cause::Eof;
        Self { outcome, deadline: terms.close_deadline(), is_ended, left: LEFT, fragments }
    }

    /// The close frame that answers the peer's, if one came, or that tells the violation. RFC 6455 section 5.5.1: the
    /// answer "typically echos the status code it received". A code of [`NONE`](crate::CloseCode::NONE) cannot be sent
    /// and is answered with no code.
    fn answer(&self) -> Option<CloseFrame> {
        if let Cause::Violation(violation) = &self.outcome.cause {
            return Some(CloseFrame::new(violation.close_code(), violation.reason()));
        }
        self.outcome.clean.then(|| CloseFrame::new(self.outcome.code, self.outcome.reason.clone()))
    }

    /// Answers the peer: returns the next state, and the close frame to queue.
    fn answered(self, terms: Terms) -> (State, Option<CloseFrame>) {
        let frame = self.answer();
        (State::Lingering(self.linger(terms)), frame)
    }

    fn linger(self, terms: Terms) -> Lingering {
        match self.outcome.cause {
            Cause::Handshake => Lingering::clean(self.outcome, self.is_ended, terms),
            _ => Lingering::failed(self.outcome, self.is_ended, terms),
        }
    }
}

/// Returns `Closed` if a lingering connection is over.
fn over_or(lingering: Lingering) -> State {
    if lingering.is_over() { State::Closed(lingering.outcome) } else { State::Lingering(lingering) }
}
