//! The writing half of a connection's stream.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use ropeway_proto::Connection as Core;

use crate::io::Stream;

/// The most slices of one `writev`: enough for eight large messages with their headers.
const SLICES: usize = 16;

/// The state of a stream's writing half.
///
/// ```text
///   Idle ── written ──► Unflushed ── flushed ──► Idle
///     │                   ▲ │ full
///     │           written │ ▼
///     ├──────── full ──► Blocked
///     └── told to end ──► Ending ──► Ended        any ── error ──► Ended
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    Idle,
    /// Bytes were written that a layer such as TLS may still hold.
    Unflushed,
    /// The stream accepted no more.
    Blocked,
    Ending,
    Ended,
}

impl Writing {
    /// Writes the queue until the stream accepts no more, and ends the half once the connection asks for that. If this
    /// returns `Pending`, the stream wakes the connection later. If it returns an error of the stream, the half has
    /// ended too.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut impl Stream,
        core: &mut Core,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        let mut broken = Ok(());
        while core.buffered_amount() > 0 {
            if *self == Self::Ended {
                // Nobody will read it. Messages that were received before the stream broke are still delivered.
                core.handle_broken_pipe(now);
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = core.poll_transmit(&mut slices);
            if count == 0 {
                break;
            }
            match stream.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => broken = self.end_with(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    core.handle_transmitted(written);
                    if *self == Self::Blocked {
                        core.handle_taken(now);
                    }
                    *self = Self::Unflushed;
                }
                Poll::Ready(Err(error)) => broken = self.end_with(error),
                Poll::Pending => {
                    *self = Self::Blocked;
                    return Poll::Pending;
                }
            }
        }
        if *self == Self::Unflushed {
            match ready!(stream.poll_flush(cx)) {
                Ok(()) => *self = Self::Idle,
                Err(error) => broken = self.end_with(error),
            }
        }
        if matches!(self, Self::Idle | Self::Ended) && core.poll_shutdown() {
            match self {
                Self::Ended => core.handle_shutdown(),
                _ => *self = Self::Ending,
            }
        }
        if *self == Self::Ending {
            // An error here only means that the peer has ended the connection first.
            let _ = ready!(stream.poll_shutdown(cx));
            *self = Self::Ended;
            core.handle_shutdown();
        }
        Poll::Ready(broken)
    }

    fn end_with(&mut self, error: io::Error) -> io::Result<()> {
        *self = Self::Ended;
        Err(error)
    }
}
