//! Many connections in one task: the event loop that drives plain TCP connections. Each thread of a runtime has one.
//!
//! A tokio task with a socket of tokio's costs 900 bytes before anything is in them. Here a connection costs its own
//! state and an entry in a table. If many connections become ready at the same time, that is one wake-up. The loop has
//! a poller of its own for the sockets, and tokio watches that poller. So all handlers run on the user's runtime, and
//! may spawn tasks.
//!
//! ```text
//!   tokio's poller ──► the loop's poller ──► readiness of sockets ──┐
//!                      mailbox: newcomers, connections with commands ┼──► Drive::turn
//!                      deadlines ───────────────────────────────────┘
//! ```

mod again;
mod backlog;
mod bell;
mod deadlines;
mod last;
mod loops;
mod mailbox;
mod publication;
mod rounds;

pub(crate) use backlog::{note_published, waits_here};
pub(crate) use bell::Bell;
pub(crate) use loops::next_mailbox;
pub(crate) use mailbox::{Drive, Mailbox};
pub(crate) use publication::{Audience, Publication, Subscriber};
