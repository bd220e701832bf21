//! Messages that wait while another one is sent in fragments (RFC 6455 section 5.4: fragments of different messages
//! "MUST NOT be interleaved").

use crate::message::Message;

/// Messages that wait for the end of the one that is sent in fragments.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    pub(crate) held: Vec<Held>,
    /// The sum of their payloads, and of a constant for each, so that the number of empty messages is bounded too.
    pub(crate) held_bytes: usize,
}

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) message: Message,
    /// Whether it is compressed where that was negotiated.
    pub(crate) may_compress: bool,
}

impl Fragments {
    pub(crate) fn hold(&mut self, message: Message, may_compress: bool) {
        self.held_bytes += message.len() + size_of::<Held>();
        self.held.push(Held { message, may_compress });
    }
}
