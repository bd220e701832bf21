//! A browser that comes back and misses nothing: Redis keeps the last messages, and each message carries its position. Start
//! it twice, on two ports, and open a page of each. Stop one server, say something on the other, and start it again.
//!
//! ```text
//! redis-server
//! cargo run -p ropeway-redis --example history -- 127.0.0.1:8005
//! cargo run -p ropeway-redis --example history -- 127.0.0.1:8006
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use ropeway::http::Response;
use ropeway::http::header::{CONTENT_TYPE, HeaderValue};
use ropeway::{Bytes, History, Message, Position, Publication, Server, Topic, Topics, WebSocket};
use ropeway_redis::Redis;
use serde_json::json;

/// The message as clients get it. It is made once for all clients of this server.
fn encode(publication: &Publication<'_>) -> Message {
    // While Redis is down, messages have no position.
    let position = publication.position.map(|position| position.to_string());
    json!({ "position": position, "text": publication.message.to_string() }).to_string().into()
}

async fn talk(mut ws: WebSocket, news: Topic, last: Option<Position>) {
    let told = if let Some(position) = last {
        // The client was sent all that it has missed, or nothing of it.
        json!({ "recovered": ws.subscribe_from(&news, position).await.recovered })
    } else {
        ws.subscribe(&news).await;
        json!({ "position": news.position().map(|position| position.to_string()) })
    };
    ws.send(told.to_string()).await.ok();
    while let Ok(Some(message)) = ws.recv().await {
        if let Err(error) = news.publish(message) {
            eprintln!("not published: {error}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let redis = args.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());

    let topics = Topics::builder()
        .history(History::last(100).for_at_most(Duration::from_secs(300)))
        .encode(encode)
        // A server that was away from Redis for too long. Its clients show that messages are missing.
        .gap_message(|_topic| Some(Message::from(r#"{"recovered":false}"#)))
        .connect(Redis::connect_to(redis).prefix("history-example"))
        .await?;

    let server = Server::bind(addr).await?;
    server.spawn_each(move |ws, handshake| {
        let news = topics.topic("news").expect("a short name");
        let last = handshake.uri().query().and_then(|query| query.strip_prefix("after=")?.parse().ok());
        talk(ws, news, last)
    });
    server.on_http(|_request| {
        let mut page = Response::new(Bytes::from_static(include_bytes!("history.html")));
        page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        page
    });
    println!("open http://{}/", server.local_addr()?);
    server.run().await?;
    Ok(())
}
