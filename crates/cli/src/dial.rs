//! The options for connecting that all clients have: the address, and the contents of the opening handshake.

use ropeway::http::{HeaderName, HeaderValue};
use ropeway::{Client, Target};

use crate::tls::{self, Trust};

/// The options for connecting.
#[derive(clap::Args)]
pub(crate) struct Dial {
    /// A ws:// or wss:// URL; without a scheme, ws:// is used
    #[arg(value_parser = url, help_heading = None::<&str>)]
    pub(crate) url: Url,

    /// Send a header with the opening handshake; can be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// Send this Origin, as a web page from there would
    #[arg(long)]
    pub(crate) origin: Option<String>,

    /// Offer subprotocols, the preferred one first; several with commas, or the option several times
    #[arg(long = "subprotocol", value_name = "NAME", value_delimiter = ',')]
    pub(crate) subprotocols: Vec<String>,
}

/// A URL as it was given, and as it was parsed.
#[derive(Clone)]
pub(crate) struct Url {
    /// With a scheme. It includes the password, if there is one, so it must not be shown.
    pub(crate) given: String,
    pub(crate) target: Target,
}

impl Dial {
    /// Makes a client with these options.
    pub(crate) fn client(&self, trust: &Trust) -> Result<Client, String> {
        let mut client = Client::new().subprotocols(&self.subprotocols);
        for (name, value) in &self.headers {
            client = client.header(name.clone(), value.clone());
        }
        if let Some(origin) = &self.origin {
            client = client.origin(origin);
        }
        if self.url.target.is_secure() { tls::configure(client, trust) } else { Ok(client) }
    }
}

/// Parses a URL. Without a scheme it means `ws://`.
pub(crate) fn url(text: &str) -> Result<Url, String> {
    // Blanks around it may come from pasting. Everything else is left to the parser.
    let text = text.trim();
    let has_scheme = text
        .split_once("://")
        .is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
    let given = if has_scheme { text.to_owned() } else { format!("ws://{text}") };
    let target = given.parse().map_err(|error| format!("{error}"))?;
    Ok(Url { given, target })
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is a name, a colon and a value, like 'Cookie: id=1'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} cannot be a header's name (RFC 9110 section 5.1)"))?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| {
        format!("{value:?} cannot be a header's value (RFC 9110 section 5.5): it has control characters")
    })?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_scheme_means_ws() {
        for (text, meant) in [
            ("localhost:8005/echo", "ws://localhost:8005/echo"),
            ("example.org", "ws://example.org/"),
            ("[::1]:8005", "ws://[::1]:8005/"),
            ("h/?to=http://other", "ws://h/?to=http://other"),
            ("https://example.org/a", "wss://example.org/a"),
            (" wss://example.org/a b\n", "wss://example.org/a%20b"),
            ("bücher.example", "ws://xn--bcher-kva.example/"),
        ] {
            assert_eq!(url(text).unwrap_or_else(|error| panic!("{text}: {error}")).target.to_string(), meant);
        }
        assert!(url("ftp://example.org").is_err());
    }

    #[test]
    fn headers_are_split_at_the_first_colon() {
        let (name, value) = header("X-Time:  12:30 ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-time", &b"12:30"[..]));
        assert_eq!(header("Empty:").unwrap().1, "");
        for wrong in ["no colon", ": no name", "a b: c", "a: b\r\nc: d"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }
}
