//! Which web pages may connect: the check of `Origin` against cross-site WebSocket hijacking. All other checks of a
//! request are left to `server`.

use http::header::ORIGIN;
use http::{HeaderMap, Uri};

use super::authority::{default_port, host_and_port};
use super::destination::Destination;
use super::fields::{self, Field};
use super::refusal::Fault;

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
}

impl OriginPolicy {
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
        };
        if allowed { Ok(()) } else { Err(Fault::Origin { origin, host: destination.to_string() }) }
    }
}

fn is_of(origin: &str, destination: &Destination) -> bool {
    let Some((scheme, host, port)) = split(origin) else { return false };
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
fn split(origin: &str) -> Option<(String, String, Option<u16>)> {
    let uri: Uri = origin.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let (host, port) = host_and_port(uri.authority()?)?;
    let port = port.or(default_port(&scheme));
    Some((scheme, host.to_ascii_lowercase(), port))
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
