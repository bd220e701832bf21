//! Every row of `testdata/`, run through tokio: a server's with a handler, a client's with the pull API; whole, one
//! byte at a time, and cut in two at every byte.
//!
//! Both APIs report the same facts in another form than the core. So a row is read as follows.
//!
//! - The peer's close frame is not an event of its own. It is reported with the end, once the transport is over. So
//!   `close` is not expected among the events. When all is done the transport is ended, and the end has to have the
//!   same code and reason.
//! - The pull API answers pings without an event, and reports a violation with the end, too.
//! - Rows that turn off a switch that this crate has always on, or leaves to the handler, are for the core alone: see
//!   [`Case::needs_the_core`]. The pull API answers when it is asked for more, and it is asked after each step.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ropeway::{Client, Error, Handle, ReadyState, SendError, Server, WebSocket};
use ropeway_proto::{self as proto, CloseCode, deflate};
use testkit::wire::{Frame, KEY, decode_all};
use testkit::{Case, Closed, Command, Cut, Deflate, Event, Outcome, Role, State, Step, configure, variant};
use tokio::time::{Instant, sleep_until};

use super::LATE;
use super::script::{Log, open_client_with, open_with, request};
use super::wire::{SETTLING, Wire, settle};

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");

/// Runs rows with a clock that stands still until all tasks wait.
#[tokio::test(start_paused = true)]
async fn every_row_of_a_server_holds_with_a_handler_however_its_input_is_cut() {
    run_all(Role::Server).await;
}

#[tokio::test(start_paused = true)]
async fn every_row_of_a_client_holds_when_messages_are_pulled_however_its_input_is_cut() {
    run_all(Role::Client).await;
}

async fn run_all(role: Role) {
    let mut cases = testkit::load(TESTDATA).unwrap();
    cases.retain(|case| case.role == role && !case.needs_the_core());
    assert!(cases.len() > 50, "only {} rows were found in {TESTDATA}", cases.len());
    let mut failures = String::new();
    let mut failed = 0;
    for case in &cases {
        for cut in case.cuts() {
            let result = match role {
                Role::Server => run_server(case, cut).await,
                Role::Client => run_client(case, cut).await,
            };
            if let Err(failure) = result {
                // One failing cut is enough to report a row.
                let _ = writeln!(failures, "{failure}");
                failed += 1;
                break;
            }
        }
    }
    assert!(failed == 0, "{failed} of {} rows failed:\n\n{failures}", cases.len());
}

async fn run_server(case: &Case, cut: Cut) -> Result<(), String> {
    let log = Log::default();
    let mut builder = Server::builder().config(configure(case.role, &case.config));
    let mut headers = String::new();
    if let Some(deflate) = &case.config.deflate {
        builder = builder.per_message_deflate(options(deflate));
        headers = format!("Sec-WebSocket-Extensions: {}\r\n", deflate::offer(&options(deflate)));
    }
    let server = builder.build();
    server.handle_with(log.clone());
    let wire = open_with(&server, request(&headers)).await;
    let handle = log.handle();
    let mut steps = start(case, cut, &wire).into_iter().peekable();
    let mut then = Then::opening();
    while let Some(step) = steps.next() {
        if let Err(refused) = take(&step, steps.peek(), &mut then, &wire, &handle).await {
            log.told().events.push(refused);
        }
    }
    let outcome = Outcome {
        events: log.take_events(),
        sent: wire.take_written(),
        ended: wire.is_ended(),
        state: state(handle.ready_state()),
        closed: log.told().closed.first().map(Closed::from),
    };
    let mut expected = case.clone();
    expected.events.retain(|event| !matches!(event, Event::Close(_)));
    expected.check(cut, &outcome)?;

    // Wherever the row has ended, the end comes once, and has the code and reason of the peer's close frame.
    wire.set_room(None);
    wire.end();
    settle().await;
    let closed = log.closed();
    check_end(case, &closed)
}

async fn run_client(case: &Case, cut: Cut) -> Result<(), String> {
    let mut client = Client::new().config(configure(case.role, &case.config));
    client = client.per_message_deflate(case.config.deflate.as_ref().map(options));
    let (ws, wire) = open_client_with(&client, case.config.deflate.as_ref().map(options), b"").await;
    let mut ws = ws.await;
    let handle = ws.handle();
    let mut events = Vec::new();
    let mut end = Vec::new();
    let mut steps = start(case, cut, &wire).into_iter().peekable();
    let mut then = Then::opening();
    while let Some(step) = steps.next() {
        events.extend(take(&step, steps.peek(), &mut then, &wire, &handle).await.err());
        pull(&mut ws, &mut events, &mut end).await;
        // That call may have answered the peer.
        if !matches!((&step, steps.peek()), (Step::Receive(_), Some(Step::Receive(_)))) {
            settle().await;
            pull(&mut ws, &mut events, &mut end).await;
        }
        then.latest = then.latest.max(Instant::now());
    }
    let outcome = Outcome {
        events,
        sent: with_the_key(&wire.take_written()),
        ended: wire.is_ended(),
        state: state(handle.ready_state()),
        closed: ws.outcome().as_ref().map(Closed::from),
    };
    let mut expected = case.clone();
    expected
        .events
        .retain(|event| !matches!(event, Event::Close(_) | Event::Ping(_) | Event::Pong(_) | Event::Violation(_)));
    expected.check(cut, &outcome)?;

    wire.set_room(None);
    wire.end();
    settle().await;
    pull(&mut ws, &mut Vec::new(), &mut end).await;
    let closed = ws.outcome().ok_or_else(|| format!("{}: no end", case.name))?;
    let expected = match &closed.cause {
        _ if closed.clean => vec![None],
        proto::Cause::Terminated => vec![None],
        proto::Cause::Violation(violation) => vec![Some(variant(violation)), None],
        _ => vec![Some("Lost".into()), None],
    };
    // After the end each further call returns only `None`.
    end.dedup();
    if end != expected {
        return Err(format!("{}, {cut}: the end was told as {end:?}, not {expected:?}", case.name));
    }
    check_end(case, &closed)
}

/// Cuts a case into steps. If its input comes a byte at a time, the transport also accepts a byte at a time.
fn start(case: &Case, cut: Cut, wire: &Wire) -> Vec<Step> {
    if cut == Cut::EveryByte {
        wire.write_at_most(1);
    }
    case.steps(cut)
}

/// The time of the last step. Only its bounds are known: a deadline may come late, and waiting for all that follows takes
/// a millisecond of the paused clock.
struct Then {
    earliest: Instant,
    latest: Instant,
}

impl Then {
    fn now() -> Self {
        Self { earliest: Instant::now(), latest: Instant::now() }
    }

    /// The opening, which was waited for.
    fn opening() -> Self {
        Self { earliest: Instant::now() - SETTLING, latest: Instant::now() }
    }

    /// Waits until this time has passed since the last step. A short time ends with the settling that follows.
    async fn wait(&mut self, time: Duration) {
        self.earliest += time;
        self.latest += time + LATE;
        sleep_until(if is_short(time) { self.earliest - SETTLING } else { self.latest }).await;
    }
}

/// Whether the time is a millisecond short of a deadline, to show that it has not come yet.
const fn is_short(time: Duration) -> bool {
    time.subsec_millis() == 999
}

/// Makes one thing happen, and waits for all that follows. If two reads come one after the other, the first need not be
/// waited for.
async fn take(step: &Step, next: Option<&Step>, then: &mut Then, wire: &Wire, handle: &Handle) -> Result<(), Event> {
    let mut result = Ok(());
    match step {
        Step::Receive(bytes) => wire.send_bytes(bytes.clone()),
        Step::Eof => wire.end(),
        Step::Reset => wire.reset(),
        Step::Stall => wire.set_room(Some(0)),
        Step::Drain(room) => wire.set_room(*room),
        Step::Wait(time) => {
            then.wait(*time).await;
            if next.is_none() && !is_short(*time) {
                // Two deadlines may have come in that time, one after the other.
                settle().await;
                then.wait(Duration::ZERO).await;
            }
        }
        Step::Send(command) => result = send(handle, command),
    }
    if !matches!(step, Step::Wait(_)) {
        *then = Then::now();
    }
    if !matches!((step, next), (Step::Receive(_), Some(Step::Receive(_)))) {
        settle().await;
    }
    result.map_err(|error| Event::Refused(variant(&error)))
}

fn send(handle: &Handle, command: &Command) -> Result<(), SendError> {
    match command.clone() {
        Command::Text(text) => handle.send(text),
        Command::Binary(payload) => handle.send(payload),
        Command::TextFragment(text) => handle.send_fragment(text, false),
        Command::BinaryFragment(payload) => handle.send_fragment(payload, false),
        Command::Continuation { part, last } => handle.send_fragment(part, last),
        Command::Ping(payload) => handle.ping(payload).sent(),
        Command::Pong(payload) => handle.pong(payload),
        Command::Close(Some((code, reason))) => handle.close(code, reason),
        Command::Close(None) => {
            handle.close_without_code();
            Ok(())
        }
        Command::Terminate => {
            handle.terminate();
            Ok(())
        }
        Command::AnswerClose | Command::UncompressedText(_) | Command::UncompressedBinary(_) => {
            unreachable!("a row of the core's alone")
        }
    }
}

/// Takes all messages that are there, and the end if it is there.
async fn pull(ws: &mut WebSocket, events: &mut Vec<Event>, end: &mut Vec<Option<String>>) {
    loop {
        let mut recv = pin!(ws.recv());
        let Poll::Ready(received) = poll_fn(|cx| Poll::Ready(recv.as_mut().poll(cx))).await else { return };
        match received {
            Ok(Some(message)) => events.push(proto::Event::Message(message.into()).into()),
            Ok(None) => {
                end.push(None);
                return;
            }
            Err(Error::Violation(violation)) => end.push(Some(variant(&violation))),
            Err(Error::Lost(_)) => end.push(Some("Lost".into())),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Checks that the end has the code and reason that the row gives for the peer's close frame.
fn check_end(case: &Case, closed: &proto::Closed) -> Result<(), String> {
    let peers = case.events.iter().find_map(|event| match event {
        Event::Close(Some((code, reason))) => Some((CloseCode::from(*code), reason.as_str())),
        Event::Close(None) => Some((CloseCode::NONE, "")),
        _ => None,
    });
    let (expected, clean) = (peers.unwrap_or((CloseCode::ABNORMAL, "")), peers.is_some());
    if (closed.code, &*closed.reason) == expected && closed.clean == clean {
        return Ok(());
    }
    Err(format!("{}: the end is {closed:?}, the peer's close frame {expected:?}", case.name))
}

/// A client masks with random keys. This replaces them by the key of the rows.
fn with_the_key(sent: &[u8]) -> Vec<u8> {
    let Ok((frames, rest)) = decode_all(sent) else { return sent.to_vec() };
    let mut bytes = Vec::new();
    for frame in frames {
        let key = frame.mask.map(|_| KEY);
        Frame::encode_into(&frame.with_mask(key), &mut bytes);
    }
    [bytes.as_slice(), rest].concat()
}

fn state(state: ReadyState) -> State {
    match state {
        ReadyState::Connecting => State::Connecting,
        ReadyState::Open => State::Open,
        ReadyState::Closing => State::Closing,
        ReadyState::Closed => State::Closed,
    }
}

/// The options with which both sides agree on the parameters of a case.
fn options(deflate: &Deflate) -> deflate::Options {
    let options = deflate::Options::default()
        .server_no_context_takeover(deflate.server_no_context_takeover)
        .client_no_context_takeover(deflate.client_no_context_takeover)
        .server_max_window_bits(deflate.server_max_window_bits.unwrap_or(15))
        .client_max_window_bits(deflate.client_max_window_bits.unwrap_or(15));
    match deflate.threshold {
        Some(bytes) => options.threshold(bytes),
        None => options,
    }
}
