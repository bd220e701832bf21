//! The news of a connection that no call waits for: that it has ended, that messages were dropped, that the broker refused
//! something.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Event, ServerError};
use ropeway::engine::{EngineError, EngineFault};
use tokio::sync::{Notify, watch};

/// The news of one connection.
#[derive(Debug)]
pub(crate) struct Signals {
    /// The reason of the end, once there is one. The first reason stays.
    end: watch::Sender<Option<String>>,
    missed: Notify,
    refusal: Mutex<Option<String>>,
}

impl Signals {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { end: watch::Sender::new(None), missed: Notify::new(), refusal: Mutex::new(None) })
    }

    /// Takes an event of the client.
    pub(crate) fn take(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => {
                let reason = match self.take_refusal() {
                    Some(refusal) => format!("the broker ended the connection: {refusal}"),
                    None => "the connection to the broker was lost".into(),
                };
                self.end(reason);
            }
            Event::LameDuckMode => self.end("the broker is shutting down".into()),
            Event::SlowConsumer(_) => self.missed.notify_one(),
            Event::ServerError(error) => {
                let text = match error {
                    ServerError::Other(text) => text,
                    error => error.to_string(),
                };
                tracing::warn!(error = text, "NATS refused something");
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
            _ => {}
        }
    }

    /// Ends the session, if it has not ended.
    pub(crate) fn end(&self, reason: String) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            if is_first {
                *end = Some(reason);
            }
            is_first
        });
    }

    /// Returns once the session has ended, with the reason.
    pub(crate) async fn ended(&self) -> EngineError {
        let mut end = self.end.subscribe();
        let reason = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        lost(&reason.unwrap_or_default())
    }

    /// Returns once messages were dropped since the last time.
    pub(crate) async fn missed(&self) {
        self.missed.notified().await;
    }

    /// The last refusal of the broker that was not taken yet.
    pub(crate) fn take_refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn lost(reason: &str) -> EngineError {
    EngineError::new(EngineFault::Lost, format!("{reason}; ropeway connects again"))
}
