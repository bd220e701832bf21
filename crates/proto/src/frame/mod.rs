//! The frame (RFC 6455 section 5.2): its header as bytes and as a value, and masking. The meaning of a sequence of
//! frames is left to [`crate::recv`] and [`crate::send`].

pub(crate) mod header;
pub(crate) mod mask;

pub(crate) use header::{Header, MAX_HEADER, Opcode};
