//! A transport that tests control, and that records all calls. No byte moves on it by itself: the test decides how the
//! peer's bytes are cut into reads, when the peer reads, and when it leaves. No clock is involved.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use testkit::wire::{Frame, decode_all};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use super::eventually::PATIENCE;

/// The peer's end of a transport, in the hands of the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<State>>);

/// Our end of the transport, which ropeway gets.
#[derive(Debug)]
pub(crate) struct End(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The bytes that the peer has sent and ropeway has not read. Each entry is one read.
    incoming: VecDeque<Vec<u8>>,
    /// The event after `incoming`.
    fate: Fate,
    /// The number of bytes that the transport still accepts. `None` for all.
    room: Option<usize>,
    /// The most bytes that a write accepts. `None` for all.
    write_size: Option<usize>,
    read: usize,
    written: Vec<u8>,
    writes: usize,
    /// Bytes that were written and not flushed.
    unflushed: usize,
    shut_down: bool,
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Alive,
    Ended,
    Reset,
}

/// A transport: the end for the test, and the end for ropeway.
pub(crate) fn wire() -> (Wire, End) {
    let wire = Wire::default();
    let end = End(Arc::clone(&wire.0));
    (wire, end)
}

/// The time that [`settle`] takes.
pub(crate) const SETTLING: Duration = Duration::from_millis(1);

/// Lets all tasks run as far as they can without new input from the wire or the clock. The clock of these tests is
/// paused, and tokio moves it only when no task is left to run. So this waits for the next millisecond.
pub(crate) async fn settle() {
    // A paused clock stands still while tasks run, so this limit needs another one.
    let mut limit = REAL_CLOCK.spawn(tokio::time::sleep(PATIENCE));
    tokio::select! {
        biased;
        () = tokio::time::sleep(SETTLING) => limit.abort(),
        _ = &mut limit => panic!("{PATIENCE:?} have passed without this: no task is left to run"),
    }
}

/// A runtime whose clock is not paused.
static REAL_CLOCK: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap());

/// Lets this time pass, plus the time by which a deadline may be late.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time + super::LATE).await;
}

impl Wire {
    /// The peer sends bytes that arrive in one read.
    pub(crate) fn send_bytes(&self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        assert!(!bytes.is_empty(), "an empty read would be the end");
        let mut state = self.lock();
        state.incoming.push_back(bytes);
        wake(&mut state.reader);
    }

    /// The peer sends frames that arrive in one read.
    pub(crate) fn send(&self, frames: &[Frame]) {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.encode_into(&mut bytes);
        }
        self.send_bytes(bytes);
    }

    /// The peer ends its half.
    pub(crate) fn end(&self) {
        self.set_fate(Fate::Ended);
    }

    /// The peer is gone, and its system says so.
    pub(crate) fn reset(&self) {
        self.set_fate(Fate::Reset);
    }

    /// The transport accepts this many more bytes from ropeway. `None` for all, from now on.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        let mut state = self.lock();
        state.room = room;
        wake(&mut state.writer);
    }

    /// No write accepts more than this.
    pub(crate) fn write_at_most(&self, bytes: usize) {
        self.lock().write_size = Some(bytes);
    }

    /// The number of bytes that ropeway has read.
    pub(crate) fn read(&self) -> usize {
        self.lock().read
    }

    /// Takes all that ropeway has written since the last call.
    pub(crate) fn take_written(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().written)
    }

    /// Takes the frames that ropeway has written since the last call, which must be whole.
    pub(crate) fn take_frames(&self) -> Vec<Frame> {
        let written = self.take_written();
        let (frames, rest) = decode_all(&written).unwrap();
        assert!(rest.is_empty(), "{} bytes of an unfinished frame behind {frames:?}", rest.len());
        frames
    }

    /// Takes the number of write calls of ropeway since the last call.
    pub(crate) fn take_writes(&self) -> usize {
        std::mem::take(&mut self.lock().writes)
    }

    /// Bytes that were written and not flushed.
    pub(crate) fn unflushed(&self) -> usize {
        self.lock().unflushed
    }

    /// Whether ropeway has ended its half, or dropped the transport.
    pub(crate) fn is_ended(&self) -> bool {
        let state = self.lock();
        state.shut_down || state.dropped
    }

    /// Whether ropeway has dropped the transport.
    pub(crate) fn is_dropped(&self) -> bool {
        self.lock().dropped
    }

    fn set_fate(&self, fate: Fate) {
        let mut state = self.lock();
        state.fate = fate;
        wake(&mut state.reader);
        wake(&mut state.writer);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        let Some(mut bytes) = state.incoming.pop_front() else {
            return match state.fate {
                Fate::Alive => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                Fate::Ended => Poll::Ready(Ok(())),
                Fate::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        };
        let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
        if !rest.is_empty() {
            state.incoming.push_front(rest);
        }
        buffer.put_slice(&bytes);
        state.read += bytes.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        if state.shut_down || state.fate == Fate::Reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.room == Some(0) {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = state.room.unwrap_or(usize::MAX).min(state.write_size.unwrap_or(usize::MAX));
        let before = state.written.len();
        state.written.extend(slices.iter().flat_map(|slice| slice.iter()).take(most));
        let count = state.written.len() - before;
        state.room = state.room.map(|room| room - count);
        state.writes += 1;
        state.unflushed += count;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().unflushed = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().shut_down = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.lock().unwrap().dropped = true;
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
