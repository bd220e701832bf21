//! Whether a run has measured what it was for, and if not, the text with advice. The conditions of `--assert` are left
//! to [`super::assertion`].

use super::report::{ErrorKind, Report};
use crate::bench::measure::conduct::Outcome;
use crate::bench::units::whole;

/// Why a run is a failure, whatever its figures are; `None` if it is not. `is_complete` says that everything asked for
/// was done, and `of_mode` is a reason that only the mode knows.
pub(crate) fn trouble(
    report: &Report,
    outcome: &Outcome,
    is_complete: bool,
    of_mode: Option<String>,
) -> Option<String> {
    let connections = &report.connections;
    let all_lost = connections.dropped > 0 && outcome.open_at_end == 0;
    if connections.opened == 0 {
        return Some(if outcome.is_interrupted {
            "nothing was measured: the run was interrupted before a connection was open".to_owned()
        } else {
            "no connection could be opened".to_owned()
        });
    }
    if report.count == 0 {
        let reason = if let Some(reason) = of_mode {
            reason
        } else if all_lost {
            format!("all {} connections ended early{}", whole(connections.opened), by(report))
        } else if kinds(report).any(|kind| kind.kind == "unexpected_message") {
            "the server sends back other messages than were sent: is it the right path?".to_owned()
        } else if report.drops > 0 && connections.dropped == 0 {
            "the server does not answer messages: is it the right path?".to_owned()
        } else if outcome.is_interrupted {
            "the run was interrupted before there was anything to measure".to_owned()
        } else {
            format!("no message was answered within the measured time{}", by(report))
        };
        return Some(format!("nothing was measured: {reason}"));
    }
    of_mode.or_else(|| {
        (all_lost && !is_complete).then(|| {
            format!(
                "all {} connections ended before the run did{}; the figures are of the time until then",
                whole(connections.opened),
                by(report)
            )
        })
    })
}

/// The most frequent way in which connections ended, in brackets.
fn by(report: &Report) -> String {
    let end = kinds(report).find(|kind| {
        kind.kind.starts_with("closed_")
            || ["protocol_violation", "ping_timeout", "close_timeout", "connection_lost"].contains(&kind.kind.as_str())
    });
    end.map_or_else(String::new, |kind| format!(" ({}: {})", kind.kind, kind.first))
}

fn kinds(report: &Report) -> impl Iterator<Item = &ErrorKind> {
    report.errors.kinds.iter()
}
