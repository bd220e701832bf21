//! News of an engine, for the program.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::engine::Name;
use crate::topic::feed::{self, Feed, News};

/// News of the engine of [`Topics`](crate::Topics).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicsEvent {
    /// The engine is up, and all topics that are heard are subscribed.
    Up,
    /// The engine is down, for this reason. It is tried again and again. Until then publications are
    /// [`Delivery::Offline`](crate::Delivery).
    Down(Arc<str>),
    /// Messages of a topic may be missing here.
    Gap(Name),
    /// The engine has refused publications or subscriptions, for this reason.
    Refused(Arc<str>),
    /// The program was too slow: news are missing here.
    Missing,
}

impl News for TopicsEvent {
    fn missing() -> Self {
        Self::Missing
    }
}

/// The news of an engine, as a [`Stream`]. It ends when the last handle to the [`Topics`](crate::Topics) is dropped.
pub struct Events {
    feed: Arc<Feed<TopicsEvent>>,
}

impl Events {
    /// The next event. Cancel safe.
    pub async fn next(&mut self) -> Option<TopicsEvent> {
        feed::next(self).await
    }
}

impl Stream for Events {
    type Item = TopicsEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TopicsEvent>> {
        self.feed.poll_next(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// The readers of the news.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Vec<Weak<Feed<TopicsEvent>>>>);

impl Readers {
    pub(super) fn add(&self) -> Events {
        let feed = Feed::new();
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.strong_count() > 0);
        readers.push(Arc::downgrade(&feed));
        Events { feed }
    }

    pub(super) fn tell(&self, event: &TopicsEvent) {
        self.each(|feed| feed.push(event.clone()));
    }

    pub(super) fn end(&self) {
        self.each(Feed::end);
    }

    fn each(&self, call: impl Fn(&Feed<TopicsEvent>)) {
        let readers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        readers.iter().filter_map(Weak::upgrade).for_each(|feed| call(&feed));
    }
}
