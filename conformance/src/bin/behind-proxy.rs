//! The server behind the proxies of `conformance/proxies`. It sends each client the address that it takes for the
//! client's.
//!
//! `behind-proxy [--forwarded]` listens on a free port and trusts proxies at 127.0.0.1. `behind-proxy --unix PATH`
//! listens on that socket and trusts every peer there. `--forwarded` reads `Forwarded` instead of `X-Forwarded-For`.
//! Each connection gets one message: the client's address, or `unknown`, and the host that was asked for, with the
//! scheme if it is known.

use std::error::Error;

use ropeway::{ForwardedHeader, Server, ServerBuilder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => serve(Server::builder()).await,
        ["--forwarded"] => serve(Server::builder().forwarded_header(ForwardedHeader::Forwarded)).await,
        #[cfg(unix)]
        ["--unix", path] => serve_unix(path).await,
        _ => Err("usage: behind-proxy [--forwarded | --unix PATH]".into()),
    }
}

async fn serve(builder: ServerBuilder) -> Result<(), Box<dyn Error>> {
    let server = builder.trusted_proxies(["127.0.0.1".parse()?]).bind("127.0.0.1:0").await?;
    tell(&server);
    println!("listening on http://{}/", server.local_addr()?);
    Ok(server.run().await?)
}

#[cfg(unix)]
async fn serve_unix(path: &str) -> Result<(), Box<dyn Error>> {
    let server = Server::builder().trust_peers_without_address(true).build();
    tell(&server);
    let listener = tokio::net::UnixListener::bind(path)?;
    println!("listening on unix://{path}");
    loop {
        let (stream, _) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move { server.serve_stream(stream, None).await });
    }
}

fn tell(server: &Server) {
    server.on_connection(|ws, handshake| {
        let client = handshake.client_ip().map_or_else(|| "unknown".into(), |ip| ip.to_string());
        let host = handshake.destination().map(|destination| destination.to_string()).unwrap_or_default();
        // It is the first message, so there is room.
        let _ = ws.send(format!("{client} {host}"));
    });
}
