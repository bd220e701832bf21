//! The rows of `testdata/` as lines of JSON, for a binding that tests receiving with them. Rows of which the input is more than
//! bytes of the peer are left out, and rows with settings that only a driver has.
//!
//! ```sh
//! cargo run -p testkit --example rows
//! ```

use std::error::Error;
use std::fmt::Write as _;

use testkit::{Case, Config, Deflate, Event, Role, Step, load};

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata");

fn main() -> Result<(), Box<dyn Error>> {
    for case in load(TESTDATA)? {
        if let Some(line) = line(&case) {
            println!("{line}");
        }
    }
    Ok(())
}

fn line(case: &Case) -> Option<String> {
    let config = &case.config;
    // Settings of receiving are passed on, all others leave the row out.
    let of_receiving = Config {
        max_payload: config.max_payload,
        max_fragments: config.max_fragments,
        check_utf8: config.check_utf8,
        auto_pong: config.auto_pong,
        auto_close: config.auto_close,
        auto_fail: config.auto_fail,
        reserve_ahead: config.reserve_ahead,
        deflate: config.deflate.clone(),
        ..Config::default()
    };
    if *config != of_receiving {
        return None;
    }
    let input: Option<Vec<String>> = case
        .input
        .iter()
        .take_while(|step| !matches!(step, Step::Eof))
        .map(|step| match step {
            Step::Receive(bytes) => Some(format!("\"{}\"", hex(bytes))),
            _ => None,
        })
        .collect();
    let events: Option<Vec<String>> = case.events.iter().map(event).collect();
    let is_server = case.role == Role::Server;
    let defaults = if is_server { ropeway_proto::Config::server() } else { ropeway_proto::Config::client() };
    Some(format!(
        "{{\"name\":\"{}\",\"isServer\":{is_server},\"maxPayload\":{},\"maxFragments\":{},\"skipUTF8Validation\":{},\"deflate\":{},\
         \"input\":[{}],\"events\":[{}]}}",
        case.name,
        config.max_payload.unwrap_or(defaults.max_payload),
        config.max_fragments.unwrap_or(defaults.max_fragments),
        config.check_utf8 == Some(false),
        config.deflate.as_ref().map_or("null".into(), deflate),
        input?.join(","),
        events?.join(","),
    ))
}

fn event(event: &Event) -> Option<String> {
    let data = |kind: &str, bytes: &[u8]| Some(format!("[\"{kind}\",\"{}\"]", hex(bytes)));
    let close = |code: u16, reason: &[u8]| Some(format!("[\"close\",{code},\"{}\"]", hex(reason)));
    match event {
        Event::Text(text) => data("text", text.as_bytes()),
        Event::UncheckedText(bytes) => data("text", bytes),
        Event::Binary(bytes) => data("binary", bytes),
        Event::Ping(bytes) => data("ping", bytes),
        Event::Pong(bytes) => data("pong", bytes),
        Event::Close(None) => close(1005, &[]),
        Event::Close(Some((code, reason))) => close(*code, reason.as_bytes()),
        Event::UncheckedClose(code, reason) => close(*code, reason),
        Event::Violation(name) => Some(format!("[\"violation\",\"{name}\"]")),
        Event::Refused(_) => None,
    }
}

fn deflate(deflate: &Deflate) -> String {
    format!(
        "{{\"serverNoContextTakeover\":{},\"clientNoContextTakeover\":{},\"serverMaxWindowBits\":{},\"clientMaxWindowBits\":{},\
         \"threshold\":0,\"level\":6,\"memLevel\":8}}",
        deflate.server_no_context_takeover,
        deflate.client_no_context_takeover,
        deflate.server_max_window_bits.unwrap_or(15),
        deflate.client_max_window_bits.unwrap_or(15),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
