//! The answers to plain HTTP requests: the page, or a text that says what is wrong.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use ropeway::{Bytes, Refusal};

/// The page: one document that loads nothing else. Its parts are in `crates/cli/src/page`.
const PAGE: &str = concat!(
    include_str!("../page/head.html"),
    "<style>\n",
    include_str!("../page/style.css"),
    "</style>\n",
    include_str!("../page/body.html"),
    "<script>\n",
    include_str!("../page/base.js"),
    include_str!("../page/address.js"),
    include_str!("../page/connection.js"),
    include_str!("../page/waiting.js"),
    include_str!("../page/sending.js"),
    include_str!("../page/log.js"),
    include_str!("../page/view.js"),
    include_str!("../page/dashboard.js"),
    include_str!("../page/keyboard.js"),
    include_str!("../page/start.js"),
    "</script>\n",
);

/// The page may connect to WebSocket servers and to nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src ws: wss:; \
                      img-src data:; base-uri 'none'; form-action 'none'";

/// The paths of WebSockets. A plain request for one gets a text that says so.
const WEBSOCKET_PATHS: [&str; 4] = ["/echo", "/broadcast", "/chat", "/deflate"];

pub(super) fn answer(request: &Request<()>) -> Response<Bytes> {
    let path = request.uri().path();
    let refusal = match path {
        "/" if matches!(*request.method(), Method::GET | Method::HEAD) => return page(),
        "/" => Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "This is a page; ask for it with GET.\n")
            .header(ALLOW, HeaderValue::from_static("GET, HEAD")),
        _ if WEBSOCKET_PATHS.contains(&path) || path.starts_with("/topics/") => Refusal::upgrade_required(),
        _ => Refusal::new(
            StatusCode::NOT_FOUND,
            "There is nothing here. / has a page; /echo, /broadcast, /chat, /topics/NAME and /deflate are WebSockets.\n",
        ),
    };
    refusal.to_response().map(Bytes::from)
}

fn page() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
