//! DNS rebinding: a page of a stranger's makes its own name point at this machine, so that browser and server both take it for
//! the server's own page. What gives it away is the name.

use std::net::IpAddr;

use http::header::HOST;
use http::uri::Authority;
use http::{Request, StatusCode};
use ropeway::Refusal;

/// Lets only requests pass that call a server on the loopback interface by a loopback name.
pub(super) fn check(request: &Request<()>) -> Result<(), Refusal> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_local(host) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        format!(
            "This server listens on the loopback interface, and answers to the name {host:?} only if it is told to: start it \
             with --allow-any-origin, or --allow-origin and the page's origin.\n"
        ),
    ))
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_loopback_addresses_and_names_are_local() {
        for host in ["localhost", "LocalHost:8005", "chat.localhost", "127.0.0.1:8005", "127.9.9.9", "[::1]:8005"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:8005", "notlocalhost", "192.168.1.1", "[::2]", "a b"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
