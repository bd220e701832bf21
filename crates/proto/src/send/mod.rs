//! Sending. Messages become frames ([`encoder`]); those for many connections are compressed and framed once
//! ([`prepared`]). Large messages are compressed a slice at a time ([`job`]). Messages wait while another is sent in
//! fragments ([`fragments`]), frames wait until they are written ([`queue`]).

pub(crate) mod encoder;
pub(crate) mod fragments;
pub(crate) mod job;
pub(crate) mod prepared;
pub(crate) mod queue;
