//! The end of a session: the first reason counts.

use std::sync::OnceLock;

use ropeway::engine::{EngineError, EngineFault};
use tokio::sync::watch;

/// Whether a session has ended, and why.
#[derive(Debug)]
pub(crate) struct End {
    reason: OnceLock<String>,
    is_over: watch::Sender<bool>,
}

impl End {
    pub(crate) fn new() -> Self {
        Self { reason: OnceLock::new(), is_over: watch::Sender::new(false) }
    }

    /// Ends the session, unless it has ended already.
    pub(crate) fn report(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
        self.is_over.send_replace(true);
    }

    /// Returns once the session has ended. Cancel safe.
    pub(crate) async fn wait(&self) {
        // It fails only if the sender is gone, and that is in `self`.
        let _ = self.is_over.subscribe().wait_for(|&is_over| is_over).await;
    }

    /// The reason, if the session has ended.
    pub(crate) fn error(&self) -> Option<EngineError> {
        self.reason.get().map(|reason| EngineError::new(EngineFault::Lost, reason.as_str()))
    }
}
