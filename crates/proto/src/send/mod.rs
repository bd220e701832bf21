//! Sending: messages, also those for many connections ([`prepared`]), become frames ([`encoder`]), and frames wait to be
//! written ([`queue`]).

pub(crate) mod encoder;
pub(crate) mod prepared;
pub(crate) mod queue;
