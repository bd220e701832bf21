//! Requests to JetStream: its API in JSON, and reading many messages of a stream at once.

use std::time::Duration;

use async_nats::header::{NATS_SEQUENCE, NATS_SUBJECT, NATS_TIME_STAMP};
use async_nats::jetstream::context::RequestErrorKind;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap, HeaderName, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use ropeway::engine::{EngineError, EngineFault};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use crate::connect::gone;

/// The most messages that one request asks for. The broker would send more without waiting for us.
const AT_ONCE: usize = 256;

/// The header with the number of messages that match and were not sent yet.
const PENDING: &str = "Nats-Num-Pending";

/// Error codes of JetStream: see `nats-server`'s `errors.json`.
pub(crate) const NO_MESSAGE: u64 = 10_037;
const OFF_FOR_ACCOUNT: u64 = 10_039;
pub(crate) const NAME_IN_USE: u64 = 10_058;
pub(crate) const NO_STREAM: u64 = 10_059;
const OFF: u64 = 10_076;

/// The oldest server with messages that expire one by one, and with reading in batches.
const OLDEST: (i64, i64, i64) = (2, 11, 0);

/// JetStream of a connection.
#[derive(Clone, Debug)]
pub(crate) struct JetStream {
    client: Client,
    context: Context,
    limit: Duration,
}

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) code: u64,
    text: String,
}

/// A message of a stream.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) time: OffsetDateTime,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl JetStream {
    pub(crate) fn new(client: &Client, limit: Duration) -> Self {
        let context = jetstream::context::ContextBuilder::new().timeout(limit).build(client.clone());
        Self { client: client.clone(), context, limit }
    }

    /// For publishing.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Checks that the server is new enough.
    pub(crate) fn check_version(&self) -> Result<(), EngineError> {
        let (major, minor, patch) = OLDEST;
        if self.client.is_server_compatible(major, minor, patch) {
            return Ok(());
        }
        let version = self.client.server_info().version;
        let text = format!(
            "history and presence need nats-server {major}.{minor} or newer, and this one is {version}; update it, or use topics \
             without history and presence"
        );
        Err(EngineError::new(EngineFault::Unsupported, text))
    }

    /// Makes a request. The outer error is that of the way to the broker.
    pub(crate) async fn ask(&self, subject: String, body: &Value) -> Result<Result<Value, Denied>, EngineError> {
        let answer: Value = match self.context.request(subject, body).await {
            Ok(answer) => answer,
            Err(error) => return Err(failed(error.kind(), &error)),
        };
        let Some(error) = answer.get("error") else { return Ok(Ok(answer)) };
        let code = error["err_code"].as_u64().unwrap_or_default();
        let text = error["description"].as_str().unwrap_or("unknown error").to_owned();
        Ok(Err(Denied { code, text }))
    }

    /// The sequence of a message of a subject, as the leader of the stream knows it: the first from a sequence on, or the
    /// last.
    pub(crate) async fn find(&self, stream: &str, which: Value) -> Result<Option<u64>, EngineError> {
        match self.ask(format!("STREAM.MSG.GET.{stream}"), &which).await? {
            Ok(answer) => Ok(answer["message"]["seq"].as_u64()),
            Err(denied) if denied.code == NO_MESSAGE => Ok(None),
            Err(denied) => Err(denied.into()),
        }
    }

    /// Reads messages whose subject matches, from a sequence on, in order. It may be that a replica answers which does not
    /// have the newest yet.
    pub(crate) async fn read(&self, stream: &str, subject: &str, from: u64) -> Result<Vec<Stored>, EngineError> {
        let mut stored: Vec<Stored> = Vec::new();
        let mut from = from.max(1);
        loop {
            let wanted = json!({ "seq": from, "next_by_subj": subject, "batch": AT_ONCE });
            let is_more = self.read_batch(stream, &wanted, &mut stored).await?;
            match stored.last() {
                Some(last) if is_more => from = last.sequence + 1,
                _ => return Ok(stored),
            }
        }
    }

    /// Reads one batch. Returns whether there is more.
    async fn read_batch(&self, stream: &str, wanted: &Value, into: &mut Vec<Stored>) -> Result<bool, EngineError> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(gone)?;
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        let body = Bytes::from(wanted.to_string());
        self.client.publish_with_reply(subject, inbox, body).await.map_err(gone)?;
        let mut is_more = false;
        loop {
            let Ok(answer) = timeout(self.limit, answers.next()).await else { return Err(silent()) };
            let Some(message) = answer else { return Err(gone("the client has ended")) };
            match message.status.map(|status| status.as_u16()) {
                None => {}
                // "No Results" and "EOB", the end of the batch.
                Some(204 | 404) => return Ok(is_more),
                Some(503) => return Err(silent()),
                Some(_) => return Err(unexpected(message.description.as_deref().unwrap_or("no description"))),
            }
            let (message, pending) = stored(message).ok_or_else(|| unexpected("a message without its sequence"))?;
            is_more = pending > 0;
            into.push(message);
        }
    }
}

fn stored(message: Message) -> Option<(Stored, u64)> {
    let headers = message.headers?;
    let text = |name: HeaderName| Some(headers.get(name)?.as_str().to_owned());
    let sequence = text(NATS_SEQUENCE)?.parse().ok()?;
    let pending = headers.get(PENDING)?.as_str().parse().ok()?;
    let time = parse_time(&text(NATS_TIME_STAMP)?)?;
    let subject = text(NATS_SUBJECT)?;
    Some((Stored { sequence, subject, time, headers, payload: message.payload }, pending))
}

/// Reads a time such as `2026-11-28T15:00:00.123456789Z`.
pub(crate) fn parse_time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

impl From<Denied> for EngineError {
    fn from(denied: Denied) -> Self {
        let advice = match denied.code {
            OFF => "start nats-server with --jetstream",
            OFF_FOR_ACCOUNT => "turn JetStream on for this account",
            NO_STREAM => "it was removed meanwhile; the next message makes it again",
            _ => "see the log of nats-server, and the limits of the account",
        };
        Self::new(EngineFault::Refused, format!("JetStream refused: {}; {advice}", denied.text))
    }
}

fn failed(kind: RequestErrorKind, error: &impl std::fmt::Display) -> EngineError {
    match kind {
        RequestErrorKind::NoResponders => {
            let text = "JetStream is off at this NATS server; start nats-server with --jetstream";
            EngineError::new(EngineFault::Refused, text)
        }
        RequestErrorKind::TimedOut => silent(),
        RequestErrorKind::InvalidSubject | RequestErrorKind::Other => unexpected(&error.to_string()),
    }
}

/// The server is there, but the part of it that has the stream is not.
pub(crate) fn silent() -> EngineError {
    let text = "JetStream did not answer in time; check that most of its replicas run, and that this user may publish to `$JS.API.>`";
    EngineError::new(EngineFault::Refused, text)
}

fn unexpected(answer: &str) -> EngineError {
    let text = format!("JetStream's answer was not understood ({answer}); see the log of nats-server");
    EngineError::new(EngineFault::Refused, text)
}
