//! Runs the rows of `testdata/handshake-*.toml` against both roles: whole, cut in two at every byte, and byte by byte.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use http::{HeaderName, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::deflate;

/// The bytes behind the head in the same packet, which must not be touched.
const AFTER: &[u8] = b"\x81\x00\r\n\r\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<C> {
    handshake: Head,
    case: Vec<C>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    line: String,
    headers: Vec<String>,
}

/// The differences between a row's head and a valid one.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    line: Option<String>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    with: Vec<String>,
    raw: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerCase {
    name: String,
    rfc: String,
    #[serde(default)]
    request: Changes,
    #[serde(default)]
    server: ServerSetting,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    lacks: Vec<String>,
    says: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSetting {
    #[serde(default)]
    subprotocols: Vec<String>,
    #[serde(default)]
    any_subprotocol: bool,
    #[serde(default)]
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
#[serde(deny_unknown_fields)]
struct ClientCase {
    name: String,
    rfc: String,
    #[serde(default)]
    answer: Changes,
    #[serde(default)]
    client: ClientSetting,
    opens: Option<Opens>,
    error: Option<String>,
    says: Option<String>,
    body: Option<String>,
    #[serde(default)]
    eof: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientSetting {
    #[serde(default)]
    subprotocols: Vec<String>,
    #[serde(default)]
    deflate: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opens {
    subprotocol: Option<String>,
    #[serde(default)]
    deflate: bool,
}

impl Changes {
    fn apply(&self, head: &Head) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone().into_bytes();
        }
        let is_kept = |header: &&String| {
            let name = header.split(':').next();
            !self.without.iter().any(|without| name.is_some_and(|name| name == without))
        };
        let mut lines = vec![self.line.as_ref().unwrap_or(&head.line).as_str()];
        lines.extend(head.headers.iter().filter(is_kept).map(String::as_str));
        lines.extend(self.with.iter().map(String::as_str));
        lines.extend(["", ""]);
        lines.join("\r\n").into_bytes()
    }
}

impl ServerSetting {
    fn options(&self) -> ServerOptions {
        ServerOptions {
            subprotocols: self.subprotocols.clone(),
            any_subprotocol: self.any_subprotocol,
            deflate: self.deflate.then(deflate::Options::default),
            origins: match &self.origins {
                None => OriginPolicy::SameOrigin,
                Some(Origins::List(origins)) => OriginPolicy::List(origins.clone()),
                Some(Origins::Within { within }) => {
                    let within = within.clone();
                    OriginPolicy::check_with(move |origin| origin.is_within(&within))
                }
                Some(Origins::Any(any)) => {
                    assert_eq!(any, "any");
                    OriginPolicy::Any
                }
            },
            proxies: Proxies::default(),
        }
    }
}

impl ClientSetting {
    fn options(&self) -> ClientOptions {
        ClientOptions {
            subprotocols: self.subprotocols.clone(),
            deflate: self.deflate.then(deflate::Options::default),
            ..ClientOptions::default()
        }
    }
}

fn rows<C: DeserializeOwned>(file: &str) -> File<C> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The ways to cut bytes: not at all, in two at every place, and into single bytes.
fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut cuts: Vec<Vec<&[u8]>> = (1..bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]).collect();
    cuts.push(vec![bytes]);
    cuts.push(bytes.chunks(1).collect());
    cuts
}

/// Answers a request that comes in pieces, and returns the bytes that are left over.
fn serve(pieces: &[&[u8]], setting: &ServerSetting) -> (Response<String>, Vec<u8>) {
    let mut reader = HeadReader::new(Limits::server());
    for (index, piece) in pieces.iter().enumerate() {
        let (request, consumed) = match reader.handle_request(piece) {
            Ok(None) => continue,
            Ok(Some(whole)) => whole,
            Err(error) => return (text(&Refusal::from(error)), Vec::new()),
        };
        assert!(is_upgrade(&request), "every row asks for a WebSocket");
        let left = [&piece[consumed..], &pieces[index + 1..].concat()].concat();
        let accepted = accept(&request, &setting.options()).and_then(|mut accepted| {
            if let Some(chosen) = &setting.chooses {
                accepted.choose_subprotocol(&request, Some(chosen.as_str()).filter(|chosen| !chosen.is_empty()))?;
            }
            Ok(accepted)
        });
        return match accepted {
            Ok(accepted) => (accepted.response.map(|()| String::new()), left),
            Err(refusal) => (text(&refusal), left),
        };
    }
    panic!("the head has not ended");
}

fn text(refusal: &Refusal) -> Response<String> {
    refusal.to_response().map(|body| String::from_utf8(body.into()).expect("our texts are UTF-8"))
}

#[test]
fn servers_answer_as_the_rows_say_however_the_request_is_cut() {
    let File { handshake, case: cases } = rows::<ServerCase>("handshake-server.toml");
    let mut names = HashSet::new();
    for case in &cases {
        let name = &case.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(!case.rfc.is_empty(), "{name} names its rule");
        let mut request = case.request.apply(&handshake);
        if case.request.raw.is_none() {
            request.extend_from_slice(AFTER);
        }
        for pieces in cuts(&request) {
            let (response, left) = serve(&pieces, &case.server);
            assert_eq!(response.status().as_u16(), case.status, "{name}: {response:?}");
            for (header, expected) in &case.headers {
                let header = HeaderName::from_bytes(header.as_bytes()).unwrap();
                assert_eq!(response.headers().get(&header).expect(name), expected, "{name}: {header}");
            }
            for header in &case.lacks {
                assert!(!response.headers().contains_key(header.as_str()), "{name}: {header} is there");
            }
            match &case.says {
                None => {
                    assert_eq!(case.status, 101, "{name} does not say what the answer says");
                    assert_eq!(left, AFTER, "{name}");
                }
                Some(says) => {
                    let body = response.body();
                    assert!(body.contains(says.as_str()), "{name}: {says:?} is not in {body:?}");
                    assert!(body.contains("RFC "), "{name}: no rule in {body:?}");
                }
            }
        }
    }
}

/// Checks an answer that comes in pieces.
fn judge(pieces: &[&[u8]], case: &ClientCase) -> Result<(Opened, Vec<u8>), ClientError> {
    let target = "ws://server.example.com/chat".parse()?;
    let mut client = ClientHandshake::new(&target, &case.client.options(), *b"the sample nonce")?;
    for (index, piece) in pieces.iter().enumerate() {
        if let Some(opened) = client.handle(piece)? {
            let left = [&piece[opened.consumed..], &pieces[index + 1..].concat()].concat();
            return Ok((opened, left));
        }
    }
    assert!(case.eof, "{}: the answer has not ended", case.name);
    Err(client.handle_eof())
}

#[test]
fn clients_judge_as_the_rows_say_however_the_answer_is_cut() {
    let File { handshake, case: cases } = rows::<ClientCase>("handshake-client.toml");
    let mut names = HashSet::new();
    for case in &cases {
        let name = &case.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(!case.rfc.is_empty(), "{name} names its rule");
        let mut answer = case.answer.apply(&handshake);
        if case.opens.is_some() {
            answer.extend_from_slice(AFTER);
        }
        for pieces in cuts(&answer) {
            match (judge(&pieces, case), &case.opens) {
                (Ok((opened, left)), Some(opens)) => {
                    assert_eq!(opened.negotiated.subprotocol, opens.subprotocol, "{name}");
                    assert_eq!(opened.negotiated.deflate.is_some(), opens.deflate, "{name}");
                    assert_eq!(left, AFTER, "{name}");
                }
                (Err(error), None) => {
                    let expected = case.error.as_deref().expect(name);
                    assert!(format!("{error:?}").starts_with(expected), "{name}: {error:?}");
                    let (text, says) = (error.to_string(), case.says.as_ref().expect(name));
                    assert!(text.contains(says.as_str()), "{name}: {says:?} is not in {text:?}");
                    assert!(text.contains("RFC "), "{name}: no rule in {text:?}");
                    let body = if let ClientError::Refused(answer) = error { Some(answer.into_body()) } else { None };
                    assert_eq!(body, case.body.clone().map(String::into_bytes), "{name}");
                }
                (outcome, _) => panic!("{name}: {outcome:?}"),
            }
        }
    }
}
