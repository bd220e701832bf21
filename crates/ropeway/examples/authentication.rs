//! Authentication before the connection opens, by a bearer token or a cookie. The handler gets the user as a value of
//! its type.
//!
//! ```text
//! cargo run -p ropeway --example authentication
//! ```
//!
//! The tokens are `ada-1815` and `grace-1906`, in `Authorization: Bearer …` from a program or `Cookie: session=…` from
//! a page.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::Arc;

use ropeway::{Accept, Handshake, Refusal, Server, UpgradeRequest, WebSocket};

/// The value that the handler gets. The session ends with the connection, so the connection owns the user.
struct User {
    name: String,
    is_admin: bool,
}

/// Stands for a database.
struct Sessions(HashMap<&'static str, &'static str>);

impl Sessions {
    async fn user(&self, token: &str) -> Option<User> {
        tokio::task::yield_now().await; // here a real one waits
        let name = *self.0.get(token)?;
        Some(User { name: name.to_owned(), is_admin: name == "Ada" })
    }
}

/// Lets the client in, or refuses it with what it gets in place of a WebSocket.
async fn log_in(sessions: &Sessions, request: &UpgradeRequest) -> Result<Accept<User>, Refusal> {
    let Some(token) = token(request) else {
        return Err(Refusal::new(401, "Log in first.\n").header("www-authenticate", "Bearer"));
    };
    let Some(user) = sessions.user(token).await else {
        return Err(Refusal::new(403, "This session has ended.\n"));
    };
    // The limits can depend on the user.
    let max_payload = if user.is_admin { 1 << 20 } else { 1 << 10 };
    Ok(Accept::with(user).max_payload(max_payload))
}

/// A page cannot set headers of a WebSocket, but its cookies are sent along. ropeway refuses pages of other origins.
fn token(request: &UpgradeRequest) -> Option<&str> {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer.or_else(|| {
        let cookies = request.header("cookie")?;
        cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("session="))
    })
}

async fn talk(mut ws: WebSocket, handshake: Handshake<User>) -> Result<(), ropeway::Error> {
    let User { name, is_admin } = handshake.value;
    ws.send(format!("hello {name}{}", if is_admin { ", you may do everything" } else { "" })).await?;
    while let Some(message) = ws.recv().await? {
        ws.send(format!("{name}: {message}")).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;
    let sessions = Arc::new(Sessions(HashMap::from([("ada-1815", "Ada"), ("grace-1906", "Grace")])));

    server
        .authorize(move |request| {
            let sessions = Arc::clone(&sessions);
            async move { log_in(&sessions, &request).await }
        })
        .spawn_each(|ws, handshake| async move {
            if let Err(error) = talk(ws, handshake).await {
                eprintln!("error: {error}");
            }
        });

    println!("listening on ws://{}/", server.local_addr()?);
    server.run().await?;
    Ok(())
}
