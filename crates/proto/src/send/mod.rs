//! Sending: messages become frames ([`encoder`]), and frames wait to be written ([`queue`]).

pub(crate) mod encoder;
pub(crate) mod queue;
