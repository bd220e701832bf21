//! An engine under test with its broker, and the steps that tests are written with. Each step is bounded.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ropeway::engine::{
    Arrival, Engine, EngineError, EngineFault, History, Inlet, Name, Outgoing, Position, Session, Wanted,
};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::broker::Broker;

/// Each wait of a test ends after this long. It is far more than a healthy broker needs on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// An engine under test, and its broker.
#[derive(Debug)]
pub struct Rig {
    /// The running broker.
    pub broker: Broker,
    /// Makes an engine for an address such as `127.0.0.1:4222`. Its time limit for a call is a second or two.
    pub engine: fn(address: &str) -> Arc<dyn Engine>,
}

/// A session of an engine, and the arrivals at its node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) session: Arc<dyn Session>,
    pub(super) arrivals: Receiver<Arrival>,
}

impl Rig {
    pub(super) async fn node(&self) -> Node {
        self.node_with(10_000).await
    }

    /// A node that takes this many arrivals without being asked.
    pub(super) async fn node_with(&self, capacity: usize) -> Node {
        let (inlet, arrivals) = Inlet::new(capacity);
        let engine = (self.engine)(&self.broker.address());
        let session = within("connecting", engine.connect(inlet)).await;
        Node { session: session.expect("the broker accepts the session"), arrivals }
    }

    /// The error of connecting to an address.
    pub(super) async fn refused(&self, address: &str) -> EngineError {
        let (inlet, _arrivals) = Inlet::new(1);
        let engine = (self.engine)(address);
        within("the refusal of a connection", engine.connect(inlet)).await.expect_err("it must not connect")
    }
}

impl Node {
    pub(super) async fn subscribe(&self, topics: &[&str]) {
        self.subscribe_with(topics, None).await;
    }

    pub(super) async fn subscribe_with(&self, topics: &[&str], history: Option<History>) {
        let wanted: Vec<_> = topics.iter().map(|topic| Wanted { topic: name(topic), history }).collect();
        within("subscribing", self.session.subscribe(&wanted)).await.expect("subscribing succeeds");
    }

    pub(super) async fn unsubscribe(&self, topics: &[&str]) {
        let topics: Vec<_> = topics.iter().map(|topic| name(topic)).collect();
        within("unsubscribing", self.session.unsubscribe(&topics)).await.expect("unsubscribing succeeds");
    }

    pub(super) async fn publish(&self, topic: &str, bodies: &[&str]) {
        self.publish_with(topic, bodies, None).await;
    }

    pub(super) async fn publish_with(&self, topic: &str, bodies: &[&str], history: Option<History>) {
        let batch: Vec<_> = bodies.iter().map(|body| outgoing(topic, body, history)).collect();
        within("publishing", self.session.publish(&batch)).await.expect("publishing succeeds");
    }

    pub(super) async fn arrival(&mut self) -> Arrival {
        within("an arrival", self.arrivals.recv()).await.expect("the session goes on")
    }

    /// The next arrival, which must be a message.
    pub(super) async fn message(&mut self) -> Heard {
        match self.arrival().await {
            Arrival::Message { topic, body, place } => Heard { topic: topic.to_string(), body, place },
            other => panic!("a message was expected, not {other:?}"),
        }
    }

    /// The bodies of the next messages.
    pub(super) async fn bodies(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::with_capacity(count);
        for _ in 0..count {
            bodies.push(self.message().await.text());
        }
        bodies
    }

    /// The reason of the end, which must come soon.
    pub(super) async fn end(&self) -> EngineError {
        match within("the end of the session", self.session.ended()).await {
            Err(error) => error,
        }
    }
}

/// A message as a node hears it.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) topic: String,
    pub(super) body: Bytes,
    pub(super) place: Option<(Position, u64)>,
}

impl Heard {
    pub(super) fn text(&self) -> String {
        text(&self.body)
    }
}

pub(super) fn text(body: &Bytes) -> String {
    String::from_utf8(body.to_vec()).expect("the tests publish text")
}

pub(super) fn name(name: &str) -> Name {
    Name::new(name.to_owned()).expect("the tests' names are short enough")
}

pub(super) fn outgoing(topic: &str, body: &str, history: Option<History>) -> Outgoing {
    Outgoing { topic: name(topic), body: Bytes::copy_from_slice(body.as_bytes()), history }
}

pub(super) async fn within<T>(awaited: &str, work: impl Future<Output = T>) -> T {
    let Ok(result) = timeout(LIMIT, work).await else { panic!("{awaited} took longer than {} s", LIMIT.as_secs()) };
    result
}

pub(super) fn assert_fault(error: &EngineError, faults: &[EngineFault]) {
    assert!(faults.contains(&error.fault()), "{:?} is none of {faults:?}: {error}", error.fault());
}
