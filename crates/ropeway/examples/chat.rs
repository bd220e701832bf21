//! A chat: each message goes to everybody, by a topic. Open the page in two tabs.
//!
//! ```text
//! cargo run -p ropeway --example chat
//! ```

use std::env;
use std::error::Error;

use ropeway::http::Response;
use ropeway::http::header::{CONTENT_TYPE, HeaderValue};
use ropeway::{Bytes, Server, Topic};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;
    let everybody = Topic::new();

    server.on_connection(move |ws, _handshake| {
        let guest = format!("guest {}", ws.id());
        ws.subscribe(&everybody);
        tell(&everybody, format!("{guest} is here"));

        ws.on_message({
            let (everybody, guest) = (everybody.clone(), guest.clone());
            move |_, message| tell(&everybody, format!("{guest}: {message}"))
        });
        let everybody = everybody.clone();
        ws.on_close(move |_, _| tell(&everybody, format!("{guest} has left")));
    });

    // A request that does not ask for a WebSocket gets the page.
    server.on_http(|_request| {
        let mut page = Response::new(Bytes::from_static(include_bytes!("chat.html")));
        page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        page
    });

    if let Some(addr) = server.local_addr() {
        println!("open http://{addr}/");
    }
    server.run().await?;
    Ok(())
}

fn tell(everybody: &Topic, text: String) {
    if let Err(error) = everybody.publish(text) {
        eprintln!("not published: {error}");
    }
}
