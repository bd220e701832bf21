//! JSON in both directions, with serde: typed requests, typed answers, and an answer to JSON that is wrong.
//!
//! ```text
//! cargo run -p ropeway --example json
//! ```
//!
//! Send it `{"type":"add","a":1,"b":2}`.

use std::env;
use std::error::Error;

use ropeway::{Message, Server, WebSocket};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request {
    Add { a: i64, b: i64 },
    Shout { text: String },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Answer {
    Sum { value: i64 },
    Shouted { text: String },
    Error { message: String },
}

/// With this, `send` and `Topic::publish` take an answer as it is.
impl From<Answer> for Message {
    fn from(answer: Answer) -> Self {
        serde_json::to_string(&answer).expect("an answer has no maps, which alone can fail").into()
    }
}

fn answer(request: Request) -> Answer {
    match request {
        Request::Add { a, b } => match a.checked_add(b) {
            Some(value) => Answer::Sum { value },
            None => Answer::Error { message: "the sum is too large".to_owned() },
        },
        Request::Shout { text } => Answer::Shouted { text: text.to_uppercase() },
    }
}

async fn talk(mut ws: WebSocket) -> Result<(), ropeway::Error> {
    while let Some(message) = ws.recv().await? {
        match serde_json::from_slice(message.as_bytes()) {
            Ok(request) => ws.send(answer(request)).await?,
            Err(error) => ws.send(Answer::Error { message: error.to_string() }).await?,
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;
    server.spawn_each(|ws, _handshake| async move {
        if let Err(error) = talk(ws).await {
            eprintln!("error: {error}");
        }
    });

    if let Some(addr) = server.local_addr() {
        println!("listening on ws://{addr}/");
    }
    server.run().await?;
    Ok(())
}
