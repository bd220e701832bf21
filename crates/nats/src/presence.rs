//! Members of topics: each is the last message of a subject of its own, and the broker removes it when its lifetime is over.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_TTL;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use ropeway::engine::{EngineError, EngineFault, Name, Presence};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::connect::gone;
use crate::history::Storing;
use crate::jetstream::{JetStream, NAME_IN_USE, silent};
use crate::subject::{Subjects, token};

/// The header of a message that says that the member has left. It lives for a second.
const LEFT: &str = "Ropeway-Left";

/// The members of a session's topics.
#[derive(Debug)]
pub(crate) struct Members {
    jetstream: JetStream,
    subjects: Subjects,
    storing: Storing,
    /// Whether the stream was there.
    ready: OnceCell<()>,
}

impl Members {
    pub(crate) fn new(jetstream: JetStream, subjects: Subjects, storing: Storing) -> Self {
        Self { jetstream, subjects, storing, ready: OnceCell::new() }
    }

    /// Stores members, each for its lifetime.
    pub(crate) async fn join(&self, members: &[Presence], lifetime: Duration) -> Result<(), EngineError> {
        // The broker counts whole seconds.
        let seconds = lifetime.as_millis().div_ceil(1000).max(1);
        self.store(members, |member| {
            let mut headers = HeaderMap::new();
            headers.insert(NATS_MESSAGE_TTL, format!("{seconds}s"));
            (headers, member.value.clone())
        })
        .await
    }

    /// Removes members.
    pub(crate) async fn leave(&self, members: &[Presence]) -> Result<(), EngineError> {
        self.store(members, |_| {
            let mut headers = HeaderMap::new();
            headers.insert(NATS_MESSAGE_TTL, "1s");
            headers.insert(LEFT, "1");
            (headers, bytes::Bytes::new())
        })
        .await
    }

    /// The members of a topic.
    pub(crate) async fn of(&self, topic: &Name) -> Result<Vec<Presence>, EngineError> {
        self.prepare().await?;
        let all = format!("{}.m.{}.*", self.subjects.prefix(), token(topic));
        let stored = self.jetstream.read(&self.name(), &all, 1).await?;
        // A member that was renewed while we read is there twice. The later one counts.
        let mut members: HashMap<String, Option<Presence>> = HashMap::new();
        for message in stored {
            let Some((_, key)) = message.subject.rsplit_once('.') else { continue };
            let has_left = message.headers.get(LEFT).is_some();
            let member = Presence { topic: topic.clone(), key: key.into(), value: message.payload };
            members.insert(key.into(), (!has_left).then_some(member));
        }
        Ok(members.into_values().flatten().collect())
    }

    async fn store(
        &self,
        members: &[Presence],
        message: impl Fn(&Presence) -> (HeaderMap, bytes::Bytes),
    ) -> Result<(), EngineError> {
        self.prepare().await?;
        let mut acks = Vec::with_capacity(members.len());
        for member in members {
            let subject = format!("{}.m.{}.{}", self.subjects.prefix(), token(&member.topic), member.key);
            let (headers, value) = message(member);
            let message = PublishMessage::build().headers(headers).payload(value);
            let sent = self.jetstream.context().send_publish(subject, message).await;
            acks.push(sent.map_err(|error| not_stored(error.kind(), &error))?);
        }
        for ack in acks {
            ack.await.map_err(|error| not_stored(error.kind(), &error))?;
        }
        Ok(())
    }

    /// Makes the stream if it is missing.
    async fn prepare(&self) -> Result<(), EngineError> {
        self.ready.get_or_try_init(|| self.make()).await.copied()
    }

    async fn make(&self) -> Result<(), EngineError> {
        self.jetstream.check_version()?;
        let prefix = self.subjects.prefix();
        let wanted = json!({
            "name": self.name(),
            "description": "members of ropeway's topics",
            "subjects": [format!("{prefix}.m.*.*")],
            "retention": "limits",
            "discard": "old",
            // Nodes store their members again soon after the broker was restarted.
            "storage": "memory",
            "num_replicas": self.storing.replicas,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_msgs_per_subject": 1,
            "max_age": 0,
            "allow_msg_ttl": true,
            "allow_direct": true,
        });
        match self.jetstream.ask(format!("STREAM.CREATE.{}", self.name()), &wanted).await? {
            Ok(_) => Ok(()),
            // It is there, with settings that its owner has changed.
            Err(denied) if denied.code == NAME_IN_USE => Ok(()),
            Err(denied) => Err(denied.into()),
        }
    }

    fn name(&self) -> String {
        format!("{}-members", self.subjects.prefix())
    }
}

fn not_stored(kind: PublishErrorKind, error: &dyn std::fmt::Display) -> EngineError {
    match kind {
        PublishErrorKind::TimedOut => silent(),
        PublishErrorKind::BrokenPipe => gone(error),
        PublishErrorKind::StreamNotFound => {
            let text =
                "the stream of members was removed from JetStream; it is made again when the node connects again";
            EngineError::new(EngineFault::Lost, text)
        }
        _ => {
            let text = format!("JetStream did not store a member ({error}); see the limits of the account");
            EngineError::new(EngineFault::Refused, text)
        }
    }
}
