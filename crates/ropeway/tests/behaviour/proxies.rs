//! A server behind proxies: the address that it takes for the client's, and the host that it takes for its own. The
//! tests of `ropeway-proto` cover the meaning of the headers; real proxies are in `conformance/proxies`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ropeway::{Accept, ForwardedHeader, Server, ServerBuilder, Transport, UpgradeRequest};

use super::handshake_rows::read_response;
use super::script::request;
use super::wire::{settle, wire};

/// A server that trusts the proxies of one network.
fn behind() -> ServerBuilder {
    Server::builder().trusted_proxies(["10.0.0.0/8".parse().unwrap()])
}

/// Sends a request with these headers. Returns the status of the answer, the client's address, and the host that the
/// application is told.
async fn ask(builder: ServerBuilder, from: Option<&str>, headers: &str) -> (u16, String, String) {
    let server = builder.build();
    let (client, host) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(String::new())));
    let authorize = {
        let host = Arc::clone(&host);
        move |request: UpgradeRequest| {
            *host.lock().unwrap() = request.destination().unwrap().to_string();
            std::future::ready(Ok(Accept::with(request.client_ip())))
        }
    };
    server.authorize(authorize).on_connection({
        let client = Arc::clone(&client);
        move |_, handshake| {
            assert_eq!(handshake.value, handshake.client_ip());
            *client.lock().unwrap() = handshake.client_ip().map_or("none".into(), |ip| ip.to_string());
        }
    });
    let (wire, end) = wire();
    let from = from.map(|addr| addr.parse::<SocketAddr>().unwrap());
    tokio::spawn(async move { server.serve_stream(Transport::other(end), from).await });
    wire.send_bytes(request(headers));
    settle().await;
    let status = read_response(&wire.take_written()).0.status().as_u16();
    (status, client.lock().unwrap().clone(), host.lock().unwrap().clone())
}

fn told(status: u16, client: &str, host: &str) -> (u16, String, String) {
    (status, client.into(), host.into())
}

const PROXY: Option<&str> = Some("10.0.0.1:99");
const PAGE: &str = "Origin: https://app.test\r\n";
const FORWARDED: &str =
    "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\nX-Forwarded-Host: app.test\r\nX-Forwarded-Proto: https\r\n";

#[tokio::test(start_paused = true)]
async fn a_page_of_the_host_that_a_trusted_proxy_was_asked_for_may_connect() {
    let headers = format!("{PAGE}{FORWARDED}");
    assert_eq!(ask(behind(), PROXY, &headers).await, told(101, "203.0.113.7", "https://app.test"));
    // Over http it is another origin, and only the proxy is believed about that.
    let other_scheme = headers.replace("Proto: https", "Proto: http");
    assert_eq!(ask(behind(), PROXY, &other_scheme).await.0, 403);
    assert_eq!(ask(behind(), Some("203.0.113.7:99"), &headers).await.0, 403);
    assert_eq!(ask(behind(), None, &headers).await.0, 403);
    assert_eq!(ask(Server::builder(), PROXY, &headers).await.0, 403);
    // A page of the server's own address counts as a stranger's if the proxy serves another host.
    let own = FORWARDED.to_owned() + "Origin: https://server.example.com\r\n";
    assert_eq!(ask(behind(), PROXY, &own).await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_an_address_can_be_a_trusted_proxy() {
    let headers = format!("{PAGE}{FORWARDED}");
    let trusting = || Server::builder().trust_peers_without_address(true);
    assert_eq!(ask(trusting(), None, &headers).await, told(101, "203.0.113.7", "https://app.test"));
    assert_eq!(ask(trusting(), Some("203.0.113.7:99"), &headers).await.0, 403);
    assert_eq!(ask(Server::builder(), None, FORWARDED).await, told(101, "none", "server.example.com"));
}

#[tokio::test(start_paused = true)]
async fn the_header_that_proxies_write_is_the_only_one_that_is_read() {
    let standard = "Forwarded: for=6.6.6.6, for=203.0.113.8;host=app.test;proto=https\r\n";
    let both = format!("{PAGE}{standard}X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: x.test\r\n");
    let reading = || behind().forwarded_header(ForwardedHeader::Forwarded);
    assert_eq!(ask(reading(), PROXY, &both).await, told(101, "203.0.113.8", "https://app.test"));
    assert_eq!(ask(behind(), PROXY, standard).await, told(101, "10.0.0.1", "server.example.com"));
    assert_eq!(ask(reading(), PROXY, FORWARDED).await, told(101, "10.0.0.1", "server.example.com"));
}
