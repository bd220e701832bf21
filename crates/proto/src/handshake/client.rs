//! The client's half: the request that asks for a WebSocket, and the check of the answer (RFC 6455 section 4.1).
//! Reading heads is left to `head`, URLs to `target`, connecting and redirects to the driver.

use std::collections::BTreeSet;
use std::mem;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};

use super::client_error::ClientError;
use super::encode::encode_request;
use super::fields::{self, Field, own_value};
use super::head::{HeadReader, Limits};
use super::key;
use super::negotiated::Negotiated;
use super::refused_body::RefusedBody;
use super::target::Target;
use crate::deflate;

/// The most interim answers that are skipped. 100 and 103 may each come once.
const MOST_INTERIM: u32 = 8;

/// A client's wishes for the opening handshake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Headers to send besides the handshake's own, such as `Cookie` or `Authorization`. An `Authorization` here takes
    /// precedence over the URL's userinfo. `Host` may be set, for a server that is reached by another name. `Upgrade`,
    /// `Connection`, `Content-Length`, `Transfer-Encoding` and all that begin with `Sec-WebSocket-` may not.
    pub headers: HeaderMap,
    /// The value of `Origin`. `None`, the default, sends none, since this client is not a browser.
    pub origin: Option<String>,
    /// The subprotocols to offer, the preferred one first. The server may choose one, or none.
    pub subprotocols: Vec<String>,
    /// The options that permessage-deflate is offered with; the server decides. `None` offers nothing. By default it is
    /// offered.
    pub deflate: Option<deflate::Options>,
    /// Limits for the head of the answer; [`Limits::client`] by default.
    pub limits: Limits,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            origin: None,
            subprotocols: Vec::new(),
            deflate: Some(deflate::Options::default()),
            limits: Limits::client(),
        }
    }
}

/// Setters. Each has the name of its field, which says more.
impl ClientOptions {
    /// Headers to send besides the handshake's own: see the field [`headers`](Self#structfield.headers).
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The value of `Origin`: see the field [`origin`](Self#structfield.origin).
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// The subprotocols to offer: see the field [`subprotocols`](Self#structfield.subprotocols).
    pub fn subprotocols<S: Into<String>>(mut self, subprotocols: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = subprotocols.into_iter().map(Into::into).collect();
        self
    }

    /// How permessage-deflate is offered: see the field [`deflate`](Self#structfield.deflate).
    pub fn deflate(mut self, options: impl Into<Option<deflate::Options>>) -> Self {
        self.deflate = options.into();
        self
    }

    /// How much the head of the answer may cost: see the field [`limits`](Self#structfield.limits).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// A client's opening handshake, from the request to the check of the answer.
///
/// Write [`request_bytes`](Self::request_bytes), and pass what is read to [`handle`](Self::handle) until it returns an
/// [`Opened`] or an error. If the transport ends, call [`handle_eof`](Self::handle_eof); if the time is up, call
/// [`handle_timeout`](Self::handle_timeout). Each of these ends the handshake.
#[derive(Debug)]
pub struct ClientHandshake {
    request: Request<()>,
    /// The only `Sec-WebSocket-Accept` that answers our key.
    accept: String,
    subprotocols: Vec<String>,
    deflate: Option<deflate::Options>,
    state: State,
}

/// The kind of the bytes that the server sends next.
///
/// ```text
///        1xx
///       ┌───┐
///       ▼   │
///  ─► AwaitingHead ── 101 ──► judged: Opened, or an error
///           │
///           └── any other ──► ReadingBody ── whole, 64 KiB, EOF or timeout ──► ClientError::Refused
/// ```
#[derive(Debug)]
enum State {
    AwaitingHead { reader: HeadReader, interim: u32 },
    ReadingBody { response: Response<()>, body: RefusedBody },
}

/// A handshake that both sides have agreed to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The terms for making the connection.
    pub negotiated: Negotiated,
    /// The server's 101.
    pub response: Response<()>,
    /// The number of bytes of the last input that belong to the handshake. The rest is for the connection.
    pub consumed: usize,
}

impl ClientHandshake {
    /// Begins a handshake with the server of a URL. The nonce must be 16 unpredictable bytes, new for each handshake
    /// (section 4.1).
    pub fn new(target: &Target, options: &ClientOptions, nonce: [u8; 16]) -> Result<Self, ClientError> {
        check_reserved(&options.headers)?;
        check_subprotocols(&options.subprotocols)?;
        let key = key::key(nonce);
        let mut request = Request::new(());
        *request.uri_mut() = target.request_target();
        *request.headers_mut() = headers(target, options, &key)?;
        Ok(Self {
            request,
            accept: key::accept_of(key.as_bytes()),
            subprotocols: options.subprotocols.clone(),
            deflate: options.deflate.clone(),
            state: State::AwaitingHead { reader: HeadReader::new(options.limits), interim: 0 },
        })
    }

    /// The request, for inspection.
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// The request as bytes, to be written.
    pub fn request_bytes(&self) -> Vec<u8> {
        encode_request(&self.request)
    }

    /// Takes bytes of the server's answer. Returns `None` if all were taken and more are needed.
    ///
    /// An answer other than a 101 becomes [`ClientError::Refused`] as soon as its body is whole.
    pub fn handle(&mut self, bytes: &[u8]) -> Result<Option<Opened>, ClientError> {
        let mut consumed = 0;
        loop {
            match &mut self.state {
                State::AwaitingHead { reader, interim } => {
                    let Some((response, head)) = reader.handle_response(&bytes[consumed..])? else { return Ok(None) };
                    consumed += head;
                    match response.status() {
                        StatusCode::SWITCHING_PROTOCOLS => {
                            let negotiated = self.judge(&response)?;
                            return Ok(Some(Opened { negotiated, response, consumed }));
                        }
                        // RFC 9110 section 15.2: "A client MUST be able to parse one or more 1xx responses received
                        // prior to a final response, even if the client does not expect one."
                        status if status.is_informational() => {
                            *interim += 1;
                            if *interim > MOST_INTERIM {
                                return Err(ClientError::TooManyInterim);
                            }
                        }
                        status => {
                            let body = RefusedBody::new(status, response.headers());
                            self.state = State::ReadingBody { response, body };
                        }
                    }
                }
                State::ReadingBody { response, body } => {
                    return if body.handle(&bytes[consumed..]) { Err(refused(response, body)) } else { Ok(None) };
                }
            }
        }
    }

    /// Ends the handshake because the transport has ended. Returns the reason.
    pub fn handle_eof(&mut self) -> ClientError {
        match &mut self.state {
            State::AwaitingHead { reader, .. } => ClientError::Closed { has_begun: !reader.is_empty() },
            State::ReadingBody { response, body } => refused(response, body),
        }
    }

    /// Ends the handshake because its time is up. Returns the reason.
    pub fn handle_timeout(&mut self) -> ClientError {
        match &mut self.state {
            State::AwaitingHead { .. } => ClientError::Timeout,
            State::ReadingBody { response, body } => refused(response, body),
        }
    }

    /// Makes the six checks that section 4.1 asks for between a 101 and an open connection, apart from the first, the
    /// status.
    fn judge(&self, response: &Response<()>) -> Result<Negotiated, ClientError> {
        let headers = response.headers();
        if response.version() != Version::HTTP_11 {
            return Err(ClientError::HttpVersion(response.version()));
        }
        // "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not
        // an ASCII case-insensitive match for the value 'websocket', the client MUST
        // _Fail the WebSocket Connection_."
        match fields::single(headers, &UPGRADE) {
            Field::Once(upgrade) if upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") => {}
            _ => return Err(ClientError::Upgrade),
        }
        if !fields::lists(headers, &CONNECTION, "upgrade") {
            return Err(ClientError::Connection);
        }
        match fields::single(headers, &SEC_WEBSOCKET_ACCEPT) {
            // "ignoring any leading and trailing whitespace", which the parser has removed already.
            Field::Once(accept) if *accept == self.accept => {}
            Field::Once(_) => return Err(ClientError::AcceptWrong),
            Field::Missing | Field::Repeated => return Err(ClientError::AcceptMissing),
        }
        Ok(Negotiated { subprotocol: self.subprotocol(headers)?, deflate: self.deflate(headers)? })
    }

    /// "If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use of a
    /// subprotocol that was not present in the client's handshake ... the client MUST _Fail the WebSocket Connection_."
    /// The server may leave it out. Then no subprotocol is agreed on.
    fn subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, ClientError> {
        match fields::single(headers, &SEC_WEBSOCKET_PROTOCOL) {
            Field::Missing => Ok(None),
            Field::Once(chosen) if self.subprotocols.iter().any(|offered| chosen == offered.as_str()) => {
                Ok(Some(fields::text(chosen)))
            }
            Field::Once(_) | Field::Repeated => {
                Err(ClientError::Subprotocol(fields::texts(headers, &SEC_WEBSOCKET_PROTOCOL).join(", ")))
            }
        }
    }

    fn deflate(&self, headers: &HeaderMap) -> Result<Option<deflate::Params>, ClientError> {
        let answer = fields::texts(headers, &SEC_WEBSOCKET_EXTENSIONS);
        let options = self.deflate.clone().unwrap_or_default();
        deflate::check_answer(answer.iter().map(String::as_str), &options, self.deflate.is_some())
            .map_err(ClientError::Extensions)
    }
}

fn refused(response: &mut Response<()>, body: &mut RefusedBody) -> ClientError {
    let body = body.take();
    ClientError::Refused(Box::new(mem::take(response).map(|()| body)))
}

/// Checks that headers with a meaning for the handshake come once: request smuggling is built on two `Upgrade` headers
/// or two keys.
fn check_reserved(headers: &HeaderMap) -> Result<(), ClientError> {
    let is_reserved = |name: &&HeaderName| {
        [UPGRADE, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
            || name.as_str().starts_with("sec-websocket-")
    };
    if let Some(name) = headers.keys().find(is_reserved) {
        return Err(ClientError::ReservedHeader(name.clone()));
    }
    match fields::single(headers, &HOST) {
        Field::Repeated => Err(ClientError::ReservedHeader(HOST)),
        Field::Missing | Field::Once(_) => Ok(()),
    }
}

fn check_subprotocols(subprotocols: &[String]) -> Result<(), ClientError> {
    let mut offered = BTreeSet::new();
    for name in subprotocols {
        if fields::token(name.as_bytes()).is_none() {
            return Err(ClientError::InvalidSubprotocol(name.clone()));
        }
        if !offered.insert(name) {
            return Err(ClientError::RepeatedSubprotocol(name.clone()));
        }
    }
    Ok(())
}

/// Returns the headers that section 4.1 asks for, and the caller's.
fn headers(target: &Target, options: &ClientOptions, key: &str) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, own_value(&target.host_header()));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, own_value(key));
    if !options.subprotocols.is_empty() {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, own_value(&options.subprotocols.join(", ")));
    }
    if let Some(deflate) = &options.deflate {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, own_value(&deflate::offer(deflate)));
    }
    if let Some(authorization) = target.authorization() {
        headers.insert(AUTHORIZATION, own_value(&authorization));
    }
    for name in options.headers.keys() {
        headers.remove(name);
        for value in options.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    for (name, value) in &mut headers {
        value.set_sensitive(fields::is_secret(name));
    }
    if let Some(origin) = &options.origin {
        headers.insert(ORIGIN, HeaderValue::from_str(origin).map_err(|_| ClientError::InvalidOrigin)?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: [u8; 16] = *b"the sample nonce";

    fn handshake(url: &str, options: &ClientOptions) -> Result<ClientHandshake, ClientError> {
        ClientHandshake::new(&url.parse()?, options, NONCE)
    }

    fn with_header(name: HeaderName, value: &'static str) -> ClientOptions {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        ClientOptions { headers, ..ClientOptions::default() }
    }

    fn sent(handshake: &ClientHandshake, name: &HeaderName) -> Vec<String> {
        fields::texts(handshake.request().headers(), name)
    }

    #[test]
    fn the_request_has_what_section_4_1_asks_for() {
        let options = ClientOptions {
            origin: Some("https://app.example.com".into()),
            subprotocols: vec!["a".into(), "b".into()],
            ..with_header(http::header::COOKIE, "id=1")
        };
        let request = handshake("wss://server.example.com:8005/chat?room=1", &options).unwrap().request_bytes();
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "GET /chat?room=1 HTTP/1.1\r\n\
             Host: server.example.com:8005\r\n\
             Connection: Upgrade\r\n\
             Upgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: a, b\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
             Cookie: id=1\r\n\
             Origin: https://app.example.com\r\n\r\n"
        );
    }

    #[test]
    fn the_handshakes_own_headers_cannot_be_set() {
        for name in [
            UPGRADE,
            CONNECTION,
            CONTENT_LENGTH,
            TRANSFER_ENCODING,
            SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_PROTOCOL,
            SEC_WEBSOCKET_EXTENSIONS,
            HeaderName::from_static("sec-websocket-draft"),
        ] {
            let error = handshake("ws://h", &with_header(name.clone(), "0")).unwrap_err();
            assert!(matches!(&error, ClientError::ReservedHeader(reserved) if *reserved == name), "{error:?}");
            assert!(error.to_string().contains(name.as_str()), "{error}");
        }
    }

    #[test]
    fn the_host_can_be_set_once() {
        let mut options = with_header(HOST, "other.example.com");
        assert_eq!(sent(&handshake("ws://h", &options).unwrap(), &HOST), ["other.example.com"]);
        options.headers.append(HOST, HeaderValue::from_static("third.example.com"));
        assert!(
            matches!(handshake("ws://h", &options).unwrap_err(), ClientError::ReservedHeader(name) if name == HOST)
        );
    }

    #[test]
    fn an_authorization_header_goes_before_userinfo() {
        let plain = handshake("ws://user:word@h", &ClientOptions::default()).unwrap();
        assert_eq!(sent(&plain, &AUTHORIZATION), ["Basic dXNlcjp3b3Jk"]);
        let bearer = handshake("ws://user:word@h", &with_header(AUTHORIZATION, "Bearer token")).unwrap();
        assert_eq!(sent(&bearer, &AUTHORIZATION), ["Bearer token"]);
    }

    #[test]
    fn subprotocols_and_origin_are_checked_before_anything_is_sent() {
        let with = |subprotocols: &[&str]| ClientOptions {
            subprotocols: subprotocols.iter().map(|&name| name.to_owned()).collect(),
            ..ClientOptions::default()
        };
        for wrong in ["", "a b", "a,b", "ch\u{e4}t", "a\r\nb"] {
            let error = handshake("ws://h", &with(&["ok", wrong])).unwrap_err();
            assert!(matches!(&error, ClientError::InvalidSubprotocol(name) if name == wrong), "{error:?}");
        }
        let error = handshake("ws://h", &with(&["a", "b", "a"])).unwrap_err();
        assert!(matches!(error, ClientError::RepeatedSubprotocol(name) if name == "a"));
        let split = ClientOptions { origin: Some("https://a\r\nHost: b".into()), ..ClientOptions::default() };
        assert!(matches!(handshake("ws://h", &split), Err(ClientError::InvalidOrigin)));
    }

    #[test]
    fn a_deadline_gives_what_came_of_a_refusal() {
        let mut client = handshake("ws://h", &ClientOptions::default()).unwrap();
        assert!(client.handle(b"HTTP/1.1 503 Service").unwrap().is_none());
        assert!(matches!(client.handle_timeout(), ClientError::Timeout));
        assert!(client.handle(b" Unavailable\r\nContent-Length: 9\r\n\r\nfull").unwrap().is_none());
        let ClientError::Refused(answer) = client.handle_timeout() else { panic!("a refusal is known") };
        assert_eq!((answer.status().as_u16(), answer.body().as_slice()), (503, &b"full"[..]));
    }

    proptest! {
        #[test]
        fn any_answer_is_judged_without_a_panic(
            status in "HTTP/1.[01] (101|100|200|[0-9]{3})( [a-z]{0,5})?\r\n",
            headers in proptest::collection::vec(
                "(Upgrade|Connection|Sec-WebSocket-(Accept|Protocol|Extensions)|Content-Length|Transfer-Encoding): \
                 (websocket|upgrade|chunked|[0-9]{1,20}|permessage-deflate[;=a-z_0-9 \"]{0,40}|\
                 [ -~\u{80}-\u{ff}]{0,9})\r\n",
                0..6,
            ),
            rest in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let answer = [format!("{status}{}\r\n", headers.concat()).into_bytes(), rest].concat();
            let mut client = handshake("ws://h", &ClientOptions::default()).unwrap();
            if let Err(error) = client.handle(&answer) {
                prop_assert!(!error.to_string().is_empty());
            }
            prop_assert!(!client.handle_eof().to_string().is_empty());
        }
    }
}
