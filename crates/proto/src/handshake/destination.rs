//! Where a request is sent: the one notion of "this server" for the origin check and for applications. Whether a proxy
//! is believed is left to `forwarded`.

use std::fmt;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request};

use super::authority::host_and_port;
use super::fault::Fault;
use super::fields::{self, Field};

/// The host that a request is for, and the scheme of its URL if that is known.
///
/// ```
/// # use ropeway_proto::handshake::Destination;
/// // RFC 9112 section 3.2.2: the host of an absolute target counts, not `Host`.
/// let request = http::Request::get("http://example.com:8005/chat").header("host", "localhost").body(())?;
/// let destination = Destination::of(&request).unwrap();
/// assert_eq!((destination.host(), destination.port()), ("example.com", Some(8005)));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// A host with an optional port, no userinfo. [`valid`] has checked it, so whatever is behind the host's colon is a port.
    authority: Authority,
    /// `http` or `https`.
    scheme: Option<Scheme>,
}

impl Destination {
    /// Returns where this request is sent. If a server has left its finding among the request's extensions, that is
    /// returned; otherwise the host of an absolute target; otherwise `Host`. `None` if the request names no valid host,
    /// or two.
    ///
    /// A server of the crate `ropeway` leaves its finding there before it asks `authorize`. The finding includes what
    /// trusted proxies say.
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        request.extensions().get().cloned().or_else(|| Self::stated(request).ok())
    }

    /// The host as the client wrote it, in any case. An IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The port, if the client named one. Clients leave out the default port of the scheme.
    pub fn port(&self) -> Option<u16> {
        self.authority.port_u16()
    }

    /// Host and port as the client wrote them.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// `http` or `https`: the scheme that a page of this server has. `None` if no trusted proxy names it.
    pub fn scheme(&self) -> Option<&Scheme> {
        self.scheme.as_ref()
    }

    /// Returns what the request itself says.
    ///
    /// RFC 9112 section 3.2: 400 "to any HTTP/1.1 request message that lacks a Host header field and to any request
    /// message that contains more than one Host header field line or a Host header field with an invalid field value".
    pub(super) fn stated<B>(request: &Request<B>) -> Result<Self, Fault> {
        let host = host_header(request.headers())?;
        // Section 3.2.2: a server that is sent the absolute form "MUST ignore the received Host header field (if any)
        // and instead use the host information of the request-target".
        let authority = match request.uri().authority() {
            None => host,
            Some(target) => valid(target.clone()).ok_or(Fault::TargetHost)?,
        };
        Ok(Self { authority, scheme: None })
    }

    /// Replaces the parts that a trusted proxy names. A host that is not valid is ignored.
    pub(super) fn forwarded(self, host: Option<&str>, scheme: Option<Scheme>) -> Self {
        let authority = host.and_then(|host| parse(host.as_bytes()));
        Self { authority: authority.unwrap_or(self.authority), scheme }
    }
}

/// Writes `https://example.com:8443`, or `example.com` if the scheme is not known.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Some(scheme) => write!(f, "{scheme}://{}", self.authority),
            None => write!(f, "{}", self.authority),
        }
    }
}

fn host_header(headers: &HeaderMap) -> Result<Authority, Fault> {
    match fields::single(headers, &HOST) {
        Field::Missing => Err(Fault::HostMissing),
        Field::Repeated => Err(Fault::HostRepeated),
        Field::Once(host) => parse(host.as_bytes()).ok_or(Fault::HostInvalid),
    }
}

/// Parses a host with an optional port.
fn parse(text: &[u8]) -> Option<Authority> {
    Authority::try_from(text).ok().and_then(valid)
}

/// Refuses userinfo. Neither `Host` nor a target of HTTP may have it (RFC 9110 section 4.2.4), and it makes one host
/// look like another.
fn valid(authority: Authority) -> Option<Authority> {
    (host_and_port(&authority).is_some() && !authority.as_str().contains('@')).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_host_counts_before_host_and_what_a_server_has_found_before_both() {
        let request = |target: &str, host: &str| Request::get(target).header(HOST, host).body(()).unwrap();
        let of = |request: &Request<()>| Destination::of(request).map(|destination| destination.authority.to_string());
        assert_eq!(of(&request("/chat", "a.test:80")).as_deref(), Some("a.test:80"));
        assert_eq!(of(&request("http://b.test/chat", "a.test")).as_deref(), Some("b.test"));
        let mut found = request("http://b.test/chat", "a.test");
        let proxied = Destination { authority: "c.test".parse().unwrap(), scheme: Some(Scheme::HTTPS) };
        found.extensions_mut().insert(proxied.clone());
        assert_eq!(Destination::of(&found), Some(proxied));
    }

    #[test]
    fn the_port_is_the_one_that_the_client_named() {
        for (host, port) in [
            ("a.test", None),
            ("a.test:", None),
            ("a.test:80", Some(80)),
            ("[::1]", None),
            ("[::80]", None),
            ("[::1]:", None),
            ("[::1]:80", Some(80)),
        ] {
            let request = Request::get("/").header(HOST, host).body(()).unwrap();
            assert_eq!(Destination::of(&request).expect(host).port(), port, "{host}");
        }
    }

    #[test]
    fn without_one_valid_host_there_is_no_destination() {
        assert_eq!(Destination::of(&Request::new(())), None);
        let request = |target: &str| Request::get(target).header(HOST, "a.test");
        assert_eq!(Destination::of(&request("/").header(HOST, "b.test").body(()).unwrap()), None);
        assert_eq!(Destination::stated(&request("http://a.test@b.test/").body(()).unwrap()), Err(Fault::TargetHost));
    }
}
