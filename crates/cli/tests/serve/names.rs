//! The addresses to listen on, the names by which web pages may reach the server, and its subprotocols.

use crate::program::{Serve, echoed, fails, hello, refused};
use crate::raw;

/// The status of the answer to a page that reached the server by this name.
async fn status(server: &Serve, target: &str, host: &str, origin: &str) -> u16 {
    let request = raw::handshake(target, &format!("Host: {host}\r\nOrigin: {origin}\r\n"));
    raw::ask(server.addr(), &request).await.0
}

#[tokio::test]
async fn a_name_that_leads_here_is_no_reason_to_trust_its_pages_whatever_it_listens_on() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::ffff:127.0.0.1]:0"] {
        let server = Serve::start(&["--listen", listen]).await;
        let port = server.addr().port();
        let server = server.reached_at(&format!("127.0.0.1:{port}"));
        for (host, origin, expected) in [
            ("evil.example", "http://evil.example", 403),
            (&*format!("evil.example:{port}"), &*format!("http://evil.example:{port}"), 403),
            ("localhost.", "http://localhost.", 403),
            ("localhost", "http://localhost", 101),
            (&*format!("127.0.0.1:{port}"), &*format!("http://127.0.0.1:{port}"), 101),
            ("[::1]:8005", "http://[::1]:8005", 101),
        ] {
            assert_eq!(status(&server, "/echo", host, origin).await, expected, "{listen}: {host}");
        }
        // The target's authority counts as much as `Host` (RFC 9112 section 3.2.2).
        let (evil, fine) = ("http://evil.example/echo", "http://localhost/echo");
        assert_eq!(status(&server, evil, "localhost", "http://evil.example").await, 403, "{listen}");
        assert_eq!(status(&server, evil, "evil.example", "http://evil.example").await, 403, "{listen}");
        assert_eq!(status(&server, fine, "localhost", "http://localhost").await, 101, "{listen}");
    }
}

#[tokio::test]
async fn names_that_are_allowed_are_its_own_with_their_pages() {
    let server = Serve::start(&["--allow-host", "dev.example", "--allow-host", "Other.Example"]).await;
    for (host, expected) in
        [("dev.example", 101), ("DEV.example:8005", 101), ("other.example", 101), ("sub.dev.example", 403)]
    {
        assert_eq!(status(&server, "/echo", host, &format!("http://{host}")).await, expected, "{host}");
    }
    // Each name is a separate origin: a page of one is not a page of the other.
    assert_eq!(status(&server, "/echo", "dev.example", "http://other.example").await, 403);
    let said = refused(&["--allow-host", "http://dev.example"]).await;
    assert!(said.contains("a name alone"), "{said}");
}

#[tokio::test]
async fn programs_reach_it_under_any_name_as_no_page_can_make_them() {
    let server = Serve::start(&[]).await;
    let (status, body) = raw::ask(server.addr(), &raw::handshake("/echo", "Host: evil.example\r\n")).await;
    assert_eq!(status, 101, "{body}");
}

#[tokio::test]
async fn a_refusal_says_which_option_allows_the_name() {
    let server = Serve::start(&[]).await;
    let request = raw::handshake("/echo", "Host: dev.example:80\r\nOrigin: http://dev.example:80\r\n");
    let (_, body) = raw::ask(server.addr(), &request).await;
    assert!(body.contains("--allow-host dev.example"), "{body}");
}

#[tokio::test]
async fn the_first_subprotocol_offered_that_it_speaks_is_taken() {
    let server = Serve::start(&["--subprotocol", "mqtt", "--subprotocol", "chat.v2"]).await;
    for (offered, taken) in [("chat.v2, mqtt", "chat.v2"), ("other, mqtt", "mqtt")] {
        let host = format!("Host: localhost\r\nSec-WebSocket-Protocol: {offered}\r\n");
        let (_, head) = raw::send(server.addr(), &raw::handshake("/echo", &host)).await;
        assert!(head.to_lowercase().contains(&format!("\r\nsec-websocket-protocol: {taken}\r\n")), "{head}");
    }
    for path in ["", "echo", "broadcast", "deflate"] {
        let url = format!("{}{path}", server.echo().trim_end_matches("echo"));
        assert_eq!(hello(&["--subprotocol", "mqtt", &url]).await, echoed(), "/{path}");
    }
    let said = refused(&["--subprotocol", "two words"]).await;
    assert!(said.contains("RFC 6455"), "{said}");
}

#[tokio::test]
async fn an_address_that_is_none_is_told_what_one_is_like() {
    for listen in
        ["8105", ":8105", "localhost", "127.0.0.1:", "127.0.0.1:99999", "::1:8105:", "http://localhost:8105", ""]
    {
        let said = refused(&["--listen", listen]).await;
        assert!(said.contains("for this machine alone"), "{listen}: {said}");
    }
    let said = refused(&["--listen", "8105"]).await;
    assert!(said.contains("127.0.0.1:8105"), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, said) = fails(&["--listen", &addr]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error: ") && said.contains(&addr), "{said}");
}
