//! The engine and its nats-server: who may connect, what is refused, what a stream must be, and a cluster.
#![cfg(unix)]

mod access;
mod cluster;
mod shutting_down;
mod slow_node;
mod streams;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ropeway::engine::{Arrival, Engine, EngineError, History, Inlet, Name, Outgoing, Session, Wanted};
use ropeway_nats::Nats;
use tokio::sync::mpsc::Receiver;

/// Each wait ends after this long.
const LIMIT: Duration = Duration::from_secs(20);

const KEPT: History = History::last(100).for_at_most(Duration::from_secs(60));

/// An engine with short limits.
fn engine(url: &str) -> Nats {
    Nats::connect_to(url).timeout(Duration::from_secs(2)).ping_interval(Duration::from_secs(1))
}

async fn connect(engine: &Nats) -> Result<(Arc<dyn Session>, Receiver<Arrival>), EngineError> {
    let (inlet, arrivals) = Inlet::new(1000);
    let session = within("connecting", engine.connect(inlet)).await?;
    Ok((session, arrivals))
}

async fn connected(engine: &Nats) -> (Arc<dyn Session>, Receiver<Arrival>) {
    connect(engine).await.expect("it can connect")
}

async fn refused(engine: &Nats) -> EngineError {
    match connect(engine).await {
        Ok(_) => panic!("it must not connect"),
        Err(error) => error,
    }
}

async fn publish(
    session: &Arc<dyn Session>,
    topic: &str,
    body: &str,
    history: Option<History>,
) -> Result<(), EngineError> {
    let outgoing = Outgoing { topic: name(topic), body: Bytes::copy_from_slice(body.as_bytes()), history };
    within("publishing", session.publish(&[outgoing])).await
}

async fn subscribe(session: &Arc<dyn Session>, topic: &str) -> Result<(), EngineError> {
    let wanted = Wanted { topic: name(topic), history: None };
    within("subscribing", session.subscribe(&[wanted])).await
}

async fn heard(arrivals: &mut Receiver<Arrival>) -> String {
    match within("an arrival", arrivals.recv()).await.expect("the session goes on") {
        Arrival::Message { body, .. } => String::from_utf8(body.to_vec()).expect("the tests publish text"),
        other => panic!("a message was expected, not {other:?}"),
    }
}

fn name(name: &str) -> Name {
    Name::new(name.to_owned()).expect("it is short")
}

async fn within<T>(awaited: &str, work: impl Future<Output = T>) -> T {
    let Ok(result) = tokio::time::timeout(LIMIT, work).await else {
        panic!("{awaited} took longer than {} s", LIMIT.as_secs())
    };
    result
}

fn assert_says(error: &EngineError, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{words:?} are not all in: {text}");
}
