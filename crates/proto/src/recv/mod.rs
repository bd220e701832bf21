//! Receiving: bytes become parts of frames ([`decoder`]), those become messages and control frames ([`assembler`]).

pub(crate) mod assembler;
pub(crate) mod decoder;
mod storage;
