//! Which web pages may connect: the check of `Origin` against cross-site WebSocket hijacking. All other checks of a
//! request are left to `server`.

use std::fmt;
use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderMap, Uri};

use super::authority::{default_port, host_and_port};
use super::destination::Destination;
use super::fault::Fault;
use super::fields::{self, Field};

/// Which web pages may open a WebSocket here (RFC 6455 section 10.2).
///
/// A browser lets any page connect to any server, and sends the user's cookies along. Without a check every site that a
/// user visits can act as that user. A browser always sends `Origin`: the page's scheme, host and port. Requests
/// without it come from programs, which could write anything there, and all policies accept them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Pages of the host and port that the request is sent to. The origin's must be those of `Host`; if a port is left
    /// out, the default of the origin's scheme is meant. The scheme itself is compared only if a [trusted
    /// proxy](super::Proxies) says which one the browser used; otherwise it is not known. The default.
    #[default]
    SameOrigin,
    /// Every page. Right only if nothing depends on cookies, on client certificates, or on an address that only some
    /// can reach, such as localhost.
    Any,
    /// Pages of these origins and no others. Each is written as a browser writes it: `https://example.com`, with its
    /// port unless that is the default. `null` stands for pages that have no origin, such as files and sandboxed
    /// frames.
    List(Vec<String>),
    /// Pages whose origin passes a check of the application's: see [`OriginPolicy::check_with`].
    Check(OriginCheck),
}

/// A check of the application's for origins. Two are equal if they are the same one.
#[derive(Clone)]
pub struct OriginCheck(Arc<dyn Fn(&Origin<'_>) -> bool + Send + Sync>);

/// The origin of a web page, as the browser sends it (RFC 6454 section 7).
///
/// ```
/// use ropeway_proto::handshake::Origin;
///
/// let origin = Origin::new("https://Chat.example.com");
/// assert_eq!((origin.scheme(), origin.host(), origin.port()), (Some("https"), Some("chat.example.com"), Some(443)));
/// assert!(origin.is_within("example.com"));
/// assert!(!Origin::new("https://evil-example.com").is_within("example.com"));
/// ```
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    text: &'a str,
    /// `None` for `null`, and for a text that is no origin.
    parts: Option<Parts>,
}

/// Scheme, host and port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// The origin that a text says.
    pub fn new(text: &'a str) -> Self {
        Self { text, parts: split(text) }
    }

    /// The text as it was sent: `null` for pages that have no origin, such as files and sandboxed frames.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme in lower case, such as `https`. `None` if this is no origin with a host.
    pub fn scheme(&self) -> Option<&str> {
        self.parts.as_ref().map(|parts| parts.scheme.as_str())
    }

    /// The host in lower case; an IPv6 address is in brackets. `None` if this is no origin with a host.
    pub fn host(&self) -> Option<&str> {
        self.parts.as_ref().map(|parts| parts.host.as_str())
    }

    /// The port, or the default of the scheme if it is left out.
    pub fn port(&self) -> Option<u16> {
        self.parts.as_ref().and_then(|parts| parts.port)
    }

    /// Whether the host is this domain, or a name below it. The scheme and the port may be any.
    pub fn is_within(&self, domain: &str) -> bool {
        let Some(host) = self.host() else { return false };
        let domain = domain.to_ascii_lowercase();
        host.strip_suffix(domain.as_str()).is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Debug for OriginCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginCheck")
    }
}

impl PartialEq for OriginCheck {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OriginCheck {}

impl OriginPolicy {
    /// Pages whose origin passes this check, and no others. It must not block.
    pub fn check_with(check: impl Fn(&Origin<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::Check(OriginCheck(Arc::new(check)))
    }

    /// Checks a request that is sent to `destination`.
    pub(super) fn check(&self, headers: &HeaderMap, destination: &Destination) -> Result<(), Fault> {
        let origin = match fields::single(headers, &ORIGIN) {
            Field::Missing => return Ok(()),
            Field::Once(value) => fields::text(value),
            Field::Repeated => return Err(Fault::OriginRepeated),
        };
        let allowed = match self {
            Self::Any => true,
            Self::SameOrigin => is_of(&origin, destination),
            Self::List(origins) => origins.iter().any(|listed| are_equal(listed, &origin)),
            Self::Check(OriginCheck(check)) => check(&Origin::new(&origin)),
        };
        if allowed { Ok(()) } else { Err(Fault::Origin { origin, host: destination.to_string() }) }
    }
}

fn is_of(origin: &str, destination: &Destination) -> bool {
    let Some(Parts { scheme, host, port }) = split(origin) else { return false };
    let is_scheme = destination.scheme().is_none_or(|known| *known == *scheme);
    is_scheme && host.eq_ignore_ascii_case(destination.host()) && port == destination.port().or(default_port(&scheme))
}

/// RFC 6454 section 5: origins are the same if scheme, host and port are. Texts that have none of these are compared as
/// they are.
fn are_equal(one: &str, other: &str) -> bool {
    match (split(one), split(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other,
        _ => false,
    }
}

/// Splits an origin into scheme, host and port, in lower case. A port that is left out is the scheme's default, if it
/// has one.
fn split(origin: &str) -> Option<Parts> {
    let uri: Uri = origin.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let (host, port) = host_and_port(uri.authority()?)?;
    let port = port.or(default_port(&scheme));
    Some(Parts { scheme, host: host.to_ascii_lowercase(), port })
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use http::uri::Scheme;
    use http::{HeaderValue, Request};

    use super::*;

    fn at(host: &str) -> Destination {
        Destination::of(&Request::builder().header(HOST, host).body(()).unwrap()).unwrap()
    }

    fn allows(policy: &OriginPolicy, origin: &str, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        policy.check(&headers, &at(host)).is_ok()
    }

    #[test]
    fn same_origin_compares_host_and_port() {
        for (origin, host, expected) in [
            ("https://example.com", "example.com", true),
            ("https://EXAMPLE.com", "Example.COM", true),
            ("https://example.com", "example.com:443", true),
            ("http://example.com", "example.com:80", true),
            ("http://localhost:8005", "localhost:8005", true),
            ("http://127.0.0.1:8005", "127.0.0.1:8005", true),
            ("http://[::1]:8005", "[::1]:8005", true),
            ("http://localhost:5173", "localhost:8005", false),
            ("http://localhost:8005", "127.0.0.1:8005", false),
            ("http://example.com", "example.com:443", false),
            ("https://example.com.evil.test", "example.com", false),
            ("https://evil.test", "example.com", false),
            ("https://example.com@evil.test", "example.com", false),
            ("null", "null", false),
            ("", "example.com", false),
            ("example.com", "example.com", false),
            ("https://example.com https://evil.test", "example.com", false),
        ] {
            assert_eq!(allows(&OriginPolicy::SameOrigin, origin, host), expected, "{origin} at {host}");
        }
    }

    #[test]
    fn same_origin_compares_the_scheme_where_it_is_known() {
        for (origin, host, scheme, expected) in [
            ("https://example.com", "example.com", Scheme::HTTPS, true),
            ("HTTPS://example.com:443", "example.com", Scheme::HTTPS, true),
            ("https://example.com", "example.com:443", Scheme::HTTPS, true),
            ("http://example.com", "example.com", Scheme::HTTPS, false),
            ("http://example.com:443", "example.com:443", Scheme::HTTPS, false),
            ("https://example.com", "example.com", Scheme::HTTP, false),
            ("http://example.com:8005", "example.com:8005", Scheme::HTTP, true),
        ] {
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_str(origin).unwrap())]);
            let destination = at(host).forwarded(None, Some(scheme));
            let outcome = OriginPolicy::SameOrigin.check(&headers, &destination);
            assert_eq!(outcome.is_ok(), expected, "{origin} at {destination}");
        }
    }

    #[test]
    fn a_list_allows_what_it_names_and_nothing_else() {
        let list =
            OriginPolicy::List(vec!["https://example.com".into(), "http://localhost:5173/".into(), "null".into()]);
        for (origin, expected) in [
            ("https://example.com", true),
            ("https://example.com:443", true),
            ("http://localhost:5173", true),
            ("null", true),
            ("http://example.com", false),
            ("https://host", false),
            ("https://sub.example.com", false),
        ] {
            assert_eq!(allows(&list, origin, "host"), expected, "{origin}");
        }
    }

    #[test]
    fn a_domain_has_itself_and_the_names_below_it() {
        let policy = OriginPolicy::check_with(|origin| origin.is_within("Example.com"));
        for (origin, expected) in [
            ("https://example.com", true),
            ("http://CHAT.example.com:8005", true),
            ("https://a.b.example.com", true),
            ("https://evilexample.com", false),
            ("https://example.com.evil.test", false),
            ("https://example.com@evil.test", false),
            ("https://evil.test/example.com", false),
            ("https://com", false),
            ("null", false),
            ("example.com", false),
        ] {
            assert_eq!(allows(&policy, origin, "host"), expected, "{origin}");
        }
    }

    #[test]
    fn programs_send_no_origin_and_pass() {
        assert!(OriginPolicy::List(Vec::new()).check(&HeaderMap::new(), &at("example.com")).is_ok());
    }

    #[test]
    fn any_still_refuses_two_origins() {
        let mut headers = HeaderMap::new();
        headers.append(ORIGIN, HeaderValue::from_static("https://a.test"));
        headers.append(ORIGIN, HeaderValue::from_static("https://b.test"));
        assert_eq!(OriginPolicy::Any.check(&headers, &at("a.test")), Err(Fault::OriginRepeated));
    }
}
