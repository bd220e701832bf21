//! Histories. All topics with the same history share a stream of JetStream, which gives their messages positions, and
//! publishes each of them again in the moment in which it is stored.
//!
//! ```text
//!  publish            stream rw-history-100-300000               subscribe
//!  rw.h.100-300000.NAME ───► stored: sequence 17 ───republished──► rw.t.NAME.EPOCH
//!                            the last 101 of each NAME             with 17, and the sequence of NAME's message before
//! ```
//!
//! The stream keeps one message of each topic more than the history asks for, and each for twice its time. Messages are removed
//! only from the old end: the oldest of all because of their age, the oldest of a topic because of their number. So a replay is
//! complete if no message after its position is older than the stream's first, and if there are not more than were asked for.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use ropeway::engine::{EngineError, EngineFault, History, Name, Outgoing, Position, Replay};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::jetstream::{JetStream, NAME_IN_USE, NO_STREAM, Stored, parse_time, silent};
use crate::subject::{Subjects, token};

/// The epoch's place in a stream's settings.
const EPOCH: &str = "ropeway-epoch";

/// How often a replay is tried again, if it was asked of a replica that is behind, or if the stream was made anew meanwhile.
const ATTEMPTS: usize = 5;

/// The time that a replica which is behind gets to catch up before it is asked again.
const CATCH_UP: Duration = Duration::from_millis(20);

/// The settings of a stream that replays rely on.
const MATTER: [&str; 6] = ["subjects", "max_msgs_per_subject", "max_age", "republish", "deny_delete", "deny_purge"];

/// How a stream is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storing {
    pub(crate) replicas: u8,
    pub(crate) in_memory: bool,
}

impl Storing {
    /// The name of the way in JetStream's settings.
    pub(crate) fn kind(self) -> &'static str {
        if self.in_memory { "memory" } else { "file" }
    }
}

/// The histories of a session.
#[derive(Debug)]
pub(crate) struct Histories {
    jetstream: JetStream,
    subjects: Subjects,
    storing: Storing,
    /// Those whose stream was there.
    ready: Mutex<HashSet<String>>,
}

/// The state of a stream.
struct Stream {
    name: String,
    epoch: u64,
    first: u64,
    last: u64,
    /// The broker's clock.
    now: OffsetDateTime,
}

impl Histories {
    pub(crate) fn new(jetstream: JetStream, subjects: Subjects, storing: Storing) -> Self {
        Self { jetstream, subjects, storing, ready: Mutex::default() }
    }

    /// Sends a message to its stream. The acknowledgement comes later: see [`Histories::stored`].
    pub(crate) async fn publish(&self, outgoing: &Outgoing, history: History) -> Result<PublishAckFuture, EngineError> {
        let is_ready = self.ready().contains(&key(history));
        if !is_ready {
            self.jetstream.check_version()?;
            self.stream(history).await?;
            self.ready().insert(key(history));
        }
        let subject = self.subject(history, &outgoing.topic);
        let message = PublishMessage::build().payload(outgoing.body.clone());
        let sent = self.jetstream.context().send_publish(subject, message).await;
        sent.map_err(|error| self.not_stored(history, error.kind(), &error))
    }

    /// Waits until the broker has stored a message.
    pub(crate) async fn stored(&self, history: History, ack: PublishAckFuture) -> Result<(), EngineError> {
        match ack.await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_stored(history, error.kind(), &error)),
        }
    }

    fn not_stored(&self, history: History, kind: PublishErrorKind, error: &dyn std::fmt::Display) -> EngineError {
        // The next message looks whether the stream is there.
        self.ready().remove(&key(history));
        match kind {
            PublishErrorKind::TimedOut => silent(),
            PublishErrorKind::BrokenPipe => crate::connect::gone(error),
            PublishErrorKind::StreamNotFound => {
                let text = "the stream of a history was removed from JetStream, and a message was lost; the next one makes it again";
                EngineError::new(EngineFault::Refused, text)
            }
            _ => {
                let text = format!(
                    "JetStream did not store a message ({error}); see the limits of the account and of the stream"
                );
                EngineError::new(EngineFault::Refused, text)
            }
        }
    }

    /// The stored messages after a position.
    pub(crate) async fn replay(
        &self,
        topic: &Name,
        history: History,
        after: Option<Position>,
    ) -> Result<Replay, EngineError> {
        self.jetstream.check_version()?;
        let subject = self.subject(history, topic);
        let mut before = self.stream(history).await?;
        for _ in 0..ATTEMPTS {
            let newest = json!({ "last_by_subj": subject });
            let newest = self.jetstream.find(&before.name, newest).await?;
            let place = after.filter(|after| after.epoch == before.epoch);
            let missed = match (place, newest) {
                (Some(place), Some(newest)) if newest > place.offset => {
                    let missed = self.jetstream.read(&before.name, &subject, place.offset + 1).await?;
                    if missed.last().is_none_or(|last| last.sequence < newest) {
                        // A replica that is behind has answered.
                        tokio::time::sleep(CATCH_UP).await;
                        continue;
                    }
                    missed
                }
                _ => Vec::new(),
            };
            // Messages are removed from the old end, so what was not yet removed now was there before.
            let stream = self.stream(history).await?;
            if stream.epoch != before.epoch {
                before = stream;
                continue;
            }
            let end = missed.last().map(|last| last.sequence).or(newest).unwrap_or(stream.last);
            let end = Position::new(stream.epoch, end);
            let is_complete = match (after, place) {
                (None, _) => true,
                (_, None) => false,
                (_, Some(place)) => is_complete(place.offset, &missed, &stream, history),
            };
            let messages = if is_complete { missed } else { Vec::new() };
            let position = |message: &Stored| Position::new(stream.epoch, message.sequence);
            let messages = messages.into_iter().map(|message| (position(&message), message.payload)).collect();
            return Ok(Replay { is_complete, messages, end });
        }
        let text = format!("the history of {topic:?} changed {ATTEMPTS} times while it was read; try again");
        Err(EngineError::new(EngineFault::Refused, text))
    }

    /// The stream of a history. It is made if it is missing.
    async fn stream(&self, history: History) -> Result<Stream, EngineError> {
        let name = self.name(history);
        let info = format!("STREAM.INFO.{name}");
        let found = self.jetstream.ask(info.clone(), &json!({})).await?;
        let answer = match found {
            Ok(answer) => answer,
            Err(denied) if denied.code == NO_STREAM => {
                let wanted = self.settings(history, new_epoch()?);
                match self.jetstream.ask(format!("STREAM.CREATE.{name}"), &wanted).await? {
                    // The answer to this has no clock.
                    Ok(_) => {}
                    // Another node has made it in this moment.
                    Err(denied) if denied.code == NAME_IN_USE => {}
                    Err(denied) => return Err(denied.into()),
                }
                self.jetstream.ask(info, &json!({})).await??
            }
            Err(denied) => return Err(denied.into()),
        };
        self.judge(history, &name, &answer)
    }

    /// Checks that a stream is as it is made here, and takes out what is needed.
    fn judge(&self, history: History, name: &str, answer: &Value) -> Result<Stream, EngineError> {
        let config = &answer["config"];
        let epoch = config["metadata"][EPOCH].as_str().and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
        let wanted = self.settings(history, epoch.unwrap_or_default());
        let is_same = |name: &str| config[name] == wanted[name];
        let state = &answer["state"];
        let stream = (|| {
            Some(Stream {
                name: name.to_owned(),
                epoch: epoch?,
                first: state["first_seq"].as_u64()?,
                last: state["last_seq"].as_u64()?,
                now: parse_time(answer["ts"].as_str()?)?,
            })
        })();
        match stream {
            Some(stream) if MATTER.into_iter().all(is_same) => Ok(stream),
            _ => {
                let text = format!(
                    "the stream {name} of JetStream is not as ropeway makes it; remove it (`nats stream rm {name}`), and it is made anew"
                );
                Err(EngineError::new(EngineFault::Refused, text))
            }
        }
    }

    fn settings(&self, history: History, epoch: u64) -> Value {
        let prefix = self.subjects.prefix();
        let all = format!("{prefix}.h.{}.*", key(history));
        let nanoseconds = |millis: u64| millis.saturating_mul(1_000_000);
        let max_age = nanoseconds(millis(history).saturating_mul(2)).min(i64::MAX as u64);
        json!({
            "name": self.name(history),
            "description": "messages of ropeway's topics; remove the whole stream to forget them",
            "subjects": [all],
            "retention": "limits",
            "discard": "old",
            "storage": self.storing.kind(),
            "num_replicas": self.storing.replicas,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_msgs_per_subject": u64::from(history.count()) + 1,
            "max_age": max_age,
            // Messages may be removed only from the old end.
            "deny_delete": true,
            "deny_purge": true,
            "allow_direct": true,
            "republish": { "src": all, "dest": format!("{prefix}.t.{{{{wildcard(1)}}}}.{epoch:x}") },
            "metadata": { EPOCH: format!("{epoch:x}") },
        })
    }

    fn name(&self, history: History) -> String {
        format!("{}-history-{}", self.subjects.prefix(), key(history))
    }

    fn subject(&self, history: History, topic: &Name) -> String {
        format!("{}.h.{}.{}", self.subjects.prefix(), key(history), token(topic))
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the messages that were read are all that were published after an offset.
fn is_complete(after: u64, missed: &[Stored], stream: &Stream, history: History) -> bool {
    let time = Duration::from_millis(millis(history));
    let is_old = |message: &Stored| stream.now - message.time >= time;
    // There is no such place yet.
    let is_ahead = after > stream.last;
    // A message was removed because of its age, and it may be one of this topic. The message at the offset itself is kept for as
    // long as any message that must follow it within the time.
    let has_aged = stream.first > after.saturating_add(1);
    // Only if there is one more than the history asks for, some were removed because of their number.
    let has_overflown = missed.len() > history.count() as usize;
    !(is_ahead || has_aged || has_overflown || missed.iter().any(is_old))
}

/// A number that no other stream has had, as far as can be.
fn new_epoch() -> Result<u64, EngineError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        EngineError::new(EngineFault::Refused, "the operating system gave no random bytes for a new history")
            .with_source(error)
    })?;
    // It fits into JSON's numbers of other languages.
    Ok(u64::from_be_bytes(bytes) >> 11)
}

/// A history as a token.
fn key(history: History) -> String {
    format!("{}-{}", history.count(), millis(history))
}

/// The time of a history. JetStream's least is 100 ms.
fn millis(history: History) -> u64 {
    u64::try_from(history.time().as_millis()).unwrap_or(u64::MAX).clamp(100, i64::MAX as u64 / 2_000_000)
}
