//! Sending: messages, also those for many connections ([`prepared`]), become frames ([`encoder`]). Large ones that are
//! compressed become one a slice at a time ([`job`]). Messages wait while one is sent in fragments ([`fragments`]), frames
//! until they are written ([`queue`]).

pub(crate) mod encoder;
pub(crate) mod fragments;
pub(crate) mod job;
pub(crate) mod prepared;
pub(crate) mod queue;
