//! The pings that are not answered yet, and the time to send the next one.

use std::collections::VecDeque;
use std::time::Duration;

use ropeway::{Bytes, Handle, SendError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, interval_at};

use super::events::Event;

/// The most unanswered pings that are remembered.
const MOST: usize = 64;

/// Sends an event at each interval when a ping is due, until the session is over.
pub(crate) async fn remind(interval: Duration, events: UnboundedSender<Event>) {
    let mut due = interval_at(Instant::now() + interval, interval);
    loop {
        due.tick().await;
        if events.send(Event::PingDue).is_err() {
            return;
        }
    }
}

/// Pings that are not answered yet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    count: u64,
    sent: VecDeque<(Bytes, Instant)>,
}

impl Pings {
    /// Sends a ping with this payload, or with its number as the payload.
    pub(crate) fn send(&mut self, handle: &Handle, payload: Option<Bytes>) -> Result<(), SendError> {
        self.count += 1;
        let payload = payload.unwrap_or_else(|| self.count.to_string().into());
        handle.ping(&payload).sent()?;
        if self.sent.len() == MOST {
            self.sent.pop_front();
        }
        self.sent.push_back((payload, Instant::now()));
        Ok(())
    }

    /// Returns how long the answer took. `None` if this does not answer a ping of ours.
    ///
    /// RFC 6455 section 5.5.3: an endpoint that got several pings "MAY elect to send a Pong frame for only the most
    /// recently processed Ping frame". So a pong also answers the pings before its own.
    pub(crate) fn answered(&mut self, payload: &Bytes) -> Option<Duration> {
        let index = self.sent.iter().position(|(sent, _)| sent == payload)?;
        let (_, at) = self.sent.drain(..=index).next_back()?;
        Some(at.elapsed())
    }
}
