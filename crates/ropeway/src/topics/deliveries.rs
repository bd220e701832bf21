//! The task that delivers what comes from the engine.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::envelope::Envelope;
use super::registry::Registry;
use super::uplink::Uplink;
use crate::engine::Arrival;
use crate::log::guarded;

/// The task that delivers arrivals, so that a call which waits for the engine does not hold them up.
pub(super) struct Deliveries(JoinHandle<()>);

impl Deliveries {
    pub(super) fn start(registry: Arc<Registry>, uplink: Arc<Uplink>, mut arrivals: mpsc::Receiver<Arrival>) -> Self {
        Self(tokio::spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                deliver(&registry, &uplink, arrival).await;
            }
        }))
    }

    /// Stops it. Arrivals that wait are not delivered: they count as missed. Afterwards nothing more is delivered, so that
    /// it is certain which of this node's messages its subscribers have heard.
    pub(super) async fn stop(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

async fn deliver(registry: &Registry, uplink: &Uplink, arrival: Arrival) {
    match arrival {
        Arrival::Message { topic, body, place } => {
            let Some((table, named)) = registry.find(&topic) else { return };
            if let Some(envelope) = Envelope::decode(body) {
                return named.arrive(&table, envelope, place).await;
            }
            if uplink.note_not_understood() == 1 {
                let topic = &*topic;
                guarded(|| {
                    tracing::warn!(
                        topic,
                        "a publication was not understood: another program, or another version of ropeway, publishes under the same prefix; further ones are only counted"
                    );
                });
            }
            named.tell_gap(&table);
        }
        Arrival::Missed { topic: Some(topic) } => {
            if let Some((table, named)) = registry.find(&topic) {
                named.tell_missed(&table);
            }
        }
        Arrival::Missed { topic: None } => {
            for name in registry.heard() {
                if let Some((table, named)) = registry.find(&name) {
                    named.tell_missed(&table);
                }
            }
        }
    }
}
