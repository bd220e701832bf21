//! Receiving: bytes become control frames and parts of data frames ([`decoder`]), and the parts become messages
//! ([`assembler`]).

pub(crate) mod assembler;
pub(crate) mod decoder;
mod storage;
