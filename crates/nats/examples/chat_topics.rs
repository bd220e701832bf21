//! A chat on several servers, with axum: each room is a topic that NATS carries between them. Start it twice, on two ports,
//! and open a page of each.
//!
//! ```text
//! nats-server
//! cargo run -p ropeway-nats --example chat_topics -- 127.0.0.1:8005
//! cargo run -p ropeway-nats --example chat_topics -- 127.0.0.1:8006
//! ```

use std::env;
use std::error::Error;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use ropeway::axum::Upgrade;
use ropeway::{Message, Reach, Server, Topic, Topics, TopicsEvent, WebSocket};
use ropeway_nats::Nats;

async fn enter(upgrade: Upgrade, State(topics): State<Topics>, Path(room): Path<String>) -> Response {
    match topics.topic(room) {
        Ok(room) => upgrade.max_payload(64 * 1024).on_upgrade(move |ws, _handshake| talk(ws, room)),
        // A name has at most 255 bytes.
        Err(error) => (StatusCode::URI_TOO_LONG, error.to_string()).into_response(),
    }
}

async fn talk(mut ws: WebSocket, room: Topic) {
    let reach = match ws.subscribe(&room).await {
        Reach::AllNodes => "you hear all servers",
        Reach::Refused => "you hear this server alone, since the broker refuses this room",
        _ => "you hear this server alone, since the broker is down",
    };
    ws.send(format!("* {reach}")).await.ok();
    while let Ok(Some(message)) = ws.recv().await {
        if let Err(error) = room.publish(message) {
            ws.send(format!("* {error}")).await.ok();
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let broker = args.next().unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());

    let topics = Topics::builder()
        // In order with the room's messages. A client with a state of its own would load it anew.
        .gap_message(|_room| Some(Message::from("* messages of other servers may be missing here")))
        .connect(Nats::connect_to(broker).prefix("chat-topics"))
        .await?;
    let mut events = topics.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                TopicsEvent::Down(reason) => println!("the broker is down: {reason}"),
                TopicsEvent::Up => println!("the broker is up"),
                other => println!("{other:?}"),
            }
        }
    });

    let server = Server::builder().build();
    let app = Router::new()
        .route("/", get(|| async { Html(include_str!("chat_topics.html")) }))
        .route("/rooms/{room}", any(enter))
        .with_state(topics)
        .layer(server.layer());
    let listener = tokio::net::TcpListener::bind(addr).await?;
    println!("open http://{}/", listener.local_addr()?);
    let ctrl_c = tokio::signal::ctrl_c();
    axum::serve(listener, app).with_graceful_shutdown(server.shutdown_on(ctrl_c)).await?;
    Ok(())
}
