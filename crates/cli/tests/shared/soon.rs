//! Waiting with a limit, so that a fault is a failed test and not one that never ends.

use std::panic::Location;
use std::time::Duration;

use tokio::time::timeout;

/// The time after which a test fails instead of hanging. No result depends on it.
pub(crate) const TOO_LONG: Duration = Duration::from_mins(2);

/// Waits for something that should come soon.
#[track_caller]
pub(crate) fn soon<T>(what: &str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let asked = Location::caller();
    async move { timeout(TOO_LONG, work).await.unwrap_or_else(|_| panic!("{asked}: {what} should have come by now")) }
}
