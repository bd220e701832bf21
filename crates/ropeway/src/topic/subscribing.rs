//! A subscription that was asked for.

use std::fmt;
use std::pin::Pin;

use super::counted::Counted;
use super::published::Reach;

/// A subscription that was asked for. It need not be awaited: the connection is subscribed.
///
/// Awaiting it returns once it is known how far the publications come from: see [`Reach`]. That is at once, unless the topic
/// has an engine. Cancel safe: dropping it does not end the subscription.
///
/// ```
/// # use ropeway::{Reach, Topic, WebSocket};
/// # async fn example(ws: &WebSocket, room: &Topic) {
/// if ws.subscribe(room).await == Reach::Offline {
///     println!("only messages of this node are heard");
/// }
/// # }
/// ```
pub struct Subscribing {
    /// `None` if there is nothing to wait for.
    table: Option<Counted>,
}

impl Subscribing {
    pub(crate) fn new(table: &Counted) -> Self {
        let has_engine = table.named().is_some_and(|named| named.has_engine());
        Self { table: has_engine.then(|| table.clone()) }
    }
}

impl IntoFuture for Subscribing {
    type Output = Reach;
    type IntoFuture = Pin<Box<dyn Future<Output = Reach> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.table {
                Some(table) => table.reach().await,
                None => Reach::Process,
            }
        })
    }
}

impl fmt::Debug for Subscribing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribing").finish_non_exhaustive()
    }
}
