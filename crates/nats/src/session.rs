//! A session: one connection to one server.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use ropeway::engine::{
    EngineError, EngineFault, EngineFuture, History, Inlet, Name, Outgoing, Position, Presence, Replay, Session, Wanted,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::connect::gone;
use crate::echo::Echo;
use crate::hearing::{Hearing, watch};
use crate::history::{Histories, Storing};
use crate::jetstream::{JetStream, silent};
use crate::neighbours::Neighbours;
use crate::presence::Members;
use crate::signals::Signals;
use crate::subject::Subjects;

/// The limits of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For each call.
    pub(crate) timeout: Duration,
    /// For messages that wait for the node, in bytes.
    pub(crate) max_waiting: usize,
}

/// The session of a connection.
#[derive(Debug)]
pub(crate) struct NatsSession {
    client: Client,
    subjects: Subjects,
    echo: Echo,
    hearing: Arc<Hearing>,
    signals: Arc<Signals>,
    /// In a cluster.
    neighbours: Option<Neighbours>,
    histories: Histories,
    members: Members,
    watching: JoinHandle<()>,
    timeout: Duration,
}

impl NatsSession {
    /// Begins a session, and checks that the broker lets us publish and subscribe.
    pub(crate) async fn begin(
        client: Client,
        subjects: Subjects,
        signals: Arc<Signals>,
        inlet: Inlet,
        limits: Limits,
        storing: Storing,
    ) -> Result<Self, EngineError> {
        let Limits { timeout, max_waiting } = limits;
        let echo = Echo::new(client.clone()).await?;
        let hearing = Hearing::new(inlet, max_waiting);
        let watching = tokio::spawn(watch(Arc::clone(&signals), Arc::clone(&hearing)));
        // JetStream gets a part of the time: if it does not answer, that is no proof that the connection is lost.
        let jetstream = JetStream::new(&client, timeout / 2);
        let histories = Histories::new(jetstream.clone(), subjects.clone(), storing);
        let members = Members::new(jetstream, subjects.clone(), storing);
        let mut session =
            Self { neighbours: None, client, subjects, echo, hearing, signals, histories, members, watching, timeout };
        let checked = session.within(session.echo.wait()).await;
        checked.map_err(|error| match session.signals.take_refusal() {
            Some(refusal) => session.forbidden(&refusal),
            None => error,
        })?;
        session.neighbours = session.within(Neighbours::meet(&session.client, &session.subjects)).await?;
        Ok(session)
    }

    fn forbidden(&self, refusal: &str) -> EngineError {
        let prefix = self.subjects.prefix();
        let text = format!("NATS refused: {refusal}; let this user publish and subscribe to `{prefix}.>`");
        EngineError::new(EngineFault::Access, text)
    }

    /// Does work that must be done in time, or the session ends.
    async fn within<T>(&self, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        let result = tokio::select! {
            biased;
            error = self.signals.ended() => return Err(error),
            result = timeout(self.timeout, work) => result,
        };
        if let Ok(result) = result {
            return result;
        }
        self.signals.end(format!("NATS did not answer within {:.1} s", self.timeout.as_secs_f64()));
        Err(self.signals.ended().await)
    }

    /// Does work of JetStream that must be done in time. If it is not, the session goes on: JetStream may have no leader while
    /// the connection is well.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        tokio::select! {
            biased;
            error = self.signals.ended() => Err(error),
            result = timeout(self.timeout, work) => result.unwrap_or_else(|_| Err(silent())),
        }
    }

    /// Waits until the broker has handled what was sent. It fails if the broker refused some of it.
    async fn settle(&self) -> Result<(), EngineError> {
        self.echo.wait().await?;
        match self.signals.take_refusal() {
            Some(refusal) => {
                let prefix = self.subjects.prefix();
                let text = format!("NATS refused: {refusal}; let this user publish and subscribe to `{prefix}.>`");
                Err(EngineError::new(EngineFault::Refused, text))
            }
            None => Ok(()),
        }
    }

    async fn publish_all(&self, batch: &[Outgoing]) -> Result<(), EngineError> {
        let limit = self.client.max_payload();
        let mut refused = Ok(());
        let mut acks = Vec::new();
        for outgoing in batch {
            if outgoing.body.len() > limit {
                refused = Err(too_long(outgoing, limit));
            } else if let Some(history) = outgoing.history {
                match self.histories.publish(outgoing, history).await {
                    Ok(ack) => acks.push((history, ack)),
                    Err(error) if error.fault() == EngineFault::Lost => return Err(error),
                    Err(error) => refused = Err(error),
                }
            } else {
                let subject = self.subjects.publish(&outgoing.topic);
                self.client.publish(subject, outgoing.body.clone()).await.map_err(gone)?;
            }
        }
        self.settle().await?;
        for (history, ack) in acks {
            refused = refused.and(self.histories.stored(history, ack).await);
        }
        refused
    }

    async fn subscribe_all(&self, topics: &[Wanted]) -> Result<(), EngineError> {
        let mut begun = Vec::new();
        for wanted in topics {
            if !self.hearing.has(&wanted.topic) {
                let subscriber = self.client.subscribe(self.subjects.subscribe(&wanted.topic)).await.map_err(gone)?;
                self.hearing.begin(wanted.topic.clone(), subscriber);
                begun.push(wanted.topic.clone());
            }
        }
        if let Err(error) = self.settle().await {
            // The server does not say which of them it refused, so all have to be asked for again.
            self.hearing.end(&begun).await;
            return Err(error);
        }
        let Some(neighbours) = &self.neighbours else { return Ok(()) };
        if !neighbours.know_all(self.timeout / 4).await? {
            // A message that was published at a server which has not answered may be missed.
            self.hearing.tell_missed(topics.iter().map(|wanted| wanted.topic.clone()).collect());
        }
        Ok(())
    }
}

impl Session for NatsSession {
    fn publish<'a>(&'a self, batch: &'a [Outgoing]) -> EngineFuture<'a, ()> {
        Box::pin(self.within(self.publish_all(batch)))
    }

    fn subscribe<'a>(&'a self, topics: &'a [Wanted]) -> EngineFuture<'a, ()> {
        Box::pin(self.within(self.subscribe_all(topics)))
    }

    fn unsubscribe<'a>(&'a self, topics: &'a [Name]) -> EngineFuture<'a, ()> {
        Box::pin(self.within(async move {
            self.hearing.end(topics).await;
            Ok(())
        }))
    }

    fn ended(&self) -> EngineFuture<'_, Infallible> {
        Box::pin(async move {
            let error = self.signals.ended().await;
            self.hearing.end_all().await;
            Err(error)
        })
    }

    fn max_message(&self) -> Option<usize> {
        Some(self.client.max_payload())
    }

    fn replay<'a>(&'a self, topic: &'a Name, history: History, after: Option<Position>) -> EngineFuture<'a, Replay> {
        Box::pin(self.in_time(self.histories.replay(topic, history, after)))
    }

    fn join<'a>(&'a self, members: &'a [Presence], lifetime: Duration) -> EngineFuture<'a, ()> {
        Box::pin(self.in_time(self.members.join(members, lifetime)))
    }

    fn leave<'a>(&'a self, members: &'a [Presence]) -> EngineFuture<'a, ()> {
        Box::pin(self.in_time(self.members.leave(members)))
    }

    fn members<'a>(&'a self, topic: &'a Name) -> EngineFuture<'a, Vec<Presence>> {
        Box::pin(self.in_time(self.members.of(topic)))
    }
}

impl Drop for NatsSession {
    fn drop(&mut self) {
        // The client disconnects when nobody holds it any more.
        self.watching.abort();
        self.hearing.abort_all();
    }
}

fn too_long(outgoing: &Outgoing, limit: usize) -> EngineError {
    let text = format!(
        "a message to {:?} has {} bytes, and this NATS server takes at most {limit}; raise `max_payload` in its settings, or send less",
        outgoing.topic,
        outgoing.body.len()
    );
    EngineError::new(EngineFault::Refused, text)
}
