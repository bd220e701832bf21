//! The name of a topic and all that comes with it: an engine, history. A [`Topic`](crate::Topic) without a name has none of
//! this.

use std::fmt::Debug;
use std::pin::Pin;

use ropeway_proto::Prepared;

use super::post::To;
use super::published::{PublishError, Published, Reach, Recovery};
use crate::engine::{Name, Position};

/// The part of a topic that it has because of its name.
pub(crate) trait Named: Debug + Send + Sync {
    fn name(&self) -> &Name;

    /// Whether an engine carries the topic's publications.
    fn has_engine(&self) -> bool;

    /// Publishes a message on this node and on all others.
    fn publish(&self, message: &Prepared, to: To<'_>) -> Result<Published, PublishError>;

    /// Notes that there is one more handle.
    fn hold(&self);

    /// Notes that there is one handle less. After the last one the topic is forgotten, if nothing else needs it.
    fn release(&self);

    /// Notes that there is a first subscriber or listener, or that the last one has gone. It is called under the lock of
    /// a connection's [`Link`](crate::handle), so it takes no such lock.
    fn note_audience(&self);

    /// Waits until it is known how far publications reach that are heard here.
    fn reach(&self) -> Pin<Box<dyn Future<Output = Reach> + Send + '_>>;

    /// The position of the last message, if there is history and it is known.
    fn position(&self) -> Option<Position>;

    /// Fetches the stored messages after a position from the engine, if this node does not have them.
    fn fetch(&self, after: Position) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// If all messages after a position are here, passes them to `take`, oldest first. Then calls `subscribe`. No message is
    /// published in between.
    fn recover(&self, after: Position, take: &mut dyn FnMut(&Prepared), subscribe: &mut dyn FnMut()) -> Recovery;
}
