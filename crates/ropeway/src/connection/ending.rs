//! The end of a connection: its outcome, its close event, and the wake-up of tasks that await the end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ropeway_proto::Cause;

use super::driver::Driver;
use super::handler::Handler;
use super::in_event::Connection;
use crate::error::Error;
use crate::io::Stream;
use crate::log;

impl<T, H: Handler<T>, S: Stream> Driver<H, S, T> {
    /// Tells the handler how the connection ended, once the core knows.
    pub(super) fn finish(&mut self) {
        let Some(mut closed) = self.core.outcome().cloned() else { return };
        if let (Cause::Eof | Cause::Abandoned, Some(broken)) = (&closed.cause, self.link.take_broken()) {
            closed.cause = Cause::Broken(broken);
        }
        log::guarded(|| log::of_connection!(debug, self.link, "closed: {closed}"));
        self.link.report_outcome(closed.clone());
        self.guarded(|this| {
            let mut ws = Connection::new(&mut this.core, &this.link);
            if let Some(mut state) = this.state.take() {
                // A violation was reported when it was found.
                if let Some(error @ Error::Lost(_)) = Error::of_end(&closed) {
                    this.endpoint.handler.on_error(&mut ws, &mut state, &error);
                }
                this.endpoint.handler.on_close(&mut ws, state, &closed);
            }
        });
    }

    /// Ends the connection before its time, as nothing drives it any more.
    fn abandon(&mut self) {
        // A command that waits, such as `terminate`, may decide how it ends.
        self.run_commands();
        self.core.abandon();
        self.finish();
    }
}

/// The connection has ended, or its runtime has. Tasks that await the end are told.
impl<T, H: Handler<T>, S: Stream> Drop for Driver<H, S, T> {
    fn drop(&mut self) {
        if self.link.outcome().is_none() {
            let _ = catch_unwind(AssertUnwindSafe(|| self.abandon()));
        }
        self.link.end();
        if let Some(clients) = &self.endpoint.clients {
            clients.leave(self.place);
        }
    }
}
