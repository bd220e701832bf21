//! The machine of [`super`] as a table: the next state for each input in each state.

#![expect(clippy::disallowed_methods, reason = "a test needs some time to begin with")]

use std::time::{Duration, Instant};

use super::{CloseFrame, Life, State, Terms};
use crate::code::CloseCode;
use crate::error::Violation;
use crate::outcome::Cause;

/// One row an input, one column a state. Each cell is the next state; a `+` means that a close frame is queued.
const TABLE: &str = "
                   Open          Fragmenting   Unanswered    CloseSent     Lingering     Closed
  close            CloseSent+    CloseSent+    Lingering+    CloseSent     Lingering     Closed
  close_received   Unanswered    Unanswered    Unanswered    Lingering     Lingering     Closed
  eof              Unanswered    Unanswered    Unanswered    Lingering     Lingering     Closed
  answer           Open          Fragmenting   Lingering+    CloseSent     Lingering     Closed
  fail             Unanswered    Unanswered    Unanswered    Lingering     Lingering     Closed
  timeout          Open          Fragmenting   Lingering+    Closed        Closed        Closed
  shutdown         Open          Fragmenting   Unanswered    CloseSent     Closed        Closed
  end              Closed        Closed        Closed        Closed        Closed        Closed
  start_fragments  Fragmenting   Fragmenting   Unanswered    CloseSent     Lingering     Closed
  end_fragments    Open          Open          Unanswered    CloseSent     Lingering     Closed
";

/// `auto` is both `auto_close` and `auto_fail`.
fn terms(now: Instant, auto: bool) -> Terms {
    let close_timeout = Some(Duration::from_secs(10));
    Terms {
        now,
        is_server: true,
        auto_close: auto,
        auto_fail: auto,
        close_timeout,
        end_timeout: Duration::from_secs(1),
    }
}

/// A life in this state, in which the peer has closed with 4000.
fn life(state: &str, terms: Terms) -> Life {
    let mut life = Life::default();
    match state {
        "Open" => {}
        "Fragmenting" => life.start_fragments(),
        "Unanswered" => assert_eq!(life.close_received(Some(CloseFrame::new(4000, "")), terms), None),
        "CloseSent" => assert!(life.close(terms)),
        "Lingering" => {
            assert!(life.close(terms));
            assert_eq!(life.close_received(Some(CloseFrame::new(4000, "")), terms), None);
        }
        _ => life.end(Cause::Terminated),
    }
    assert_eq!(name(&life), state);
    life
}

fn name(life: &Life) -> &'static str {
    match life.0.as_deref().unwrap_or(&State::Open) {
        State::Open => "Open",
        State::Fragmenting(_) => "Fragmenting",
        State::Unanswered(_) => "Unanswered",
        State::CloseSent { .. } => "CloseSent",
        State::Lingering(_) => "Lingering",
        State::Closed(_) => "Closed",
    }
}

/// The codes of the close frames that the user and the peer send, and that a violation causes.
const OURS: u16 = 1000;
const PEERS: u16 = 4000;
const FAULT: u16 = 1002;

/// Gives an input to a life. Returns the code of the close frame that is to be queued, or 0.
fn input(life: &mut Life, input: &str, terms: Terms) -> u16 {
    let frame = match input {
        "close" => return if life.close(terms) { OURS } else { 0 },
        "close_received" => life.close_received(Some(CloseFrame::new(PEERS, "")), terms),
        "eof" => life.eof(terms),
        "answer" => life.answer(terms),
        "fail" => life.fail(Violation::MaskMissing, terms),
        "timeout" => life.timeout(Terms { now: terms.now + Duration::from_secs(10), ..terms }),
        "shutdown" => {
            if life.begin_shutdown(true) {
                life.shutdown_done();
            }
            None
        }
        "end" => {
            life.end(Cause::Terminated);
            None
        }
        "start_fragments" => {
            life.start_fragments();
            None
        }
        _ => {
            life.end_fragments();
            None
        }
    };
    frame.map_or(0, |frame| frame.code.as_u16())
}

#[test]
fn each_input_in_each_state_leads_where_the_table_says() {
    let terms = terms(Instant::now(), false);
    let mut rows = TABLE.trim().lines().map(str::split_whitespace);
    let states: Vec<&str> = rows.next().expect("the states").collect();
    for mut row in rows {
        let given = row.next().expect("an input");
        let code = match given {
            "close" => OURS,
            "fail" => FAULT,
            _ => PEERS,
        };
        for (from, to) in states.iter().zip(row) {
            let expected = to.strip_suffix('+').map_or((to, 0), |to| (to, code));
            let mut life = life(from, terms);
            let queued = input(&mut life, given, terms);
            assert_eq!((name(&life), queued), expected, "{given} in {from}");
        }
    }
}

#[test]
fn with_auto_close_and_auto_fail_the_peers_end_and_violation_are_answered_at_once() {
    let terms = terms(Instant::now(), true);
    for (given, code) in [("close_received", PEERS), ("eof", 0), ("fail", FAULT)] {
        for from in ["Open", "Fragmenting"] {
            let mut life = life(from, terms);
            assert_eq!((input(&mut life, given, terms), name(&life)), (code, "Lingering"), "{given} in {from}");
        }
    }
}

#[test]
fn a_violation_that_is_not_answered_at_once_is_answered_with_its_code_or_with_the_users() {
    let terms = terms(Instant::now(), false);
    for (given, code) in [("answer", FAULT), ("timeout", FAULT), ("close", OURS)] {
        for from in ["Open", "Fragmenting"] {
            let mut life = life(from, terms);
            assert_eq!((input(&mut life, "fail", terms), name(&life)), (0, "Unanswered"));
            assert!(life.is_open() && !life.is_receiving());
            assert_eq!((input(&mut life, given, terms), name(&life)), (code, "Lingering"), "{given} in {from}");
            // The peer reads our close frame before it ends its half.
            input(&mut life, "shutdown", terms);
            assert_eq!(name(&life), "Lingering");
            life.eof(terms);
            assert_eq!(life.outcome().map(|outcome| outcome.code), Some(CloseCode::ABNORMAL));
        }
    }
}

#[test]
fn a_decided_outcome_is_not_replaced_later() {
    let terms = terms(Instant::now(), false);
    for from in ["Unanswered", "Lingering"] {
        let mut life = life(from, terms);
        life.end(Cause::KeepaliveTimeout);
        let outcome = life.outcome().expect("it is closed");
        assert_eq!((outcome.code, &outcome.cause), (CloseCode::from(PEERS), &Cause::Handshake), "{from}");
    }
    let mut life = life("Closed", terms);
    for given in ["close", "close_received", "eof", "answer", "fail", "timeout", "shutdown", "end"] {
        input(&mut life, given, terms);
        assert_eq!(life.outcome().map(|outcome| &outcome.cause), Some(&Cause::Terminated), "{given}");
    }
}
