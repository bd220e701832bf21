//! The proof that the broker has what was sent: a message to ourselves. A broker handles what a connection sends in order, so
//! when that message comes back, all before it was handled. (The client's own flush only says that the bytes were written.)

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use ropeway::engine::EngineError;
use tokio::sync::Mutex;

use crate::connect::gone;

/// A subject that only this connection hears.
#[derive(Debug)]
pub(crate) struct Echo {
    client: Client,
    subject: String,
    heard: Mutex<Heard>,
}

#[derive(Debug)]
struct Heard {
    subscriber: Subscriber,
    asked: u64,
}

impl Echo {
    pub(crate) async fn new(client: Client) -> Result<Self, EngineError> {
        let subject = client.new_inbox();
        let subscriber = client.subscribe(subject.clone()).await.map_err(gone)?;
        Ok(Self { client, subject, heard: Mutex::new(Heard { subscriber, asked: 0 }) })
    }

    /// Returns once the broker has handled what was sent before. If the connection is lost it may wait for ever, so the caller
    /// has to bound it.
    pub(crate) async fn wait(&self) -> Result<(), EngineError> {
        let mut heard = self.heard.lock().await;
        heard.asked += 1;
        let asked = Bytes::copy_from_slice(&heard.asked.to_be_bytes());
        self.client.publish(self.subject.clone(), asked.clone()).await.map_err(gone)?;
        while let Some(message) = heard.subscriber.next().await {
            // Echoes of calls that were dropped come first.
            if message.payload == asked {
                return Ok(());
            }
        }
        Err(gone("the client has ended"))
    }
}
