//! The part of running a case that is the same for all runners: how the input is cut into reads, and how the outcome is
//! checked.

use std::fmt::{self, Write as _};

use crate::case::{Case, Closed, Command, Event, Sent, State, Step};
use crate::config::Config;
use crate::deflate::Inflater;
use crate::role::Role;
use crate::wire::{self, Frame};

/// How the peer's bytes are divided into reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Neighbouring bytes come in one read, unless something else happens between them.
    Whole,
    /// One byte at a time.
    EveryByte,
    /// As [`Cut::Whole`], but with a cut after this many bytes.
    After(usize),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::EveryByte => f.write_str("one byte at a time"),
            Self::After(bytes) => write!(f, "cut after byte {bytes}"),
        }
    }
}

/// The outcome of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The events that the user got, in order.
    pub events: Vec<Event>,
    /// All that we put on the wire.
    pub sent: Vec<u8>,
    /// Whether we ended our half of the transport.
    pub ended: bool,
    /// The ready state in the end.
    pub state: State,
    /// How the connection ended, if it has.
    pub closed: Option<Closed>,
}

impl Case {
    /// Whether only a driver of the core can run this: it turns off what the crate `ropeway` has always on, or leaves
    /// to the handler, or sends in a way that the crate has not.
    pub fn needs_the_core(&self) -> bool {
        let Config { auto_close, auto_fail, check_utf8, control_first, .. } = self.config;
        let uncompressed =
            |step: &Step| matches!(step, Step::Send(Command::UncompressedText(_) | Command::UncompressedBinary(_)));
        [auto_close, auto_fail, check_utf8, control_first].iter().any(Option::is_some)
            || self.input.iter().any(uncompressed)
    }

    /// Returns all ways to cut this case: whole, one byte at a time, and in two at every byte.
    ///
    /// In long input, cuts within a payload are much alike. There it is cut near the borders of frames, and at a few
    /// places between.
    pub fn cuts(&self) -> Vec<Cut> {
        const LONG: usize = 1024;
        const NEAR: usize = 20;
        const HERE_AND_THERE: usize = 4999;
        let mut borders = vec![0];
        for step in &self.input {
            if let Step::Receive(bytes) = step {
                borders.push(borders[borders.len() - 1] + bytes.len());
            }
        }
        let length = borders[borders.len() - 1];
        let worthwhile = |at: &usize| {
            length <= LONG
                || at.is_multiple_of(HERE_AND_THERE)
                || borders.iter().any(|border| border.abs_diff(*at) < NEAR)
        };
        let in_two = (1..length).filter(worthwhile).map(Cut::After);
        [Cut::Whole, Cut::EveryByte].into_iter().chain(in_two).collect()
    }

    /// Returns the steps of the case, where each [`Step::Receive`] is one read.
    pub fn steps(&self, cut: Cut) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = 0;
        for step in &self.input {
            let Step::Receive(bytes) = step else {
                steps.push(step.clone());
                continue;
            };
            for &byte in bytes {
                match steps.last_mut() {
                    Some(Step::Receive(read)) if cut != Cut::EveryByte && cut != Cut::After(at) => read.push(byte),
                    _ => steps.push(Step::Receive(vec![byte])),
                }
                at += 1;
            }
        }
        steps
    }

    /// Checks the outcome of the case.
    ///
    /// # Errors
    /// The outcome differs from what was expected. The error shows both side by side.
    pub fn check(&self, cut: impl fmt::Display, outcome: &Outcome) -> Result<(), String> {
        let mut table = Table::default();
        table.rows("event", &self.events, &outcome.events, |expected, actual| expected == actual);
        match self.frames(&outcome.sent) {
            Ok(frames) => table.rows("sent", &self.sent, &frames, Sent::allows),
            Err(error) => table.rows("sent", &self.sent, &[error], |_, _| false),
        }
        let eof = |ended: bool| ended.then_some("eof");
        table.row("sent", eof(self.ended), eof(outcome.ended), self.ended == outcome.ended);
        if let Some(state) = self.state {
            table.row("state", Some(state), Some(outcome.state), state == outcome.state);
        }
        table.row("closed", self.closed.as_ref(), outcome.closed.as_ref(), self.closed == outcome.closed);
        if table.differs {
            return Err(format!("{} in {}.toml (RFC {}), {cut}:\n{}", self.name, self.topic, self.rfc, table.text));
        }
        Ok(())
    }

    /// Parses all that we put on the wire into frames.
    fn frames(&self, sent: &[u8]) -> Result<Vec<Sent>, String> {
        sent_frames(self.role, &self.config, sent)
    }
}

/// Parses all that we put on the wire into frames, and inflates the compressed ones.
///
/// # Errors
/// It is not a sequence of whole and well-formed frames, or a payload does not inflate within the negotiated
/// window.
pub fn sent_frames(role: Role, config: &Config, sent: &[u8]) -> Result<Vec<Sent>, String> {
    let mut inflater = Inflater::new(config.our_window_bits(role));
    let restarts = config.we_restart(role);
    let read = |mut frame: Frame| {
        let compressed = config.deflate.is_some() && frame.rsv & wire::RSV1 != 0;
        if compressed {
            if restarts {
                inflater.restart();
            }
            frame.payload = inflater.inflate(&frame.payload)?;
        }
        Ok(Sent { frame, compressed, any_reason: false })
    };
    match wire::decode_all(sent) {
        Ok((frames, [])) => frames.into_iter().map(read).collect(),
        Ok((frames, rest)) => Err(format!("{frames:?} and {} bytes of an unfinished frame", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

impl Sent {
    /// Whether this, as written in a case, describes the frame.
    fn allows(&self, actual: &Self) -> bool {
        let mut actual = actual.clone();
        if self.any_reason {
            actual.any_reason = true;
            actual.frame.payload.truncate(2);
        }
        *self == actual
    }
}

/// Two columns: the expected and the actual.
#[derive(Default)]
struct Table {
    text: String,
    differs: bool,
}

impl Table {
    fn rows<E: fmt::Display, A: fmt::Display>(
        &mut self,
        what: &str,
        expected: &[E],
        actual: &[A],
        same: impl Fn(&E, &A) -> bool,
    ) {
        for index in 0..expected.len().max(actual.len()) {
            let (expected, actual) = (expected.get(index), actual.get(index));
            let same = expected.zip(actual).is_some_and(|(expected, actual)| same(expected, actual));
            self.row(&format!("{what} {}", index + 1), expected, actual, same);
        }
    }

    fn row(&mut self, what: &str, expected: Option<impl fmt::Display>, actual: Option<impl fmt::Display>, same: bool) {
        let none = || "—".to_owned();
        let expected = expected.map_or_else(none, |cell| cell.to_string());
        let actual = actual.map_or_else(none, |cell| cell.to_string());
        if self.text.is_empty() {
            let _ = writeln!(self.text, "    {:<10} {:<50}   actual", "", "expected");
        }
        let mark = if same { " " } else { "≠" };
        let _ = writeln!(self.text, "    {what:<10} {expected:<50} {mark} {actual}");
        self.differs |= !same;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        Case {
            topic: "control".into(),
            name: "a".into(),
            rfc: "6455 5.4".into(),
            role: Role::Server,
            config: Config::default(),
            input: vec![Step::Receive(vec![1, 2]), Step::Receive(vec![3]), Step::Eof, Step::Receive(vec![4])],
            events: vec![Event::Text("Hello".into())],
            sent: vec![Sent { frame: Frame::close(Some((1002, ""))), compressed: false, any_reason: true }],
            ended: true,
            state: None,
            closed: None,
        }
    }

    #[test]
    fn input_is_cut_at_every_byte() {
        let case = case();
        assert_eq!(case.cuts(), [Cut::Whole, Cut::EveryByte, Cut::After(1), Cut::After(2), Cut::After(3)]);
        let read = |bytes: &[u8]| Step::Receive(bytes.to_vec());
        assert_eq!(case.steps(Cut::Whole), [read(&[1, 2, 3]), Step::Eof, read(&[4])]);
        assert_eq!(case.steps(Cut::After(1)), [read(&[1]), read(&[2, 3]), Step::Eof, read(&[4])]);
        assert_eq!(case.steps(Cut::EveryByte), [read(&[1]), read(&[2]), read(&[3]), Step::Eof, read(&[4])]);
    }

    #[test]
    fn differences_are_shown_side_by_side() {
        let mut outcome = Outcome {
            events: vec![Event::Text("Hello".into())],
            sent: Frame::close(Some((1002, "because"))).encode(),
            ended: true,
            state: State::Closing,
            closed: None,
        };
        assert_eq!(case().check(Cut::Whole, &outcome), Ok(()));
        outcome.events.push(Event::Ping(vec![]));
        outcome.sent.pop();
        let error = case().check(Cut::After(7), &outcome).unwrap_err();
        for part in ["a in control.toml (RFC 6455 5.4), cut after byte 7", "≠ ping", "unfinished frame"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("≠ text"), "{error}");
    }
}
