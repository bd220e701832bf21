//! The other servers of a cluster. A server acknowledges a subscription before the others know it, so what is published at one
//! of them a moment later would not be heard.
//!
//! ```text
//!  this node ── subscribe, ask ──► its server ═══ subscription, question ═══► another server ──► a node there
//!            ◄───────────────────────────────────────────── answer ◄────────────────────────────
//! ```
//!
//! Servers pass subscriptions and messages on in order. So a server from which an answer comes knows the subscription. One
//! node of each server answers, which is a queue group of NATS. Servers without a node have nobody to publish there.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use ropeway::engine::EngineError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::connect::gone;
use crate::subject::Subjects;

/// The time in which a new session gets to know the servers that have nodes.
const GREETING: Duration = Duration::from_millis(200);

/// The servers of a cluster that have nodes, by their ids, each with the last question that it has answered.
type Known = Arc<watch::Sender<HashMap<String, u64>>>;

/// The servers of a cluster that have nodes.
#[derive(Debug)]
pub(crate) struct Neighbours {
    client: Client,
    question: String,
    inbox: String,
    asked: AtomicU64,
    known: Known,
    task: JoinHandle<()>,
}

impl Neighbours {
    /// Gets to know the servers. `None` if there is only one.
    pub(crate) async fn meet(client: &Client, subjects: &Subjects) -> Result<Option<Self>, EngineError> {
        let info = client.server_info();
        if info.cluster.is_none() {
            return Ok(None);
        }
        let (question, greeting, inbox) = (subjects.question(), subjects.greeting(), client.new_inbox());
        let news = News {
            asked: client.queue_subscribe(question.clone(), info.server_id.clone()).await.map_err(gone)?,
            greeted: client.subscribe(greeting.clone()).await.map_err(gone)?,
            answered: client.subscribe(inbox.clone()).await.map_err(gone)?,
        };
        let known = Arc::new(watch::Sender::new(HashMap::new()));
        let server = info.server_id;
        let task = tokio::spawn(news.take(client.clone(), server.clone(), Arc::clone(&known)));
        let neighbours = Self { client: client.clone(), question, inbox, asked: AtomicU64::new(0), known, task };
        let server = Bytes::from(server);
        client.publish(greeting.clone(), server.clone()).await.map_err(gone)?;
        neighbours.ask().await?;
        sleep(GREETING).await;
        // A node that began at the same time hears at least this one.
        client.publish(greeting, server).await.map_err(gone)?;
        Ok(Some(neighbours))
    }

    /// Waits until all servers that have nodes know the subscriptions so far. Returns whether all have answered in time. Those
    /// that have not are forgotten until they answer or greet again.
    pub(crate) async fn know_all(&self, limit: Duration) -> Result<bool, EngineError> {
        let wanted: Vec<String> = self.known.borrow().keys().cloned().collect();
        let question = self.ask().await?;
        let has_answered = |known: &HashMap<String, u64>, server: &String| known.get(server) >= Some(&question);
        let mut known = self.known.subscribe();
        let all = known.wait_for(|known| wanted.iter().all(|server| has_answered(known, server)));
        if timeout(limit, all).await.is_ok() {
            return Ok(true);
        }
        self.known
            .send_modify(|known| known.retain(|server, answered| !wanted.contains(server) || *answered >= question));
        Ok(false)
    }

    /// Asks all servers. Returns the number of the question.
    async fn ask(&self) -> Result<u64, EngineError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let body = Bytes::from(number.to_string());
        self.client.publish_with_reply(self.question.clone(), self.inbox.clone(), body).await.map_err(gone)?;
        Ok(number)
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The messages between nodes.
struct News {
    asked: Subscriber,
    greeted: Subscriber,
    answered: Subscriber,
}

impl News {
    /// Answers questions for this node's server, and notes the servers that greet and answer.
    async fn take(mut self, client: Client, server: String, known: Known) {
        loop {
            tokio::select! {
                // A greeting that came before an answer is noted before it.
                biased;
                Some(greeting) = self.greeted.next() => {
                    let server = String::from_utf8_lossy(&greeting.payload).into_owned();
                    known.send_modify(|known| {
                        known.entry(server).or_default();
                    });
                }
                Some(question) = self.asked.next() => {
                    let (Some(inbox), Ok(number)) = (question.reply, std::str::from_utf8(&question.payload)) else { continue };
                    if client.publish(inbox, format!("{number} {server}").into()).await.is_err() {
                        return;
                    }
                }
                Some(answer) = self.answered.next() => {
                    // If no node can be asked, the server itself answers, with an empty message.
                    let Some((number, server)) = parse(&answer.payload) else { continue };
                    known.send_modify(|known| {
                        let answered = known.entry(server).or_default();
                        *answered = number.max(*answered);
                    });
                }
                else => return,
            }
        }
    }
}

/// Reads an answer: the number of the question, and the id of the server.
fn parse(answer: &[u8]) -> Option<(u64, String)> {
    let (number, server) = std::str::from_utf8(answer).ok()?.split_once(' ')?;
    Some((number.parse().ok()?, server.to_owned()))
}
