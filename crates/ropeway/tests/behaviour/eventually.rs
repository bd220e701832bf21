//! Waiting for what comes in the end: with a bound, so that a failure is a failed test and not one that never ends.

use std::time::{Duration, Instant};

/// Longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets tasks go on until something is so. The time is the machine's own, since a clock that a test has stopped does not move on
/// while tasks run.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{PATIENCE:?} have passed without this: {what}");
        tokio::task::yield_now().await;
    }
}
