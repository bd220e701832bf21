//! Times on the command line, in seconds.

use std::time::Duration;

/// The longest time that is accepted. A longer one is likely a typing error, and some clocks do not reach much further.
const LONGEST: Duration = Duration::from_hours(365 * 24);

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds, like 2.5")?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| "not a time that can be waited for")?;
    if duration > LONGEST { Err("more than a year".into()) } else { Ok(duration) }
}

pub(crate) fn positive_seconds(text: &str) -> Result<Duration, String> {
    let duration = seconds(text)?;
    if duration.is_zero() { Err("must be more than 0".into()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_clock_can_keep_are_refused() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["", "-1", "nan", "inf", "1e30", "3 s"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
        assert!(positive_seconds("0").is_err());
    }
}
