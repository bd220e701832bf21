//! Futures that may end early: with the end of another one, or by a panic of their own.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// The future panicked. The panic hook has reported it.
pub(super) struct Panicked;

/// Returns the result of `work`, or `None` if `stopped` is done first.
pub(super) async fn unless<T>(mut stopped: Pin<&mut impl Future>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match stopped.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

/// Returns the result of `work`, which is the user's code and may panic, also while it is dropped.
pub(super) fn caught<T>(work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panicked>> {
    let mut work = Caught(Some(Box::pin(work)));
    poll_fn(move |cx| match work.poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(result) => Poll::Ready(work.end().and(result)),
    })
}

/// The user's future, until it is done.
struct Caught<F>(Option<Pin<Box<F>>>);

impl<F: Future> Caught<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<F::Output, Panicked>> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

impl<F> Caught<F> {
    /// Drops the future.
    fn end(&mut self) -> Result<(), Panicked> {
        let work = self.0.take();
        catch_unwind(AssertUnwindSafe(|| drop(work))).map_err(|_| Panicked)
    }
}

/// The future is dropped here, and its panics are caught. A second panic, while the first one unwinds, would end the
/// program.
impl<F> Drop for Caught<F> {
    fn drop(&mut self) {
        // The panic hook has reported it.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    async fn panics_as_it_is_dropped() {
        let _guard = PanicsOnDrop;
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_future_that_panics_as_it_is_dropped_is_caught() {
        // Given up: the panic does not reach this test.
        let mut work = Box::pin(caught(panics_as_it_is_dropped()));
        assert!(poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_pending())).await);
        drop(work);
        // Done, with a guard of its own that goes at its end.
        assert!(caught(async { drop(PanicsOnDrop) }).await.is_err());
    }
}
