//! What a [`Sender`](crate::Sender) asks of a connection, on its way there.

use bytes::Bytes;
use ropeway_proto::{CloseFrame, Message, Prepared};

/// What a sender asks of the connection.
#[derive(Debug)]
pub(crate) enum Command {
    Message(Message),
    /// A message that others are sent too.
    Prepared(Prepared),
    /// A part of a message, and whether it is the last.
    Fragment(Message, bool),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<CloseFrame>),
    /// Answer the peer's close frame, or the end of its half of the transport.
    AnswerClose,
    Terminate,
    /// Hear nothing of the topic of this number but what was published before.
    #[cfg(unix)]
    Unsubscribe(u64),
}

/// A command, and what comes before it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The number of the last publication that was left with the connection's event loop when this was asked: a subscriber is
    /// sent that first. It is 0 where no loop drives the connection, and never falls from one command to the next.
    pub(crate) after: u64,
    pub(crate) command: Command,
}

impl Command {
    /// The payload bytes that it was counted with.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Message(message) | Self::Fragment(message, _) => message.len(),
            Self::Prepared(message) => message.message().len(),
            _ => 0,
        }
    }
}
