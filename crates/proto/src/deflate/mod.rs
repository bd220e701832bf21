//! permessage-deflate (RFC 7692): negotiation, compressing, inflating.
//!
//! ```text
//! Options ──► offer ─────────► accept_offers ──► check_answer ──► Params      the handshake, once
//! Params ───► Compressor: one message ──► payload without its 00 00 ff ff     each message sent with RSV1
//!        └──► Inflater: pieces of a payload ──► message, up to a limit        each message received with RSV1
//! pool ─────► the codecs of both, which are large, lent for one message
//! ```
//! Section 6 says which frames carry RSV1. That is left to the framing: nothing here knows frames.
//!
//! # Codecs
//! A connection owns no codec. A message can point back only into the last bytes before it. With context takeover a
//! connection keeps those bytes, and any codec from the pool is given them before a message. To the peer it is one
//! stream. Each thread has a pool, so compressing takes no lock.
//!
//! # Window bits
//! A deflater runs with the negotiated window, or a smaller one. zlib has no window of 2^8 bytes and uses one of 2^9
//! instead. That still obeys an agreed 8: zlib never points back further than its window minus the 262 bytes that it
//! looks ahead, and 512 − 262 is less than 256. An inflater always runs with a window of 2^15, which can read the
//! output of any smaller one.

mod compress;
mod deflater;
mod error;
mod header;
mod inflate;
#[cfg(test)]
mod laws;
mod negotiate;
mod options;
mod params;
mod pool;
mod tail;
mod window;

pub(crate) use compress::{Compressing, SLICE, compress_alone};
pub use compress::{Compressor, codecs_in_use};
pub(crate) use deflater::Shape;
pub use error::{ExtensionError, InflateError};
pub use inflate::Inflater;
pub use negotiate::{accept_offers, check_answer, offer};
pub use options::Options;
pub use params::{Params, Side};
