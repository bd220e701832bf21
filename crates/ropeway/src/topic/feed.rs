//! A bounded queue of news with one reader, as a stream. If the reader is too slow, it finds out that it missed some.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

/// The most items that wait for a reader.
const MOST: usize = 1024;

/// A kind of news. One item of it says that others are missing.
pub(crate) trait News {
    /// The item that says that some are missing.
    fn missing() -> Self;
}

/// A bounded queue with one reader.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    inside: Mutex<Inside<T>>,
}

#[derive(Debug)]
struct Inside<T> {
    items: VecDeque<T>,
    /// Whether items are missing behind those that wait.
    has_missed: bool,
    is_over: bool,
    reader: Option<Waker>,
}

impl<T: News> Feed<T> {
    pub(crate) fn new() -> Arc<Self> {
        let inside = Inside { items: VecDeque::new(), has_missed: false, is_over: false, reader: None };
        Arc::new(Self { inside: Mutex::new(inside) })
    }

    /// Adds an item. If there is no room, the reader is told that one is missing.
    pub(crate) fn push(&self, item: T) {
        let mut inside = self.lock();
        // An item that came behind a missing one must not seem to follow directly.
        if inside.items.len() >= MOST || inside.has_missed {
            inside.has_missed = true;
        } else {
            inside.items.push_back(item);
        }
        inside.wake();
    }

    /// Ends the stream behind the items that wait.
    pub(crate) fn end(&self) {
        let mut inside = self.lock();
        inside.is_over = true;
        inside.wake();
    }

    /// The next item for the reader.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut inside = self.lock();
        if let Some(item) = inside.items.pop_front() {
            return Poll::Ready(Some(item));
        }
        if std::mem::take(&mut inside.has_missed) {
            return Poll::Ready(Some(T::missing()));
        }
        if inside.is_over {
            return Poll::Ready(None);
        }
        inside.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inside<T> {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The next item of a stream, without an extension trait.
pub(crate) async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}
