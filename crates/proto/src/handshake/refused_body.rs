//! The body of an answer that refused a client, collected so that a person can read the reason. The head is left to
//! `head`.

use std::mem;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};

use super::fields;

/// The most bytes of a body that are kept. The body is for a person to read, and no useful error page is longer.
const LONGEST: usize = 64 * 1024;

/// The most bytes of a line in a chunked body: 16 digits, and longer chunk extensions than any server sends.
const LONGEST_LINE: usize = 256;

/// A body that is being received, framed as RFC 9112 section 6.3 says. It is only shown, so a body that breaks the
/// rules simply ends at that place.
#[derive(Debug)]
pub(super) struct RefusedBody {
    framing: Framing,
    bytes: Vec<u8>,
}

/// The part of the body that the next byte belongs to.
///
/// ```text
///  ─► Length ──── all came ────────────────────────────► Whole
///  ─► UntilEof ── 64 KiB came ─────────────────────────► Whole
///  ─► ChunkLine ── size 0, or no size ─────────────────► Whole
///      ▲     └──── size n ──► ChunkData ── n bytes ─┐
///      └─── CRLF ─── ChunkEnd ◄─────────────────────┘
/// ```
#[derive(Debug)]
enum Framing {
    Length { left: u64 },
    UntilEof,
    ChunkLine { line: Vec<u8> },
    ChunkData { left: u64 },
    ChunkEnd { left: u64 },
    Whole,
}

impl RefusedBody {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let framing = if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            Framing::Whole
        } else if fields::lists(headers, &TRANSFER_ENCODING, "chunked") {
            Framing::ChunkLine { line: Vec::new() }
        } else {
            match headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()) {
                Some(left) => Framing::Length { left },
                None => Framing::UntilEof,
            }
        };
        Self { framing, bytes: Vec::new() }
    }

    /// Takes more of the body. Returns `true` once nothing more is needed.
    pub(super) fn handle(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let next = match &mut self.framing {
                Framing::Whole => return true,
                Framing::Length { left: 0 } => Some(Framing::Whole),
                Framing::ChunkData { left: 0 } => Some(Framing::ChunkEnd { left: 2 }),
                Framing::ChunkEnd { left: 0 } => Some(Framing::ChunkLine { line: Vec::new() }),
                _ if self.bytes.len() == LONGEST => Some(Framing::Whole),
                _ if bytes.is_empty() => return false,
                Framing::Length { left } | Framing::ChunkData { left } => {
                    let data = split_off(&mut bytes, *left);
                    *left -= data.len() as u64;
                    keep(&mut self.bytes, data);
                    None
                }
                Framing::UntilEof => {
                    keep(&mut self.bytes, split_off(&mut bytes, u64::MAX));
                    None
                }
                Framing::ChunkEnd { left } => {
                    *left -= split_off(&mut bytes, *left).len() as u64;
                    None
                }
                Framing::ChunkLine { line } => {
                    line.extend(split_off(&mut bytes, 1));
                    if line.ends_with(b"\n") || line.len() == LONGEST_LINE { Some(after_line(line)) } else { None }
                }
            };
            if let Some(next) = next {
                self.framing = next;
            }
        }
    }

    /// Takes out the bytes that have come so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }
}

fn after_line(line: &[u8]) -> Framing {
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((_, left))) if left > 0 => Framing::ChunkData { left },
        _ => Framing::Whole,
    }
}

/// Takes at most this many bytes off the front.
fn split_off<'a>(bytes: &mut &'a [u8], most: u64) -> &'a [u8] {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

/// Appends as much as there is room for.
fn keep(kept: &mut Vec<u8>, data: &[u8]) {
    let room = LONGEST - kept.len();
    kept.extend_from_slice(&data[..data.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn body(header: Option<(HeaderName, &'static str)>) -> RefusedBody {
        let headers = header.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        RefusedBody::new(StatusCode::NOT_FOUND, &headers)
    }

    #[test]
    fn every_framing_ends_where_it_says_however_it_is_cut() {
        let chunked = Some((TRANSFER_ENCODING, "gzip, chunked"));
        for (header, sent, is_whole, kept) in [
            (Some((CONTENT_LENGTH, "5")), &b"hello, and more"[..], true, &b"hello"[..]),
            (Some((CONTENT_LENGTH, "0")), b"", true, b""),
            (Some((CONTENT_LENGTH, "9")), b"hello", false, b"hello"),
            (None, b"until the end", false, b"until the end"),
            (Some((CONTENT_LENGTH, "five")), b"hello", false, b"hello"),
            (chunked.clone(), b"5\r\nhello\r\n2;ext=\"x\"\r\n, \r\n0\r\n\r\n", true, b"hello, "),
            (chunked.clone(), b"A\r\nhello", false, b"hello"),
            (chunked.clone(), b"5\r\nhellono size\r\n", true, b"hello"),
            (chunked, b"ffffffffffffffff\r\nhello", false, b"hello"),
        ] {
            for piece in 1..=sent.len().max(1) {
                let mut body = body(header.clone());
                let mut ended = body.handle(b"");
                for bytes in sent.chunks(piece) {
                    ended = body.handle(bytes);
                }
                assert_eq!((ended, body.take().as_slice()), (is_whole, kept), "{header:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn no_more_than_64_kib_is_kept_and_waited_for() {
        for header in [None, Some((CONTENT_LENGTH, "1000000")), Some((TRANSFER_ENCODING, "chunked"))] {
            let mut body = body(header);
            let sent = [b"FFFFF\r\n".to_vec(), vec![b'a'; 70_000]].concat();
            assert!(body.handle(&sent));
            assert_eq!(body.take().len(), LONGEST);
        }
    }

    #[test]
    fn an_endless_chunk_line_is_not_waited_for() {
        let mut body = body(Some((TRANSFER_ENCODING, "chunked")));
        assert!(body.handle(&[&b"5;"[..], &[b'x'; LONGEST_LINE]].concat()));
    }
}
