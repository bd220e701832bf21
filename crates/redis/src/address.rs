//! The address of a server, read from a URL.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

/// The port of Redis.
const PORT: u16 = 6379;

/// An address with what the URL says about it. It is shown without credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// The number of the database. Channels are the same in all of them.
    pub(crate) database: u32,
}

impl Address {
    /// Reads a URL such as `rediss://user:password@host:6379/0`. The error says what is wrong with it, and does not
    /// show it, since it may have a password in it.
    pub(crate) fn read(url: &str) -> Result<Self, String> {
        let example = "a Redis URL looks like redis://127.0.0.1:6379, or rediss://user:password@host:6379/0 with TLS";
        let url = Url::parse(url).map_err(|error| format!("the URL of Redis cannot be read ({error}); {example}"))?;
        let is_tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            other => {
                return Err(format!("the URL of Redis begins with {other}:, which is no scheme of Redis; {example}"));
            }
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| format!("the URL of Redis has no host; {example}"))?;
        let decoded = |part: &str| {
            let text = percent_decode_str(part).decode_utf8();
            text.map(String::from).map_err(|_| format!("the credentials in the URL of Redis are not UTF-8; {example}"))
        };
        let user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
        let password = url.password().map(decoded).transpose()?;
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| {
                format!("the path of the URL of Redis is the number of a database, not {number:?}; {example}")
            })?,
        };
        if user.is_some() && password.is_none() {
            return Err(format!("the URL of Redis has a user, but no password; {example}"));
        }
        // An IPv6 address has brackets in a URL, and nowhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(PORT), is_tls, user, password, database })
    }

    /// Another server with the same credentials and TLS.
    pub(crate) fn at(&self, host: String, port: u16) -> Self {
        Self { host, port, ..self.clone() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_without_credentials() {
        let address = Address::read("rediss://us%40er:p%3Aw@[::1]:7000/3").expect("a good URL");
        assert_eq!((address.host.as_str(), address.port, address.is_tls, address.database), ("::1", 7000, true, 3));
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (Some("us@er"), Some("p:w")));
        assert_eq!(format!("{address} {address:?}"), "rediss://[::1]:7000 rediss://[::1]:7000");
        let address = Address::read("valkey://:secret@cache.example").expect("a good URL");
        assert_eq!((address.user, address.password.as_deref(), address.port), (None, Some("secret"), 6379));
    }

    #[test]
    fn a_bad_url_is_not_shown() {
        for url in [
            "127.0.0.1:6379",
            "http://:secret@host",
            "redis://",
            "redis:///0",
            "redis://:secret@host/x",
            "redis://secret@host",
            "redis://:%ff@host",
        ] {
            let error = Address::read(url).expect_err(url);
            assert!(error.contains("looks like redis://127.0.0.1:6379") && !error.contains("secret"), "{url}: {error}");
        }
    }
}
