//! permessage-deflate (RFC 7692): negotiation, compressing, inflating.
//!
//! ```text
//! Options ──► offer ─────────► accept_offers ──► check_answer ──► Params      the handshake, once
//! Params ───► Compressor: one message ──► payload without its 00 00 ff ff     each message sent with RSV1
//!        └──► Inflater: pieces of a payload ──► message, up to a limit        each message received with RSV1
//! pool ─────► the codecs of both, which are large, lent for one message
//! ```
//! Which frames carry RSV1 is the framing's to say (section 6); nothing here knows frames.
//!
//! # Codecs
//! A connection owns none. What the next message may point back into is the last bytes before it, and no more: with context
//! takeover a connection keeps those, and whatever codec comes from the pool is told them first. To the peer it is one stream.
//! Each thread has a pool, so compressing takes no lock.
//!
//! # Window bits
//! A deflater runs with the negotiated window, or a smaller one. zlib has none of 2^8 bytes and uses 2^9 instead, which still
//! obeys an agreed 8: it never points back further than its window less 262 bytes (the most it looks ahead), and 512 − 262 is
//! below 256. An inflater always runs with 2^15, which reads what was made with any smaller window.

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
