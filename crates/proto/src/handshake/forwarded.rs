//! The client's address and the request's destination according to proxies in front of the server. Using them is left
//! to the origin check and to applications.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::uri::Scheme;
use http::{HeaderMap, HeaderName, Request};

use super::cidr::Cidr;
use super::destination::Destination;
use super::fault::Fault;
use super::fields::{self, RightToLeft};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies in front of a server that are believed about clients. By default none is.
///
/// Each proxy adds the address of its own client to a list. So the list is read from its end, past the proxies that are
/// trusted. The first address that is not one of them is the client. The addresses before it are only what the client
/// claims. All lines of the header are one list (RFC 9110 section 5.3).
///
/// Every trusted proxy must add to the header or replace it. If a proxy does neither, the client's own header arrives,
/// and nothing in the request shows that.
///
/// ```
/// use ropeway_proto::handshake::Proxies;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-forwarded-for", "6.6.6.6, 203.0.113.7, 10.0.0.9".parse().unwrap());
/// let mut proxies = Proxies::default();
/// proxies.trusted = vec!["10.0.0.0/8".parse().unwrap()];
/// let ip = |peer: &str| proxies.client_ip(peer.parse().ok(), &headers).unwrap().to_string();
/// assert_eq!(ip("10.0.0.1"), "203.0.113.7");
/// assert_eq!(ip("198.51.100.1"), "198.51.100.1");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies {
    /// The addresses of trusted proxies.
    pub trusted: Vec<Cidr>,
    /// Whether a peer without an address is a trusted proxy. Set this only if nobody but a proxy can reach the server's
    /// Unix socket, or if all streams that are handed over without an address come from one.
    pub unaddressed: bool,
    /// The header that these proxies write. The other one is ignored, since they pass on what a client wrote there.
    pub header: ForwardedHeader,
}

/// The header in which proxies name their clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Host` and `X-Forwarded-Proto` if the proxies write those. The default, and
    /// what most proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Proxies {
    /// The address of the client: the peer's own, or, if the peer is a trusted proxy, the one that it names.
    ///
    /// If the proxy names none, the proxy itself is the client. If all addresses in the list are trusted, the first of
    /// them is the client. Returns `None` if the client is not known: the peer has no address, or a trusted proxy wrote
    /// something other than an address, such as `unknown` or an obfuscated name (RFC 7239 section 6). An IPv4 address
    /// in IPv6 form is returned as IPv4.
    pub fn client_ip(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        self.walk(peer, headers).client
    }

    /// Returns where the request was sent: as the first of the trusted proxies saw it if they say so, otherwise as the
    /// request says.
    ///
    /// No page can make a browser send these headers, so a page gains nothing if a proxy passes them on.
    pub(super) fn destination<B>(&self, peer: Option<IpAddr>, request: &Request<B>) -> Result<Destination, Fault> {
        let stated = Destination::stated(request)?;
        let headers = request.headers();
        let walk = self.walk(peer, headers);
        let (host, proto) = match self.header {
            ForwardedHeader::Forwarded => (walk.host, walk.proto),
            ForwardedHeader::XForwardedFor => {
                let said = |name| fields::elements_from_the_right(headers, name).take(walk.hops).last().map(lossy);
                (said(&X_FORWARDED_HOST), said(&X_FORWARDED_PROTO))
            }
        };
        let scheme = proto.and_then(|proto| scheme(&proto));
        Ok(stated.forwarded(host.as_deref(), scheme))
    }

    fn walk(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Walk {
        let peer = peer.map(|peer| peer.to_canonical());
        let mut walk = Walk { client: peer, hops: 0, host: None, proto: None };
        let is_trusted = peer.map_or(self.unaddressed, |peer| self.trusts(peer));
        if !is_trusted {
            return walk;
        }
        match self.header {
            ForwardedHeader::XForwardedFor => {
                for element in fields::elements_from_the_right(headers, &X_FORWARDED_FOR) {
                    walk.hops += 1;
                    walk.client = std::str::from_utf8(element).ok().and_then(address);
                    if !walk.client.is_some_and(|client| self.trusts(client)) {
                        break;
                    }
                }
            }
            ForwardedHeader::Forwarded => {
                for element in fields::elements_from_the_right(headers, &http::header::FORWARDED) {
                    walk.hops += 1;
                    let Some(element) = Element::parse(element) else {
                        walk.client = None;
                        break;
                    };
                    walk.client = element.client.as_deref().and_then(address);
                    walk.host = element.host.or(walk.host);
                    walk.proto = element.proto.or(walk.proto);
                    if !walk.client.is_some_and(|client| self.trusts(client)) {
                        break;
                    }
                }
            }
        }
        // A proxy that does not name its client may still name the destination.
        walk.hops = walk.hops.max(1);
        walk
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }
}

/// The result of reading the trusted end of a list.
struct Walk {
    client: Option<IpAddr>,
    /// The number of trusted proxies that the request came through. Each of them may have added to the other lists too.
    hops: usize,
    /// The host that the furthest of the trusted proxies names.
    host: Option<String>,
    proto: Option<String>,
}

/// The pairs of an element that are of use. `forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )` (RFC
/// 7239 section 4).
#[derive(Default)]
struct Element {
    client: Option<String>,
    host: Option<String>,
    proto: Option<String>,
}

impl Element {
    /// Returns `None` if the element breaks the grammar, or has one of the pairs twice: then it is not known which one
    /// a proxy wrote.
    fn parse(element: &[u8]) -> Option<Self> {
        let mut parsed = Self::default();
        for pair in RightToLeft::new(element, b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (fields::token(&pair[..equals])?, value(&pair[equals + 1..])?);
            let known = [("for", &mut parsed.client), ("host", &mut parsed.host), ("proto", &mut parsed.proto)];
            let known = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
            if known.is_some_and(|(_, known)| known.replace(value).is_some()) {
                return None;
            }
        }
        Some(parsed)
    }
}

/// Parses `value = token / quoted-string`. A port or an IPv6 address has to be quoted, but not all proxies do so. Such
/// a value is accepted, since it has only one meaning.
fn value(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let Some(quoted) = text.strip_prefix('"') else { return (!text.contains(['"', '\\'])).then(|| text.to_owned()) };
    let (mut value, mut rest) = (String::new(), quoted.chars());
    loop {
        match rest.next()? {
            '"' => break,
            '\\' => value.push(rest.next()?),
            character => value.push(character),
        }
    }
    rest.next().is_none().then_some(value)
}

/// Parses an address as proxies write it: bare, in brackets, with a port or an obfuscated one (RFC 7239 section 6).
fn address(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port): (IpAddr, _) = if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (address.parse::<Ipv6Addr>().ok()?.into(), port)
    } else {
        let (address, port) = node.split_at(node.find(':')?);
        (address.parse::<Ipv4Addr>().ok()?.into(), port)
    };
    (port.is_empty() || is_port(port.strip_prefix(':')?)).then(|| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(obfuscated) => !obfuscated.is_empty() && obfuscated.bytes().all(is_obfuscated),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_obfuscated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// Parses the scheme of the pages that a proxy serves. Some proxies write `wss` for a WebSocket.
fn scheme(proto: &str) -> Option<Scheme> {
    if proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss") {
        Some(Scheme::HTTPS)
    } else if proto.eq_ignore_ascii_case("http") || proto.eq_ignore_ascii_case("ws") {
        Some(Scheme::HTTP)
    } else {
        None
    }
}

/// Bytes that are not UTF-8 become U+FFFD, which no host or scheme contains.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{FORWARDED, HOST};

    use super::*;

    fn proxies(header: ForwardedHeader) -> Proxies {
        let trusted = ["10.0.0.0/8", "::1"].map(|range| range.parse().unwrap()).into();
        Proxies { trusted, unaddressed: false, header }
    }

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
    }

    /// The client's address if `peer` is the other end of the connection.
    fn client(proxies: &Proxies, peer: &str, headers: &HeaderMap) -> String {
        proxies.client_ip(peer.parse().ok(), headers).map_or("none".into(), |ip| ip.to_string())
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_trusted_proxy() {
        let proxies = proxies(ForwardedHeader::XForwardedFor);
        for (peer, lines, expected) in [
            ("10.0.0.1", &["203.0.113.7"][..], "203.0.113.7"),
            // The address that a proxy adds counts, not those that the client claims before it, even if they are on
            // lines of their own.
            ("10.0.0.1", &["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["10.6.6.6, 6.6.6.6", "203.0.113.7,10.0.0.2", "10.0.0.3"], "203.0.113.7"),
            ("::1", &["6.6.6.6, 203.0.113.7, ::1"], "203.0.113.7"),
            ("10.0.0.1", &["10.0.0.5, 10.0.0.2"], "10.0.0.5"),
            // There is no list.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["", " , "], "10.0.0.1"),
            // A peer that is not trusted is not believed.
            ("203.0.113.9", &["6.6.6.6"], "203.0.113.9"),
            ("::ffff:203.0.113.9", &["6.6.6.6"], "203.0.113.9"),
            ("", &["6.6.6.6"], "none"),
            // Forms of addresses.
            ("::ffff:10.0.0.1", &["6.6.6.6, ::ffff:203.0.113.7, ::ffff:10.1.2.3"], "203.0.113.7"),
            ("::1", &["[::ffff:203.0.113.7]:4711"], "203.0.113.7"),
            ("10.0.0.1", &["6.6.6.6,\t203.0.113.7:4711 ,"], "203.0.113.7"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
        ] {
            assert_eq!(client(&proxies, peer, &headers(&X_FORWARDED_FOR, lines)), expected, "{peer} {lines:?}");
        }
        // These proxies do not write this header, so a client has written it.
        assert_eq!(client(&proxies, "10.0.0.1", &headers(&FORWARDED, &["for=6.6.6.6"])), "10.0.0.1");
    }

    #[test]
    fn an_invalid_address_hides_the_client_and_all_before_it() {
        let proxies = proxies(ForwardedHeader::XForwardedFor);
        for element in [
            "unknown",
            "_hidden",
            "203.0.113",
            "203.0.113.7.8",
            "localhost",
            "[::1",
            "[10.0.0.1]",
            "::1]",
            "1.2.3.4:",
            "1.2.3.4:http",
            "1.2.3.4:123456",
            "[::1]443",
            "fe80::1%eth0",
            "\"1.2.3.4\"",
            "1.2.3.4 5.6.7.8",
            "\u{e4}",
        ] {
            for list in [format!("6.6.6.6, {element}"), format!("6.6.6.6, {element}, 10.0.0.2")] {
                assert_eq!(client(&proxies, "10.0.0.1", &headers(&X_FORWARDED_FOR, &[&list])), "none", "{list}");
            }
        }
    }

    #[test]
    fn the_standard_header_is_read_the_same_way() {
        let proxies = proxies(ForwardedHeader::Forwarded);
        for (lines, expected) in [
            (&["for=203.0.113.7"][..], "203.0.113.7"),
            (&["for=6.6.6.6, For=203.0.113.7;proto=https;by=10.0.0.1"], "203.0.113.7"),
            (&["for=6.6.6.6", "for=203.0.113.7 , for=10.0.0.2"], "203.0.113.7"),
            (&["proto=https; FOR=\"[2001:db8::1]:4711\" ;;"], "2001:db8::1"),
            (&["for=\"203.0.113.7:_port\""], "203.0.113.7"),
            (&["for=203.0.113.7:4711"], "203.0.113.7"),
            (&["for=\"203.0.\\113.7\""], "203.0.113.7"),
            (&["for=\"\\\",for=6.6.6.6;host=\\\"\";for=203.0.113.7"], "none"),
            (&["by=10.0.0.1;host=\"a;b,c=\\\"d\";for=203.0.113.7"], "203.0.113.7"),
            (&[], "10.0.0.1"),
            // A quote that a client left open hides nothing of what a proxy wrote behind it.
            (&["for=\"6.6.6.6, for=203.0.113.7"], "203.0.113.7"),
            (&["for=6.6.6.6;host=\"a\\, for=203.0.113.7;host=\"b\""], "203.0.113.7"),
            (&["for=6.6.6.6, for=unknown"], "none"),
            (&["for=6.6.6.6, for=_secret, for=10.0.0.2"], "none"),
            (&["for=6.6.6.6, proto=https"], "none"),
            (&["for=6.6.6.6, for=203.0.113.7;for=203.0.113.8"], "none"),
            (&["for=6.6.6.6, 203.0.113.7"], "none"),
            (&["for=6.6.6.6, for=\"203.0.113.7"], "none"),
            (&["for=6.6.6.6, for=\"203.0.113.7\"x"], "none"),
        ] {
            assert_eq!(client(&proxies, "10.0.0.1", &headers(&FORWARDED, lines)), expected, "{lines:?}");
        }
        assert_eq!(client(&proxies, "10.0.0.1", &headers(&X_FORWARDED_FOR, &["6.6.6.6"])), "10.0.0.1");
    }

    #[test]
    fn a_peer_without_an_address_is_believed_only_if_all_such_are_proxies() {
        let mut proxies = proxies(ForwardedHeader::XForwardedFor);
        let list = headers(&X_FORWARDED_FOR, &["6.6.6.6, 203.0.113.7"]);
        assert_eq!(proxies.client_ip(None, &list), None);
        proxies.unaddressed = true;
        assert_eq!(proxies.client_ip(None, &list), Some([203, 0, 113, 7].into()));
        assert_eq!(proxies.client_ip(None, &HeaderMap::new()), None);
        assert_eq!(proxies.client_ip(Some([198, 51, 100, 1].into()), &list), Some([198, 51, 100, 1].into()));
    }

    /// The host and scheme that count for a request with these headers.
    fn destination(proxies: &Proxies, peer: &str, lines: &[(&str, &str)]) -> (String, Option<Scheme>) {
        let mut request = Request::new(());
        request.headers_mut().insert(HOST, HeaderValue::from_static("backend:8005"));
        for (name, line) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(line).unwrap());
        }
        let destination = proxies.destination(peer.parse().ok(), &request).unwrap();
        (destination.authority().to_string(), destination.scheme().cloned())
    }

    #[test]
    fn a_request_is_for_the_host_and_scheme_that_the_outermost_trusted_proxy_saw() {
        let (host, proto, list) = ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-for");
        let x = proxies(ForwardedHeader::XForwardedFor);
        let (https, http) = (Some(Scheme::HTTPS), Some(Scheme::HTTP));
        for (peer, lines, expected) in [
            ("10.0.0.1", &[(host, "a.test:8443"), (proto, "https")][..], ("a.test:8443", https.clone())),
            ("10.0.0.1", &[(proto, "wss")], ("backend:8005", https.clone())),
            ("10.0.0.1", &[(host, "a.test"), (proto, "ws")], ("a.test", http.clone())),
            ("10.0.0.1", &[(host, "a.test"), (proto, "ftp")], ("a.test", None)),
            // One proxy has added one element to each list. The elements before are not the proxy's.
            ("10.0.0.1", &[(list, "6.6.6.6, 203.0.113.7"), (host, "b.test, a.test")], ("a.test", None)),
            ("10.0.0.1", &[(host, "b.test"), (host, "a.test"), (proto, "http, https")], ("a.test", https.clone())),
            // Two proxies have.
            ("10.0.0.1", &[(list, "203.0.113.7, 10.0.0.2"), (host, "c.test, a.test, b.test")], ("a.test", None)),
            ("10.0.0.1", &[(list, "203.0.113.7, 10.0.0.2"), (host, "a.test")], ("a.test", None)),
            // The value is not a host, and the peer is not a proxy.
            ("10.0.0.1", &[(host, "user@a.test")], ("backend:8005", None)),
            ("10.0.0.1", &[(host, "a.test:http")], ("backend:8005", None)),
            ("203.0.113.7", &[(host, "a.test"), (proto, "https")], ("backend:8005", None)),
            ("", &[(host, "a.test"), (proto, "https")], ("backend:8005", None)),
            ("10.0.0.1", &[("forwarded", "for=6.6.6.6;host=b.test")], ("backend:8005", None)),
        ] {
            assert_eq!(destination(&x, peer, lines), (expected.0.to_owned(), expected.1), "{peer} {lines:?}");
        }
        let standard = proxies(ForwardedHeader::Forwarded);
        for (line, expected) in [
            ("for=203.0.113.7;host=\"a.test:8443\";proto=https", ("a.test:8443", https.clone())),
            ("for=6.6.6.6;host=b.test;proto=http, for=203.0.113.7", ("backend:8005", None)),
            ("host=c.test, for=203.0.113.7;host=a.test;proto=https, for=10.0.0.2;host=b.test", ("a.test", https)),
            ("for=203.0.113.7, for=10.0.0.2;host=a.test;proto=http", ("a.test", http)),
            ("for=unknown;host=a.test", ("a.test", None)),
        ] {
            let found = destination(&standard, "10.0.0.1", &[("forwarded", line)]);
            assert_eq!(found, (expected.0.to_owned(), expected.1), "{line}");
        }
    }
}
