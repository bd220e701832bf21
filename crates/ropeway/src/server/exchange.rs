//! One request on a port of the server's own, and its answer: an opening handshake, or HTTP. `port` drives it or, for
//! plain TCP, `newcomer`.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use http::{Method, Request, Response};
use ropeway_proto::handshake::{
    Fault, HeadReader, Refusal, announce_close, encode_response, encode_response_to_head, is_upgrade,
};

use super::gate::{Gate, Judgement, Judging, Upgrade, log_refusal, read};
use crate::io::{Stream, Turn, scratch};
use crate::log::{guarded, of_client};

/// How long a refused client may take to read the answer, before its connection is dropped.
const LINGER: Duration = Duration::from_secs(2);

/// How many bytes of a refused client are read and thrown away in that time. More than this cannot be on its way when
/// the client reads the refusal.
const LEFT: usize = 16 << 20;

/// How many bytes behind a request are read while the application decides about it. They belong to the connection if
/// the request is accepted. Further bytes wait at the client.
const EARLY: usize = 16 << 10;

/// One request and its answer.
pub(super) struct Exchange<S> {
    gate: Arc<Gate>,
    stream: S,
    remote_addr: Option<SocketAddr>,
    /// The deadline of the present state.
    deadline: Instant,
    state: State,
}

/// The state of an exchange.
///
/// ```text
///                                 ┌── decided ──┐
///   Reading ── a good handshake ──► Judging       ▼
///      │ │ └── no `authorize` ───────────────► Accepting ── written ──► Upgrade
///      │ └──── anything else, or a part and no more ──► Answering ── written ──► Lingering ── end, late, or too much ──► over
///      └────── end, or late and nothing came ──► over
///   Judging ── refused, late, or shutdown ──► Answering
///   Judging ── end ──► over
///   Accepting, Answering ── broken, or late ──► over
/// ```
enum State {
    Reading(HeadReader),
    /// The application decides.
    Judging(Box<Judged>),
    /// The 101 is being written. `None` once that is done, since the connection has taken it over.
    Accepting(Answer, Option<Box<Upgrade>>),
    Answering(Answer),
    /// Further bytes of the client, up to this many, are read and thrown away: unread bytes would reset the connection,
    /// and the client might lose the answer.
    Lingering(usize),
}

/// A request that the application is deciding about.
struct Judged {
    decision: Judging,
    /// Bytes that came behind the request.
    early: Vec<u8>,
}

/// Bytes on their way to the client.
struct Answer {
    bytes: Vec<u8>,
    written: usize,
}

impl<S: Stream> Exchange<S> {
    pub(super) fn new(gate: Arc<Gate>, stream: S, remote_addr: Option<SocketAddr>, deadline: Instant) -> Self {
        let state = State::Reading(HeadReader::new(gate.settings.limits));
        Self { gate, stream, remote_addr, deadline, state }
    }

    /// An exchange whose request is refused before it is read.
    #[cfg(feature = "tls")]
    pub(super) fn refusing(self, refusal: &Refusal) -> Self {
        Self { state: self.refuse(refusal, false), ..self }
    }

    /// The time at which a turn is due even if nothing comes.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the client has sent nothing.
    #[cfg(unix)]
    pub(super) fn is_silent(&self) -> bool {
        matches!(&self.state, State::Reading(reader) if reader.is_empty())
    }

    /// Logs that a silent client is dropped, because others wait for its place.
    #[cfg(unix)]
    pub(super) fn tell_lost(&self) {
        tell_lost(self.remote_addr);
    }

    #[cfg(unix)]
    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Takes out the stream and the address, for a [`Turn::Become`].
    pub(super) fn into_parts(self) -> (S, Option<SocketAddr>) {
        (self.stream, self.remote_addr)
    }

    /// Reads, decides and writes, until the exchange has to wait or has ended. The application's decision wakes the
    /// waker that `bell` returns. If `bell` returns none, it wakes that of `cx`, as the stream does.
    pub(super) fn turn(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        bell: impl Fn() -> Option<Waker>,
    ) -> Turn<Box<Upgrade>> {
        if now >= self.deadline && !self.refuse_late(now) {
            return Turn::Over;
        }
        match self.poll_step(cx, now, &bell) {
            Poll::Pending => Turn::Parked,
            Poll::Ready(Ok(step)) => step,
            // The client is gone, so it cannot be answered.
            Poll::Ready(Err(_)) => Turn::Over,
        }
    }

    /// Returns the next step that concerns others. An error is the stream's.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        bell: &impl Fn() -> Option<Waker>,
    ) -> Poll<io::Result<Turn<Box<Upgrade>>>> {
        loop {
            match &mut self.state {
                State::Reading(reader) => match ready!(read_head(reader, &mut self.stream, cx))? {
                    Head::Part => {}
                    Head::None => return Poll::Ready(Ok(Turn::Over)),
                    Head::Whole(request, leftover) => self.state = self.answer(*request, leftover),
                    Head::Bad(refusal) => self.state = self.refuse(&refusal, false),
                },
                State::Judging(judged) => {
                    let waker = bell();
                    let mut called = Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
                    if let Poll::Ready(result) = judged.decision.as_mut().poll(&mut called) {
                        let early = std::mem::take(&mut judged.early);
                        self.state = self.decide(result, early, false);
                        continue;
                    }
                    ready!(judged.poll_gone(&mut self.stream, cx))?;
                    return Poll::Ready(Ok(Turn::Over));
                }
                State::Accepting(answer, upgrade) => {
                    ready!(answer.poll_write(&mut self.stream, cx))?;
                    return Poll::Ready(Ok(upgrade.take().map_or(Turn::Over, Turn::Become)));
                }
                State::Answering(answer) => {
                    ready!(answer.poll_write(&mut self.stream, cx))?;
                    // The connection ends after an answer: further bytes on it may come from a proxy that believes it
                    // is a WebSocket.
                    ready!(self.stream.poll_shutdown(cx))?;
                    self.deadline = self.deadline.min(now + LINGER);
                    self.state = State::Lingering(LEFT);
                }
                State::Lingering(left) => {
                    let count = ready!(scratch::with(|buffer| self.stream.poll_read(cx, buffer)))?;
                    *left = left.saturating_sub(count);
                    return Poll::Ready(Ok(if count == 0 || *left == 0 { Turn::Over } else { Turn::Again }));
                }
            }
        }
    }

    /// The handshake took too long. Returns `true` if the client is answered: with 408 if a part of its request came,
    /// with 503 if the application has not decided. A client that has sent nothing is not answered, such as a browser
    /// that connects in advance. Nor is anything sent behind an answer that is half written.
    fn refuse_late(&mut self, now: Instant) -> bool {
        let refusal = match &self.state {
            State::Reading(reader) if !reader.is_empty() => Refusal::timeout(),
            State::Judging(_) => Fault::DecisionTimeout.into(),
            _ => return false,
        };
        self.state = self.refuse(&refusal, false);
        // Writing the refusal must not take longer than lingering does.
        self.deadline = now + LINGER;
        true
    }

    /// Answers a request: returns the next state.
    fn answer(&self, request: Request<()>, leftover: Vec<u8>) -> State {
        let to_head = request.method() == Method::HEAD;
        if !is_upgrade(&request) {
            let answer = read(&self.gate.http).clone();
            let Some(answer) = answer else { return self.refuse(&Refusal::upgrade_required(), to_head) };
            let Ok(mut response) = catch_unwind(AssertUnwindSafe(|| answer(&request))) else {
                return self.refuse(&Fault::Panicked.into(), to_head);
            };
            announce_close(response.headers_mut());
            return State::Answering(Answer::new(&response, to_head));
        }
        match self.gate.judge(request, self.remote_addr) {
            Judgement::Done(result) => self.decide(result, leftover, to_head),
            Judgement::Waits(decision) => State::Judging(Box::new(Judged { decision, early: leftover })),
        }
    }

    /// Returns the next state for a request that was decided about.
    fn decide(&self, result: Result<Box<Upgrade>, Refusal>, leftover: Vec<u8>, to_head: bool) -> State {
        match result {
            Ok(mut upgrade) => {
                upgrade.leftover = leftover;
                let answer = Answer { bytes: upgrade.accepted.response_bytes(), written: 0 };
                State::Accepting(answer, Some(upgrade))
            }
            Err(refusal) => self.refuse(&refusal, to_head),
        }
    }

    fn refuse(&self, refusal: &Refusal, to_head: bool) -> State {
        log_refusal(refusal, self.remote_addr);
        State::Answering(Answer::new(&refusal.to_response(), to_head))
    }
}

/// Logs that a silent client is dropped. There may be many of these, so they are not logged at `info`.
pub(super) fn tell_lost(remote_addr: Option<SocketAddr>) {
    guarded(|| {
        of_client!(
            debug,
            remote_addr,
            "dropped: it has sent nothing, and all places for handshakes are taken (`max_handshakes`)"
        );
    });
}

/// The head so far, after one read.
enum Head {
    Part,
    Whole(Box<Request<()>>, Vec<u8>),
    Bad(Refusal),
    /// The client has left before it sent a request.
    None,
}

fn read_head(reader: &mut HeadReader, stream: &mut impl Stream, cx: &mut Context<'_>) -> Poll<io::Result<Head>> {
    scratch::with(|buffer| {
        let count = ready!(stream.poll_read(cx, buffer))?;
        let bytes = &buffer[..count];
        if bytes.is_empty() {
            return Poll::Ready(Ok(Head::None));
        }
        Poll::Ready(Ok(match reader.handle_request(bytes) {
            Ok(None) => Head::Part,
            Ok(Some((request, used))) => Head::Whole(Box::new(request), bytes[used..].to_vec()),
            Err(error) => Head::Bad(error.into()),
        }))
    })
}

impl Judged {
    /// Ready when the client has gone: it has ended its half, or broken the connection. Then the decision is not needed
    /// any more.
    fn poll_gone(&mut self, stream: &mut impl Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let room = EARLY.saturating_sub(self.early.len());
            if room == 0 {
                return if stream.is_broken() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let count = ready!(scratch::with(|buffer| {
                let room = room.min(buffer.len());
                let count = ready!(stream.poll_read(cx, &mut buffer[..room]))?;
                self.early.extend_from_slice(&buffer[..count]);
                Poll::Ready(Ok::<_, io::Error>(count))
            }))?;
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Answer {
    fn new<B: AsRef<[u8]>>(response: &Response<B>, to_head: bool) -> Self {
        let bytes = if to_head { encode_response_to_head(response) } else { encode_response(response) };
        Self { bytes, written: 0 }
    }

    /// Ready when all is written and flushed.
    fn poll_write(&mut self, stream: &mut impl Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let count = ready!(stream.poll_write(cx, &[IoSlice::new(&self.bytes[self.written..])]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        stream.poll_flush(cx)
    }
}
