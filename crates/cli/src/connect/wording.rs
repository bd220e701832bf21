//! Texts of the library, with the names of its settings replaced by this program's options.

use ropeway::{Cause, Closed};

use super::render::escaped_line;

/// The library's settings, and the options for them.
const OPTIONS: [(&str, &str); 8] = [
    ("the client's limit for header lines", "--max-headers"),
    ("the client's limit for heads", "--max-head"),
    ("`max_payload`", "--max-payload"),
    ("`max_fragments`", "--max-fragments"),
    ("`max_control_rate`", "--max-control-rate"),
    ("`ping_interval`", "--ping"),
    ("`ping_timeout`", "--ping-timeout"),
    ("`close_timeout`", "--close-timeout"),
];

/// The text of an error or a close of the library, for a terminal. Some of it comes from a server, such as the reason
/// of a close.
pub(crate) fn wording(what: &impl ToString) -> String {
    let mut text = escaped_line(&what.to_string());
    for (setting, option) in OPTIONS {
        text = text.replace(setting, option);
    }
    text
}

/// The text for the end of a connection, with the error if the transport broke.
pub(crate) fn wording_of_end(closed: &Closed) -> String {
    match &closed.cause {
        Cause::Broken(broken) => format!("{}: {}", wording(closed), broken.error()),
        _ => wording(closed),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;
    use ropeway::{Cause, ClientError, HeadError, Violation};

    use super::*;

    #[test]
    fn options_that_are_named_exist() {
        let command = super::super::Args::augment_args(clap::Command::new("connect"));
        for (_, option) in OPTIONS {
            let name = &option[2..];
            assert!(command.get_arguments().any(|argument| argument.get_long() == Some(name)), "{option}");
        }
    }

    #[test]
    fn no_setting_is_named_that_the_program_does_not_have() {
        let too_big = Violation::too_big(1, None);
        let violations = [too_big, Violation::TooManyFragments(1), Violation::ControlFlood(1)].map(Cause::Violation);
        for cause in [Cause::KeepaliveTimeout, Cause::CloseTimeout, Cause::Eof].into_iter().chain(violations) {
            let text = wording(&cause);
            assert!(!text.contains('`') && !text.contains("_timeout") && !text.contains("max_"), "{text}");
        }
        for (error, option) in [
            (HeadError::TooLarge { limit: 1 }, "--max-head "),
            (HeadError::TooManyHeaders { limit: 1 }, "--max-headers "),
        ] {
            let text = wording(&ClientError::Head(error));
            assert!(text.contains(option) && !text.contains("the client's limit"), "{text}");
        }
    }
}
