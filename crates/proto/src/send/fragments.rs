//! Messages that wait while another one is sent in fragments (RFC 6455 section 5.4: fragments of different messages
//! "MUST NOT be interleaved").

use crate::message::Message;

/// Messages that wait for the end of the one that is sent in fragments.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    pub(crate) held: Vec<Message>,
    /// The sum of their payloads, and of a constant for each, so that the number of empty messages is bounded too.
    pub(crate) held_bytes: usize,
}

impl Fragments {
    pub(crate) fn hold(&mut self, message: Message) {
        self.held_bytes += message.len() + size_of::<Message>();
        self.held.push(message);
    }
}
