//! The commands of a [`Handle`](crate::Handle), on their way to the connection.

use std::cell::Cell;

use bytes::Bytes;
use ropeway_proto::{CloseFrame, Message, Prepared};

/// The room for commands that is kept for later ones. More was needed only for a burst.
pub(super) const MAX_SPARE_COMMANDS: usize = 16;

thread_local! {
    static COMMANDS: Cell<Vec<Asked>> = const { Cell::new(Vec::new()) };
}

/// A command for the connection.
#[derive(Debug)]
pub(crate) enum Command {
    Message(Message),
    /// A message that other connections are sent too.
    Prepared(Prepared),
    /// A part of a message, and whether it is the last.
    Fragment(Message, bool),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<CloseFrame>),
    /// Answer the peer's close frame, or the end of its half of the transport.
    AnswerClose,
    Terminate,
    /// Receive no more messages of the topic of this address, except those published before.
    #[cfg(unix)]
    Unsubscribe(usize),
}

/// A command, and the publications that come before it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The number of the last publication in the mailbox of the connection's event loop when this command was given. A
    /// subscriber is sent those publications first. It is 0 if no loop drives the connection, and never falls from one
    /// command to the next.
    pub(crate) after: u64,
    pub(crate) command: Command,
}

impl Command {
    /// The payload bytes that the command counts for.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Message(message) | Self::Fragment(message, _) => message.len(),
            Self::Prepared(message) => message.message().len(),
            _ => 0,
        }
    }
}

/// Lends the thread's list for commands. It is empty, and has to be empty again at the end.
pub(crate) fn with_commands(use_it: impl FnOnce(&mut Vec<Asked>)) {
    let mut commands = COMMANDS.take();
    use_it(&mut commands);
    if commands.capacity() <= MAX_SPARE_COMMANDS {
        COMMANDS.set(commands);
    }
}
