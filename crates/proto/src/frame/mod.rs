//! The frame (RFC 6455 section 5.2): its header as bytes and as a value, and masking. What frames mean together is
//! [`crate::recv`]'s and [`crate::send`]'s.

pub(crate) mod header;
pub(crate) mod mask;

pub(crate) use header::{Header, MAX_HEADER, Opcode};
