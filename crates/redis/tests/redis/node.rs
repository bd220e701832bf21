//! A node of the tests: a session and what arrives.

use std::sync::Arc;
use std::time::Duration;

use ropeway::engine::{
    Arrival, Engine, EngineError, EngineFault, History, Inlet, Name, Outgoing, Position, Session, Wanted,
};
use ropeway_redis::Redis;
use testkit::broker::Broker;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Nothing takes longer on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) arrivals: Receiver<Arrival>,
}

impl Node {
    pub(crate) async fn of(engine: Redis) -> Self {
        let (inlet, arrivals) = Inlet::new(64);
        let session = within("connecting", engine.connect(inlet)).await.expect("the server is there");
        Self { session, arrivals }
    }

    /// A node on a broker.
    pub(crate) async fn on(broker: &Broker) -> Self {
        Self::of(engine(broker)).await
    }

    pub(crate) async fn subscribe(&self, topics: &[&str]) -> Result<(), EngineError> {
        let wanted = |topic: &&str| Wanted { topic: name(topic), history: None };
        let topics: Vec<Wanted> = topics.iter().map(wanted).collect();
        within("subscribing", self.session.subscribe(&topics)).await
    }

    pub(crate) async fn unsubscribe(&self, topics: &[&str]) -> Result<(), EngineError> {
        let topics: Vec<Name> = topics.iter().map(|topic| name(topic)).collect();
        within("unsubscribing", self.session.unsubscribe(&topics)).await
    }

    /// Publishes messages, all as one batch.
    pub(crate) async fn publish(&self, history: Option<History>, batch: &[(&str, &str)]) -> Result<(), EngineError> {
        let outgoing =
            |&(topic, body): &(&str, &str)| Outgoing { topic: name(topic), body: body.to_owned().into(), history };
        let batch: Vec<Outgoing> = batch.iter().map(outgoing).collect();
        within("publishing", self.session.publish(&batch)).await
    }

    pub(crate) async fn next(&mut self) -> Arrival {
        within("an arrival", self.arrivals.recv()).await.expect("the session goes on")
    }

    /// The topic and the body of the next message.
    pub(crate) async fn message(&mut self) -> (String, String) {
        let (topic, body, place) = self.placed().await;
        assert_eq!(place, None, "the message has no history");
        (topic, body)
    }

    /// The next message with its place.
    pub(crate) async fn placed(&mut self) -> (String, String, Option<(Position, u64)>) {
        match self.next().await {
            Arrival::Message { topic, body, place } => {
                (topic.to_string(), String::from_utf8(body.to_vec()).expect("the tests send text"), place)
            }
            other => panic!("a message should arrive, not {other:?}"),
        }
    }

    /// The reason for which the session ends.
    pub(crate) async fn ended(&self) -> EngineError {
        let Err(error) = within("the end of the session", self.session.ended()).await;
        assert_eq!(error.fault(), EngineFault::Lost, "{error}");
        error
    }
}

pub(crate) fn engine(broker: &Broker) -> Redis {
    Redis::connect_to(format!("redis://{}", broker.address()))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("at most 255 bytes")
}

/// The error of connecting.
pub(crate) async fn refused(engine: Redis) -> EngineError {
    let (inlet, _arrivals) = Inlet::new(1);
    within("connecting", engine.connect(inlet)).await.expect_err("it should not connect")
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} took longer than {SOON:?}"))
}

/// Runs a command at a broker, beside the engine.
pub(crate) fn command(address: &str, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(format!("redis://{address}/?protocol=resp3")).expect("a good URL");
    let mut connection = client.get_connection().expect("the broker is there");
    let (first, rest) = words.split_first().expect("a command");
    redis::cmd(first).arg(rest).query(&mut connection).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}
