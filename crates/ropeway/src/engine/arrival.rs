//! Publications on their way from an engine to the topics of a node.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::name::Name;
use super::position::Position;

/// A publication, or the news of a lost one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Arrival {
    /// A publication of any node, this one included.
    Message {
        /// The topic.
        topic: Name,
        /// The body of the [`Outgoing`](super::Outgoing).
        body: Bytes,
        /// With history: the message's position, and the offset of the topic's message before it.
        place: Option<(Position, u64)>,
    },
    /// Messages were lost on the way from the broker.
    Missed {
        /// The topic, or `None` if it may be any.
        topic: Option<Name>,
    },
}

/// The way from an engine to the topics of a node. It is bounded.
#[derive(Clone, Debug)]
pub struct Inlet {
    sender: mpsc::Sender<Arrival>,
}

impl Inlet {
    /// An inlet with room for this many arrivals, and the other end of it.
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Arrival>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { sender }, receiver)
    }

    /// Passes an arrival on, once there is room. Arrivals of one task stay in order. It does nothing if the session is
    /// over.
    ///
    /// Cancel safe: if it is dropped before it is done, the arrival was not passed on.
    pub async fn deliver(&self, arrival: Arrival) {
        // The other end is gone only when the session is over.
        let _ = self.sender.send(arrival).await;
    }
}
