//! DNS rebinding: a page of a stranger's makes its own name point at this server, so that browser and server both take it for the
//! server's own page. The name shows it.

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{Request, StatusCode};
use ropeway::Refusal;

use std::net::IpAddr;

/// The most characters that are shown of a name that a client sent.
const SHOWN: usize = 100;

/// The names by which web pages may reach a server, besides addresses and those of this machine itself.
pub(super) struct Names(Vec<String>);

impl Names {
    pub(super) fn new(allowed: &[String]) -> Self {
        Self(allowed.to_vec())
    }

    /// Lets a page pass only if it calls the server by an address or by a name that is the server's: a stranger has a name, and can
    /// make it lead anywhere. Browsers tell each page's origin (RFC 6455 section 4.1); a program that tells none says which name it
    /// likes, and no page can make it.
    pub(super) fn check(&self, request: &Request<()>) -> Result<(), Refusal> {
        if !request.headers().contains_key(ORIGIN) {
            return Ok(());
        }
        // Of an absolute-form target the authority counts (RFC 9112 section 3.2.2). Neither may be a stranger's.
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
            "A page reached this server by the name {shown:?}, which is not known to be its own: anybody can have a name that leads \
             here. If it is, start the server with --allow-host {shown}\n"
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
