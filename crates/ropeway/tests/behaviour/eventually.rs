//! Waiting with a limit, so that a fault is a failed test and not one that never ends.

use std::time::{Duration, Instant};

/// Longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets tasks run until the condition holds. Time is measured by the system's clock, since a paused clock of tokio's
/// does not advance while tasks run.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{PATIENCE:?} have passed without this: {what}");
        tokio::task::yield_now().await;
    }
}
