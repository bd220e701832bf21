//! What a [`Handle`](crate::Handle) asks of a connection, on its way there.

use std::cell::Cell;

use bytes::Bytes;
use ropeway_proto::{CloseFrame, Message, Prepared};

/// The room for commands that is kept for the next ones to use. More than this was needed for a burst.
pub(super) const MAX_SPARE_COMMANDS: usize = 16;

thread_local! {
    static COMMANDS: Cell<Vec<Asked>> = const { Cell::new(Vec::new()) };
}

/// What a handle asks of the connection.
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

/// Lends the thread's list for commands, which is empty and has to be again.
pub(crate) fn with_commands(use_it: impl FnOnce(&mut Vec<Asked>)) {
    let mut commands = COMMANDS.take();
    use_it(&mut commands);
    if commands.capacity() <= MAX_SPARE_COMMANDS {
        COMMANDS.set(commands);
    }
}
