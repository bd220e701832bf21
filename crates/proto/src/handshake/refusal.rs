//! The answer of a server that does not upgrade: its status and text come from the fault, other headers from the application.

use std::fmt;

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::encode::announce_close;
use super::fault::Fault;
use super::fields::header;
use super::head::HeadError;

/// The answer to a request that does not become a WebSocket.
///
/// ```
/// # use ropeway_proto::handshake::Refusal;
/// let refusal = Refusal::new(401, "Log in first.").header("www-authenticate", "Bearer");
/// assert_eq!(refusal.to_response().status(), 401);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why the request is refused.
    pub fault: Fault,
    /// The headers that the application adds. A list, since most refusals have none.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal for the application's own reasons, with a body of plain text unless another
    /// [`Content-Type`](Self::header) is set.
    ///
    /// An interim status (1xx) would leave the client waiting for an answer, or make it believe that it is connected.
    /// 500 is sent instead, and also for a number that is no status. Headers are added that a status comes with, unless they
    /// are set: `Allow` for 405, `Upgrade` and `Sec-WebSocket-Version` for 426, `Retry-After` for 503. A 401 must say how to
    /// log in, which only the caller knows: set `WWW-Authenticate` (RFC 9110 section 15.5.2).
    pub fn new(status: impl TryInto<StatusCode>, body: impl Into<Bytes>) -> Self {
        let status = status.try_into().ok().filter(|status| !status.is_informational());
        Fault::Rejected { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body: body.into() }.into()
    }

    /// The same with a body of JSON, which the caller has written.
    ///
    /// ```
    /// use ropeway_proto::handshake::Refusal;
    ///
    /// let refusal = Refusal::json(403, r#"{"error":"banned"}"#);
    /// assert_eq!(refusal.to_response().headers()["content-type"], "application/json");
    /// ```
    pub fn json(status: impl TryInto<StatusCode>, body: impl Into<Bytes>) -> Self {
        Self::new(status, body).header(CONTENT_TYPE, "application/json")
    }

    /// No WebSocket is served at this path: 404.
    pub fn not_found(path: &str) -> Self {
        Fault::NotFound(path.to_owned()).into()
    }

    /// The head did not come in time: 408.
    pub fn timeout() -> Self {
        Fault::Timeout.into()
    }

    /// The request does not ask for a WebSocket, and the server has nothing else here: 426.
    pub fn upgrade_required() -> Self {
        Fault::UpgradeRequired.into()
    }

    /// The server is full or shutting down: 503, with a `Retry-After` of 5 seconds unless another is set. That is long
    /// enough for a restart, and short enough for a person who waits.
    pub fn unavailable() -> Self {
        Fault::Unavailable.into()
    }

    /// Adds a header to the answer. It replaces a header of that name that the answer would have, except `Connection`.
    ///
    /// If name or value are not valid, the answer is a 500 that says so: see [`Fault::HeaderInvalid`].
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match header(name, value) {
            Ok(header) => self.headers.push(header),
            // The headers describe the body that this replaces.
            Err(name) => self = Fault::HeaderInvalid(name).into(),
        }
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.fault.status()
    }

    /// The body of the answer: plain text that says what happened, which rule it breaks, and what to do, or what the application
    /// gave.
    pub fn body(&self) -> Bytes {
        match &self.fault {
            Fault::Rejected { body, .. } => body.clone(),
            fault => format!("{fault}\n").into(),
        }
    }

    /// The answer. The connection must be closed after it: a proxy in front may believe that the connection was
    /// upgraded, and would then pass a client's frames on as requests.
    pub fn to_response(&self) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            // The HTTP server that sends the body says how long it is (RFC 9112 section 6.3).
            if ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                headers.append(name, value.clone());
            }
        }
        for (name, value) in self.own_headers() {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        announce_close(&mut headers);
        let mut response = Response::new(self.body());
        *response.status_mut() = self.status();
        *response.headers_mut() = headers;
        response
    }

    fn own_headers(&self) -> Vec<(HeaderName, &'static str)> {
        // The text quotes what the client sent, so browsers must not show it as a page.
        let mut headers = vec![(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
        match self.status() {
            // RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
            StatusCode::METHOD_NOT_ALLOWED => headers.push((ALLOW, "GET")),
            // RFC 9110 section 15.5.22: "The server MUST send an Upgrade header field in a 426 response".
            StatusCode::UPGRADE_REQUIRED => {
                headers.extend([(UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")]);
            }
            StatusCode::SERVICE_UNAVAILABLE => headers.push((RETRY_AFTER, "5")),
            _ => {}
        }
        headers
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, headers: Vec::new() }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Fault::Head(error).into()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with {}: {}", self.status(), self.fault)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use http::header::CONNECTION;

    use super::*;

    fn header(refusal: &Refusal, name: HeaderName) -> Vec<String> {
        refusal.to_response().headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_drivers_own_refusals_have_their_statuses_and_headers() {
        assert_eq!(Refusal::timeout().status(), 408);
        assert_eq!(Refusal::not_found("/x").status(), 404);
        assert!(Refusal::not_found("/x").to_string().contains("\"/x\""));
        assert_eq!(Refusal::unavailable().status(), 503);
        assert_eq!(header(&Refusal::unavailable(), RETRY_AFTER), ["5"]);
        let required = Refusal::upgrade_required();
        assert_eq!(required.status(), 426);
        assert_eq!(header(&required, UPGRADE), ["websocket"]);
        assert_eq!(header(&required, CONNECTION), ["close, Upgrade"]);
    }

    #[test]
    fn values_that_are_secret_are_not_shown() {
        let refusal = Refusal::new(401, "").header("set-cookie", "session=s3cret").header("x-user", "anna");
        let shown = format!("{refusal:?} {:?}", refusal.to_response());
        assert!(!shown.contains("s3cret") && shown.contains("anna"), "{shown}");
    }

    #[test]
    fn the_length_of_the_body_is_left_to_the_server_that_sends_it() {
        let refusal = Refusal::new(401, "four").header("content-length", "5").header("transfer-encoding", "chunked");
        assert_eq!((header(&refusal, CONTENT_LENGTH), header(&refusal, TRANSFER_ENCODING)), (vec![], vec![]));
    }

    #[test]
    fn a_header_that_is_none_replaces_the_answer_with_all_its_headers() {
        let refusal = Refusal::json(401, "{}").header("x-user", "\n");
        assert_eq!(
            (refusal.status().as_u16(), header(&refusal, CONTENT_TYPE)),
            (500, vec!["text/plain; charset=utf-8".into()])
        );
    }

    #[test]
    fn added_headers_replace_the_answers_own_and_may_repeat() {
        let value = HeaderValue::from_static;
        let refusal = Refusal::unavailable()
            .header(RETRY_AFTER, value("60"))
            .header(http::header::SET_COOKIE, value("a=1"))
            .header(http::header::SET_COOKIE, value("b=2"))
            .header(CONNECTION, value("keep-alive"));
        assert_eq!(header(&refusal, RETRY_AFTER), ["60"]);
        assert_eq!(header(&refusal, http::header::SET_COOKIE), ["a=1", "b=2"]);
        assert_eq!(header(&refusal, CONNECTION), ["close"]);
    }

    #[test]
    fn the_application_can_refuse_with_anything_but_an_interim_status() {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "Log in.");
        assert_eq!((refusal.status().as_u16(), refusal.body()), (401, Bytes::from("Log in.")));
        for status in [100, 101, 7, 1000] {
            assert_eq!(Refusal::new(status, "").status(), 500, "{status}");
        }
        // RFC 9110 sections 15.5.6 and 15.5.22.
        assert_eq!(header(&Refusal::new(405, ""), ALLOW), ["GET"]);
        assert_eq!(header(&Refusal::new(426, ""), UPGRADE), ["websocket"]);
        assert_eq!(header(&Refusal::new(426, ""), CONNECTION), ["close, Upgrade"]);
        assert_eq!(header(&Refusal::json(403, "{}"), CONTENT_TYPE), ["application/json"]);
        assert_eq!(Refusal::new(403, vec![0xff, 0]).to_response().into_body(), Bytes::from_static(&[0xff, 0]));
    }

    #[test]
    fn a_header_that_is_none_makes_the_refusal_a_500_that_says_so() {
        let refusal = Refusal::new(403, "no").header("x-user", "a\r\nb: c");
        assert_eq!((refusal.status().as_u16(), refusal.to_response().headers().get("x-user")), (500, None));
        assert!(
            refusal.to_string().contains("x-user") && refusal.to_string().contains("RFC 9110 section 5.5"),
            "{refusal}"
        );
        let refusal = Refusal::new(403, "no").header("no name", "value");
        assert!(refusal.to_string().contains("RFC 9110 section 5.1"), "{refusal}");
    }
}
