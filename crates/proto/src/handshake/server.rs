//! The server's half: is this request an opening handshake, and is it accepted (RFC 6455 section 4.2)? Reading the head
//! and writing the answer are left to `head` and `encode`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::destination::Destination;
use super::encode::encode_head;
use super::fault::Fault;
use super::fields::{self, Field, own_value};
use super::forwarded::Proxies;
use super::key;
use super::negotiated::Negotiated;
use super::origin::OriginPolicy;
use super::refusal::Refusal;
use crate::deflate;

/// The terms that a server agrees to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The subprotocols that the server speaks. The first in the client's list that is also in this one is agreed on,
    /// so the client's preference counts. If there is none, none is agreed on. Empty by default.
    pub subprotocols: Vec<String>,
    /// Whether to agree on the first subprotocol that a client offers, if none of `subprotocols` is offered. Off by
    /// default, because it promises to speak a protocol that nobody has looked at. But if a page offers some and none
    /// is agreed on, its browser fails the connection. Only tokens are accepted, and the agreed text is still the
    /// client's.
    pub any_subprotocol: bool,
    /// The options that permessage-deflate is negotiated with. `None`, the default, declines it: compression costs
    /// memory and time, so a server has to ask for it.
    pub deflate: Option<deflate::Options>,
    /// Which web pages may connect: by default those of the server's own origin.
    pub origins: OriginPolicy,
    /// The proxies that are believed about the server's own origin. By default none, only the request itself.
    pub proxies: Proxies,
}

/// Setters. Each has the name of its field, which says more.
impl ServerOptions {
    /// The subprotocols that the server speaks: see the field [`subprotocols`](Self#structfield.subprotocols).
    pub fn subprotocols<S: Into<String>>(mut self, subprotocols: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = subprotocols.into_iter().map(Into::into).collect();
        self
    }

    /// Whether any subprotocol is agreed on: see the field [`any_subprotocol`](Self#structfield.any_subprotocol).
    pub fn any_subprotocol(mut self, on: bool) -> Self {
        self.any_subprotocol = on;
        self
    }

    /// How permessage-deflate is negotiated: see the field [`deflate`](Self#structfield.deflate).
    pub fn deflate(mut self, options: impl Into<Option<deflate::Options>>) -> Self {
        self.deflate = options.into();
        self
    }

    /// Which web pages may connect: see the field [`origins`](Self#structfield.origins).
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.origins = origins;
        self
    }

    /// Which proxies are believed: see the field [`proxies`](Self#structfield.proxies).
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }
}

/// A handshake that the server agrees to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The 101. Headers such as cookies may be added to it.
    pub response: Response<()>,
    /// The terms for making the connection, once the response is sent.
    pub negotiated: Negotiated,
    /// Where the request was sent. The origin check has compared with this.
    pub destination: Destination,
}

impl Accepted {
    /// The 101 as bytes, to be written.
    pub fn response_bytes(&self) -> Vec<u8> {
        encode_head(&self.response, 0)
    }

    /// Agrees on this subprotocol for the request that was accepted, or on none, whatever the options say. Fails with
    /// [`Fault::SubprotocolNotOffered`] if the client does not offer it.
    pub fn choose_subprotocol<B>(&mut self, request: &Request<B>, name: Option<&str>) -> Result<(), Refusal> {
        let Some(name) = name else {
            self.response.headers_mut().remove(SEC_WEBSOCKET_PROTOCOL);
            self.negotiated.subprotocol = None;
            return Ok(());
        };
        // Section 4.2.2: "The value chosen MUST be derived from the client's handshake, specifically by selecting one of
        // the values from the |Sec-WebSocket-Protocol| field".
        if !offered_subprotocols(request.headers()).any(|offered| offered == name) {
            return Err(Fault::SubprotocolNotOffered(name.to_owned()).into());
        }
        self.response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, own_value(name));
        self.negotiated.subprotocol = Some(name.to_owned());
        Ok(())
    }

    /// Negotiates compression for the request that was accepted by these options, or declines it, whatever was negotiated
    /// before.
    pub fn choose_deflate<B>(
        &mut self,
        request: &Request<B>,
        options: Option<&deflate::Options>,
    ) -> Result<(), Refusal> {
        self.response.headers_mut().remove(SEC_WEBSOCKET_EXTENSIONS);
        self.negotiated.deflate = agree_on_deflate(request.headers(), options, &mut self.response)?;
        Ok(())
    }

    /// Adds a header of the application's to the 101, such as a cookie. Fails with [`Fault::HandshakeHeader`] for one that the
    /// handshake sets by itself.
    pub fn add_header(&mut self, name: HeaderName, mut value: HeaderValue) -> Result<(), Refusal> {
        // RFC 9110 section 8.6 and RFC 9112 section 6.1 forbid the last two in a 1xx.
        let is_own = [UPGRADE, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name);
        if is_own || name.as_str().starts_with("sec-websocket-") {
            return Err(Fault::HandshakeHeader(name).into());
        }
        fields::hide_secret(&name, &mut value);
        self.response.headers_mut().append(name, value);
        Ok(())
    }
}

/// The subprotocols that a client offers, in its order of preference. Elements that are no tokens are left out; [`accept`] refuses
/// a request that has such.
pub fn offered_subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    fields::elements(headers, &SEC_WEBSOCKET_PROTOCOL).filter_map(fields::token)
}

/// Whether the request asks for a WebSocket, so that [`accept`] should judge it. All others are ordinary HTTP.
///
/// It does if `Upgrade` names websocket, even if other things are wrong with it. It also does if it has a
/// `Sec-WebSocket-Key`. A browser sends that for nothing else, and it is what remains of a handshake if a proxy drops
/// `Upgrade`. With a page as the answer instead of an error, such a client would never find out why it failed.
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    fields::lists(headers, &UPGRADE, "websocket") || headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// Judges an opening handshake (RFC 6455 sections 4.2.1 and 4.2.2).
///
/// The request must be whole, and its path one where a WebSocket is served: see [`Refusal::not_found`]. The bytes that
/// the client sends after the head belong to the connection, if this accepts.
///
/// The peer counts as one without an address: see [`accept_from`].
pub fn accept<B>(request: &Request<B>, options: &ServerOptions) -> Result<Accepted, Refusal> {
    accept_from(None, request, options)
}

/// The same for a request from a peer with this address, which [`ServerOptions::proxies`] may trust.
pub fn accept_from<B>(
    peer: Option<IpAddr>,
    request: &Request<B>,
    options: &ServerOptions,
) -> Result<Accepted, Refusal> {
    let headers = request.headers();
    check_request_line(request)?;
    check_upgrade(headers)?;
    let destination = options.proxies.destination(peer, request)?;
    check_no_body(headers)?;
    let key = key(headers)?;
    check_version(headers)?;
    options.origins.check(headers, &destination)?;
    let subprotocol = subprotocol(headers, options)?;

    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, own_value(&key::accept_of(key)));
    if let Some(subprotocol) = &subprotocol {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, own_value(subprotocol));
    }
    let deflate = agree_on_deflate(headers, options.deflate.as_ref(), &mut response)?;
    Ok(Accepted { response, negotiated: Negotiated { subprotocol, deflate }, destination })
}

/// Section 4.2.1: "An HTTP/1.1 or higher GET request".
fn check_request_line<B>(request: &Request<B>) -> Result<(), Fault> {
    // Over HTTP/2 and HTTP/3 a WebSocket is opened with CONNECT and without a key (RFC 8441), which is not supported
    // here.
    if request.version() != Version::HTTP_11 {
        return Err(Fault::HttpVersion(request.version()));
    }
    if *request.method() != Method::GET {
        return Err(Fault::Method(request.method().clone()));
    }
    Ok(())
}

/// Section 4.2.1: "An |Upgrade| header field containing the value 'websocket', treated as an ASCII case-insensitive
/// value", and "A |Connection| header field that includes the token 'Upgrade'".
fn check_upgrade(headers: &HeaderMap) -> Result<(), Fault> {
    if !fields::lists(headers, &UPGRADE, "websocket") {
        return Err(Fault::Upgrade);
    }
    if !fields::lists(headers, &CONNECTION, "upgrade") {
        return Err(Fault::Connection);
    }
    Ok(())
}

/// Refuses a body. It would be read as frames, or, by a simple proxy, as the next request.
fn check_no_body(headers: &HeaderMap) -> Result<(), Fault> {
    let is_empty = match fields::single(headers, &CONTENT_LENGTH) {
        Field::Missing => true,
        Field::Once(length) => length == "0",
        Field::Repeated => false,
    };
    if is_empty && !headers.contains_key(TRANSFER_ENCODING) { Ok(()) } else { Err(Fault::Body) }
}

/// Section 4.2.1: "A |Sec-WebSocket-Key| header field with a base64-encoded value that, when decoded, is 16 bytes in
/// length"; section 11.3.1: it "MUST NOT appear more than once".
fn key(headers: &HeaderMap) -> Result<&[u8], Fault> {
    match fields::single(headers, &SEC_WEBSOCKET_KEY) {
        Field::Missing => Err(Fault::KeyMissing),
        Field::Repeated => Err(Fault::KeyRepeated),
        Field::Once(key) if key::is_key(key.as_bytes()) => Ok(key.as_bytes()),
        Field::Once(_) => Err(Fault::KeyInvalid),
    }
}

/// Section 4.2.1: "A |Sec-WebSocket-Version| header field, with a value of 13."
fn check_version(headers: &HeaderMap) -> Result<(), Fault> {
    match fields::single(headers, &SEC_WEBSOCKET_VERSION) {
        Field::Missing => Err(Fault::VersionMissing),
        Field::Repeated => Err(Fault::VersionRepeated),
        Field::Once(version) if version == "13" => Ok(()),
        Field::Once(version) => Err(Fault::Version(fields::text(version))),
    }
}

/// Section 4.1: the elements of |Sec-WebSocket-Protocol| "MUST be non-empty strings with characters in the range U+0021
/// to U+007E not including separator characters ... and MUST all be unique strings".
fn subprotocol(headers: &HeaderMap, options: &ServerOptions) -> Result<Option<String>, Fault> {
    // A set, since a head of 16 KiB has room for thousands.
    let mut offered = BTreeSet::new();
    let (mut first, mut chosen) = (None, None);
    for element in fields::elements(headers, &SEC_WEBSOCKET_PROTOCOL) {
        let name = fields::token(element)
            .ok_or_else(|| Fault::SubprotocolInvalid(String::from_utf8_lossy(element).into_owned()))?;
        if !offered.insert(name) {
            return Err(Fault::SubprotocolRepeated(name.to_owned()));
        }
        first = first.or(Some(name));
        if chosen.is_none() && options.subprotocols.iter().any(|spoken| spoken == name) {
            chosen = Some(name);
        }
    }
    // Section 11.3.4 wants at least one: `1#token`.
    if offered.is_empty() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(Fault::SubprotocolInvalid(String::new()));
    }
    // Section 4.2.2: one "that the server is willing to use for this connection", or none.
    Ok(chosen.or(first.filter(|_| options.any_subprotocol)).map(str::to_owned))
}

/// Section 9.1: a value that does not follow the grammar fails the handshake. A server without any extension has
/// nothing to negotiate, and does not read the header.
fn agree_on_deflate(
    headers: &HeaderMap,
    options: Option<&deflate::Options>,
    response: &mut Response<()>,
) -> Result<Option<deflate::Params>, Fault> {
    let Some(options) = options else { return Ok(None) };
    let offers = fields::texts(headers, &SEC_WEBSOCKET_EXTENSIONS);
    let agreed = deflate::accept_offers(offers.iter().map(String::as_str), options).map_err(Fault::Extensions)?;
    Ok(agreed.map(|(params, text)| {
        response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, own_value(&text));
        params
    }))
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_that_names_websocket_or_has_a_key_asks_for_one() {
        let request = |name: &str, value: &str| Request::builder().method("POST").header(name, value).body(()).unwrap();
        assert!(is_upgrade(&request("upgrade", "h2c, WebSocket")));
        assert!(is_upgrade(&request("sec-websocket-key", "wrong")));
        assert!(!is_upgrade(&request("upgrade", "h2c")));
        assert!(!is_upgrade(&request("connection", "upgrade")));
    }

    #[test]
    fn http_2_is_refused_as_a_version_and_not_as_a_method() {
        let request = Request::builder().version(Version::HTTP_2).method("CONNECT").body(()).unwrap();
        let refusal = accept(&request, &ServerOptions::default()).unwrap_err();
        assert_eq!((refusal.status().as_u16(), refusal.fault), (505, Fault::HttpVersion(Version::HTTP_2)));
    }

    proptest! {
        #[test]
        fn any_headers_are_judged_without_a_panic(
            headers in proptest::collection::vec(
                (
                    "(host|origin|sec-websocket-(protocol|extensions|version)|content-length)",
                    "([a-z]+://)?[a-z0-9.@:,;=\\[\\]\" \u{80}-\u{ff}]{0,30}|permessage-deflate[;=a-z_0-9 \"]{0,40}",
                ),
                0..4,
            ),
        ) {
            let mut request = Request::builder()
                .header(HOST, "example.com")
                .header(UPGRADE, "websocket")
                .header(CONNECTION, "Upgrade")
                .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
                .header(SEC_WEBSOCKET_VERSION, "13")
                .body(())
                .unwrap();
            for (name, value) in headers {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                if name == HOST || name == SEC_WEBSOCKET_VERSION {
                    request.headers_mut().insert(name, value);
                } else {
                    request.headers_mut().append(name, value);
                }
            }
            let options = ServerOptions {
                subprotocols: vec!["a".into()],
                deflate: Some(deflate::Options::default()),
                ..ServerOptions::default()
            };
            match accept(&request, &options) {
                Ok(accepted) => prop_assert_eq!(accepted.response.status(), 101),
                Err(refusal) => prop_assert!(refusal.to_string().contains("RFC ")),
            }
        }
    }
}
