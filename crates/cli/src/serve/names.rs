//! Protection against DNS rebinding: a stranger's page makes its own host name point at this server, so that browser
//! and server both take it for the server's own page. The host name gives it away.

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{Request, StatusCode};
use ropeway::Refusal;

use std::net::IpAddr;

/// The most characters of a client's host name that are shown.
const SHOWN: usize = 100;

/// The names by which web pages may reach a server, besides addresses and the names of this machine itself.
pub(super) struct Names(Vec<String>);

impl Names {
    pub(super) fn new(allowed: &[String]) -> Self {
        Self(allowed.to_vec())
    }

    /// Lets a page connect only if it reached the server by an address or by one of the server's names. A stranger's
    /// page has a name of its own, which can point anywhere. Browsers send each page's origin (RFC 6455 section 4.1). A
    /// program that sends none can name any host, but no page can make it do so.
    pub(super) fn check(&self, request: &Request<()>) -> Result<(), Refusal> {
        if !request.headers().contains_key(ORIGIN) {
            return Ok(());
        }
        // For a target in absolute form its authority counts (RFC 9112 section 3.2.2). Both are checked.
        let target = request.uri().authority().map(Authority::as_str);
        let host = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        for host in [host.as_deref(), target].into_iter().flatten() {
            let authority: Option<Authority> = host.parse().ok();
            let name = authority.as_ref().map_or("", Authority::host);
            if !self.is_own(name) {
                return Err(refusal(name));
            }
        }
        Ok(())
    }

    fn is_own(&self, name: &str) -> bool {
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || self.0.iter().any(|allowed| name.eq_ignore_ascii_case(allowed))
    }
}

fn refusal(name: &str) -> Refusal {
    let shown: String = name.chars().take(SHOWN).collect();
    let shown = if shown.len() < name.len() { format!("{shown}…") } else { shown };
    Refusal::new(
        StatusCode::FORBIDDEN,
        format!(
            "A page reached this server by the name {shown:?}, which is not one of its names. A stranger may have pointed that name here. \
             If the name is right, start the server with --allow-host {shown}\n"
        ),
    )
}

/// A name on the command line.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text.parse::<Authority>() {
        Ok(authority) if authority.host() == text && !text.starts_with('[') => Ok(text.to_owned()),
        _ => Err("give a name alone, without scheme and port, like dev.example".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_of_this_machine_are_its_own_and_those_allowed() {
        let names = Names::new(&["Dev.example".to_owned()]);
        for name in ["localhost", "LocalHost", "chat.localhost", "127.9.9.9", "192.168.1.1", "[::1]", "dev.EXAMPLE"] {
            assert!(names.is_own(name), "{name}");
        }
        for name in
            ["", "evil.example", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "x.dev.example"]
        {
            assert!(!names.is_own(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_given_alone() {
        assert_eq!(name("dev.example").as_deref(), Ok("dev.example"));
        for wrong in ["", "http://dev.example", "dev.example:80", "a b", "user@dev.example", "[::1]"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
