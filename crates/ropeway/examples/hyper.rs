//! hyper alone: pages and WebSockets on one port, without a framework.
//!
//! ```text
//! cargo run -p ropeway --example hyper --features hyper
//! ```

use std::convert::Infallible;
use std::env;
use std::error::Error;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ropeway::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let listener = tokio::net::TcpListener::bind(addr).await?;

    let server = Server::builder().build();
    server.on_connection(|ws, _handshake| {
        ws.on_message(|ws, message| {
            if let Err(error) = ws.send(message) {
                eprintln!("not sent: {error}");
            }
        });
    });

    println!("open http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&server, request));
            // Without `with_upgrades` hyper keeps the connection, and no WebSocket ever opens.
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                eprintln!("error: {error}");
            }
        });
    }
}

async fn answer(server: &Server, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/" => Response::new("the WebSocket is at /ws\n".into()),
        // The answer is 101, or why the request cannot have a WebSocket.
        "/ws" => server.answer(&mut request).await,
        _ => {
            let mut response = Response::new("not found\n".into());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}
