//! Messages that wait while one is sent in fragments (RFC 6455 section 5.4: fragments of different messages "MUST NOT be
//! interleaved").

use crate::message::Message;

/// Messages that wait for the end of one in fragments.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    pub(crate) held: Vec<Message>,
    /// The bytes of their payloads and their places, so that empty messages are bounded too.
    pub(crate) held_bytes: usize,
}

impl Fragments {
    pub(crate) fn hold(&mut self, message: Message) {
        self.held_bytes += message.len() + size_of::<Message>();
        self.held.push(message);
    }
}
