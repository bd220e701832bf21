//! Waiting with a limit, so that a fault is a failed test and not one that never ends.

use std::time::{Duration, Instant};

/// Longer than anything takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Lets tasks run until the condition holds. Time is measured by the system's clock, since a paused clock of tokio's
/// does not advance while tasks run.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{PATIENCE:?} have passed without this: {what}");
        tokio::task::yield_now().await;
    }
}

/// Waits for something on the real clock. A paused clock would advance at once.
pub(crate) async fn within<F: Future>(what: &str, work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("{PATIENCE:?} have passed without this: {what}"))
}
