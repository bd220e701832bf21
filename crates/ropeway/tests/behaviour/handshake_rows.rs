//! Every row of `testdata/handshake-*.toml`. The server's are run over a real port, whole, and over a wire byte by
//! byte; the client's are run over a wire.

use std::collections::BTreeMap;
use std::path::Path;

use http::Response;
use ropeway::{Accept, Client, ClientError, Error, Server, ServerBuilder, Transport};
use ropeway_proto::deflate;
use ropeway_proto::handshake::{HeadReader, Limits, ServerOptions, accept};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::script::{Log, knock};
use super::wire::{settle, wire};

/// The answer to the key of the rows. It is replaced by the right one.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Deserialize)]
struct File<C> {
    handshake: Head,
    case: Vec<C>,
}

#[derive(Deserialize)]
struct Head {
    line: String,
    headers: Vec<String>,
}

/// The differences between a row's head and a valid one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Changes {
    line: Option<String>,
    without: Vec<String>,
    with: Vec<String>,
    raw: Option<String>,
}

#[derive(Deserialize)]
struct ServerCase {
    name: String,
    #[serde(default)]
    request: Changes,
    #[serde(default)]
    server: Settings,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    lacks: Vec<String>,
    says: Option<String>,
}

#[derive(Deserialize)]
struct ClientCase {
    name: String,
    #[serde(default)]
    answer: Changes,
    #[serde(default)]
    client: Settings,
    opens: Option<Opens>,
    error: Option<String>,
    says: Option<String>,
    body: Option<String>,
    #[serde(default)]
    eof: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    subprotocols: Vec<String>,
    any_subprotocol: bool,
    deflate: bool,
    origins: Option<Origins>,
    chooses: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Origins {
    List(Vec<String>),
    Any(String),
    Within { within: String },
}

#[derive(Deserialize)]
struct Opens {
    subprotocol: Option<String>,
}

impl Changes {
    fn apply(&self, head: &Head) -> String {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let is_kept = |header: &&String| !self.without.iter().any(|name| header.split(':').next() == Some(name));
        let mut lines = vec![self.line.as_ref().unwrap_or(&head.line).as_str()];
        lines.extend(head.headers.iter().filter(is_kept).map(String::as_str));
        lines.extend(self.with.iter().map(String::as_str));
        lines.extend(["", ""]);
        lines.join("\r\n")
    }
}

impl Settings {
    fn builder(&self) -> ServerBuilder {
        let builder = Server::builder()
            .subprotocols(self.subprotocols.clone())
            .any_subprotocol(self.any_subprotocol)
            .per_message_deflate(self.deflate.then(deflate::Options::default));
        match &self.origins {
            None => builder,
            Some(Origins::List(origins)) => builder.allow_origins(origins.clone()),
            Some(Origins::Within { within }) => {
                let within = within.clone();
                builder.allow_origin_if(move |origin| origin.is_within(&within))
            }
            Some(Origins::Any(any)) => {
                assert_eq!(any, "any");
                builder.allow_any_origin()
            }
        }
    }

    fn serve(&self, server: &Server) {
        let Some(name) = self.chooses.clone() else { return server.handle_with(Log::default()) };
        let accept = move || match name.as_str() {
            "" => Accept::new().without_subprotocol(),
            name => Accept::new().subprotocol(name),
        };
        server.authorize(move |_| std::future::ready(Ok(accept()))).handle_with(Log::default());
    }

    fn client(&self) -> Client {
        Client::new()
            .subprotocols(self.subprotocols.clone())
            .per_message_deflate(self.deflate.then(deflate::Options::default))
    }
}

fn rows<C: DeserializeOwned>(file: &str) -> File<C> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(file);
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl ServerCase {
    /// Checks all that a server has written on a connection.
    fn check(&self, written: &[u8]) {
        let name = &self.name;
        let (response, body) = read_response(written);
        assert_eq!(response.status().as_u16(), self.status, "{name}: {response:?}");
        for (header, expected) in &self.headers {
            assert_eq!(response.headers().get(header).expect(name), expected, "{name}: {header}");
        }
        for header in &self.lacks {
            assert!(!response.headers().contains_key(header), "{name}: {header} is there");
        }
        let Some(says) = &self.says else {
            assert_eq!(body, "", "{name}: nothing is said behind a 101");
            return;
        };
        let to_head = self.request.line.as_ref().is_some_and(|line| line.starts_with("HEAD "));
        if to_head {
            assert_eq!(body, "", "{name}: an answer to HEAD has no body");
        } else {
            assert!(body.contains(says.as_str()), "{name}: {says:?} is not in {body:?}");
        }
        assert_eq!(response.headers()["connection"].to_str().unwrap().split(',').next(), Some("close"), "{name}");
    }
}

/// A response and its body.
pub(crate) fn read_response(bytes: &[u8]) -> (Response<()>, String) {
    let text = String::from_utf8_lossy(bytes);
    let read = HeadReader::new(Limits::client()).handle_response(bytes);
    let (response, consumed) = read.ok().flatten().unwrap_or_else(|| panic!("no response: {text:?}"));
    (response, String::from_utf8(bytes[consumed..].to_vec()).unwrap())
}

#[tokio::test]
async fn a_real_port_answers_as_the_rows_say() {
    let File { handshake, case: cases } = rows::<ServerCase>("handshake-server.toml");
    assert!(cases.len() > 30);
    for case in &cases {
        let server = case.server.builder().bind("127.0.0.1:0").await.unwrap();
        case.server.serve(&server);
        let mut tcp = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move { server.run().await });
        tcp.write_all(case.request.apply(&handshake).as_bytes()).await.unwrap();
        let mut written = Vec::new();
        if case.status == 101 {
            while !written.ends_with(b"\r\n\r\n") {
                written.push(tcp.read_u8().await.unwrap());
            }
        } else {
            // The server ends the connection after its answer.
            tcp.read_to_end(&mut written).await.unwrap();
        }
        case.check(&written);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_byte_by_byte_is_answered_the_same() {
    let File { handshake, case: cases } = rows::<ServerCase>("handshake-server.toml");
    for case in &cases {
        let server = case.server.builder().build();
        case.server.serve(&server);
        let wire = knock(&server);
        wire.write_at_most(1);
        for byte in case.request.apply(&handshake).bytes() {
            wire.send_bytes([byte]);
            settle().await;
        }
        case.check(&wire.take_written());
        assert_eq!(wire.is_ended(), case.status != 101, "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_judges_as_the_rows_say() {
    let File { handshake, case: cases } = rows::<ClientCase>("handshake-client.toml");
    assert!(cases.len() > 30);
    for case in &cases {
        for in_pieces in [false, true] {
            check_client(case, &handshake, in_pieces).await;
        }
    }
}

async fn check_client(case: &ClientCase, handshake: &Head, in_pieces: bool) {
    let name = &case.name;
    let (wire, end) = wire();
    let client = case.client.client();
    let connecting =
        tokio::spawn(async move { client.connect("ws://server.example.com/chat").over(Transport::other(end)).await });
    settle().await;
    let (request, _) = HeadReader::new(Limits::server()).handle_request(&wire.take_written()).unwrap().unwrap();
    let mut answer = case.answer.apply(handshake);
    // If the client itself breaks no rule, its key has exactly one right answer.
    if let Ok(accepted) = accept(&request, &ServerOptions::default()) {
        answer = answer.replace(ACCEPT, accepted.response.headers()["sec-websocket-accept"].to_str().unwrap());
    }
    for piece in answer.as_bytes().chunks(if in_pieces { 1 } else { usize::MAX }) {
        wire.send_bytes(piece);
    }
    if case.eof {
        wire.end();
    }
    match (connecting.await.unwrap(), &case.opens) {
        (Ok(ws), Some(opens)) => {
            assert_eq!(ws.subprotocol(), opens.subprotocol.as_deref(), "{name}");
        }
        (Err(Error::Handshake(error)), None) => {
            assert!(format!("{error:?}").starts_with(case.error.as_deref().unwrap()), "{name}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(case.says.as_deref().unwrap()), "{name}: {text:?}");
            let body = if let ClientError::Refused(answer) = error { Some(answer.into_body()) } else { None };
            assert_eq!(body, case.body.clone().map(String::into_bytes), "{name}");
            assert!(wire.is_ended(), "{name}: a client lets go of a connection that it cannot use");
        }
        (outcome, _) => panic!("{name}: {outcome:?}"),
    }
}
