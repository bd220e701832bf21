//! Sending: messages, also those for many connections ([`prepared`]), become frames ([`encoder`]), large ones that
//! are compressed a slice at a time ([`job`]), and frames wait to be written ([`queue`]).

pub(crate) mod encoder;
pub(crate) mod job;
pub(crate) mod prepared;
pub(crate) mod queue;
