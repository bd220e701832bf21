//! The hub: what a JavaScript environment has of the addon. It holds the connections, and the memory that JavaScript sees.

use std::sync::Arc;
use std::time::Instant;

use ropeway_proto::{Bytes, Config, Event, Input, MessageRef, Payload, Role, Text};
use slab::Slab as Table;

use crate::keys;
use crate::napi::{Env, Error, Reference, Result};
use crate::rows::{EXTERNAL, Kind, Place, Row, Rows, Word};
use crate::settings::{self, Settings};
use crate::slab::Slab;
use crate::socket::Socket;
use crate::text;
#[cfg(target_os = "linux")]
use crate::turn::Sockets;

/// Payloads of at least this size get a buffer of their own, shorter ones are copied into the slab: a buffer costs about as
/// much as copying so many bytes.
const EXTERNAL_FROM: usize = 16 * 1024;

/// All that belongs to one environment.
pub(crate) struct Hub {
    pub(crate) sockets: Table<Socket>,
    /// The ids of connections that are freed once no row names them any more.
    leaving: Vec<u32>,
    pub(crate) memory: Memory,
    /// The text of the message that is being sent.
    pub(crate) text: Vec<u8>,
    pub(crate) now: Instant,
    /// What reads descriptors, once there is one.
    #[cfg(target_os = "linux")]
    pub(crate) descriptors: Option<Sockets>,
    /// What is called when a message was compressed in the background.
    pub(crate) compressed: Option<Reference>,
    /// The number of connections that were made so far.
    opened: u64,
    client: Role,
    config: Arc<Config>,
}

/// The memory that JavaScript sees.
pub(crate) struct Memory {
    pub(crate) rows: Rows,
    pub(crate) slab: Slab,
    /// The JavaScript array of external buffers.
    externals: Reference,
}

impl Hub {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            sockets: Table::new(),
            leaving: Vec::new(),
            memory,
            text: Vec::new(),
            now: Instant::now(),
            #[cfg(target_os = "linux")]
            descriptors: None,
            compressed: None,
            opened: 0,
            client: keys::client(),
            config: Arc::new(settings::base()),
        }
    }

    /// Makes a connection and returns its id.
    pub(crate) fn open(&mut self, settings: &Settings) -> u32 {
        if self.memory.rows.is_empty() {
            self.sweep();
        }
        let role = if settings.is_server { Role::Server } else { self.client.clone() };
        let config = settings.config(&mut self.config);
        self.opened += 1;
        self.sockets.insert(Socket::new(settings, config, role, self.now, self.opened)) as u32
    }

    pub(crate) fn socket(&mut self, id: u32) -> Result<&mut Socket> {
        self.sockets.get_mut(id as usize).ok_or_else(gone)
    }

    /// Forgets a connection. Its id is free once no row names it any more.
    pub(crate) fn close(&mut self, id: u32) -> Result<()> {
        if !self.sockets.contains(id as usize) || self.leaving.contains(&id) {
            return Err(gone());
        }
        #[cfg(target_os = "linux")]
        self.leave(id)?;
        self.leaving.push(id);
        if self.memory.rows.is_empty() {
            self.sweep();
        }
        Ok(())
    }

    /// Frees the ids of connections that were closed.
    pub(crate) fn sweep(&mut self) {
        for id in self.leaving.drain(..) {
            self.sockets.try_remove(id as usize);
        }
    }

    /// The environment ends.
    #[cfg(target_os = "linux")]
    pub(crate) fn end(&mut self) {
        if let Some(sockets) = self.descriptors.take() {
            sockets.close();
        }
        self.sockets.clear();
        self.leaving.clear();
    }

    /// Takes the descriptor away from a connection, before Node closes it.
    #[cfg(target_os = "linux")]
    pub(crate) fn leave(&mut self, id: u32) -> Result<()> {
        let socket = self.sockets.get_mut(id as usize).ok_or_else(gone)?;
        let result = match &mut self.descriptors {
            Some(sockets) => sockets.watch(id, socket, false),
            None => Ok(()),
        };
        socket.descriptor = None;
        result
    }

    /// Takes the bytes of a chunk from an offset on, up to a table full of rows. Returns the offset of the first that is left.
    pub(crate) fn feed(&mut self, env: Env, id: u32, chunk: &mut [u8], from: usize) -> Result<usize> {
        let now = self.now;
        let socket = self.sockets.get_mut(id as usize).ok_or_else(gone)?;
        let (begin, length) = (chunk.as_ptr().addr(), chunk.len());
        let mut input = Input::new(&mut chunk[from..]);
        while self.memory.rows.has_room()
            && let Some(event) = socket.connection.handle_input(&mut input, now)
        {
            self.memory.tell(env, id, event, |payload| {
                let offset = payload.as_ptr().addr().wrapping_sub(begin);
                (offset < length).then_some(Place::Chunk(offset as u32))
            })?;
        }
        Ok(length - input.remaining().len())
    }

    /// Moves the bytes that a connection has to write into the slab, or into the first external buffer if they are many.
    /// Returns how many, and says in the table where.
    pub(crate) fn take(&mut self, env: Env, id: u32) -> Result<usize> {
        let socket = self.sockets.get_mut(id as usize).ok_or_else(gone)?;
        let length = socket.connection.buffered_amount();
        if length == 0 {
            return Ok(0);
        }
        if length < EXTERNAL_FROM {
            let rows = &self.memory.rows;
            let (offset, free) = self.memory.slab.free(env, rows, length)?;
            let mut at = 0;
            socket.write_all(|bytes| {
                free[at..at + bytes.len()].copy_from_slice(bytes);
                at += bytes.len();
            });
            self.memory.slab.take(at);
            rows.set(Word::OutSlot, Slab::slot(rows));
            rows.set(Word::OutOffset, offset);
            return Ok(at);
        }
        let mut out = Vec::with_capacity(length);
        socket.write_all(|bytes| out.extend_from_slice(bytes));
        let length = out.len();
        let value = env.external(out.into())?;
        env.set(env.kept(&self.memory.externals)?, 0, value)?;
        self.memory.rows.set(Word::OutSlot, EXTERNAL);
        self.memory.rows.set(Word::OutOffset, 0);
        Ok(length)
    }
}

impl Memory {
    pub(crate) fn new(rows: Rows, slab: Slab, externals: Reference) -> Self {
        Self { rows, slab, externals }
    }

    /// Appends a row for an event. `lent` says where a payload lies that the event borrows from its input.
    pub(crate) fn tell(
        &mut self,
        env: Env,
        id: u32,
        event: Event<'_>,
        lent: impl FnOnce(&[u8]) -> Option<Place>,
    ) -> Result<()> {
        let (kind, payload, value) = match event {
            Event::Message(MessageRef::Binary(payload)) => (Kind::Binary, payload, 0),
            Event::Message(MessageRef::Text(Text::Lent(text))) => (Kind::Text, Payload::Lent(text.as_bytes()), 0),
            Event::Message(MessageRef::Text(Text::Owned(text))) => (Kind::Text, Payload::Owned(text.into_bytes()), 0),
            Event::UncheckedText(payload) => (Kind::Text, payload, 0),
            Event::Ping(payload) => (Kind::Ping, payload, 0),
            Event::Pong(payload) => (Kind::Pong, payload, 0),
            Event::Close(None) => (Kind::Close, Payload::Lent(&[]), 1005),
            Event::Close(Some(frame)) => {
                (Kind::Close, Payload::Owned(frame.reason.into_bytes()), u32::from(frame.code.as_u16()))
            }
            Event::UncheckedClose(close) => (Kind::Close, close.reason, u32::from(close.code.as_u16())),
            Event::Violation(violation) => {
                let (value, length) = text::number(&violation);
                let place = Place::Chunk(0);
                self.rows.push(&Row { id, kind: Kind::Violation, place, length, value });
                return Ok(());
            }
            _ => return Err(Error::new("ropeway: the addon does not know an event of the core")),
        };
        let length = payload.len() as u32;
        let place = match payload {
            Payload::Lent(bytes) => match if bytes.is_empty() { Some(Place::Chunk(0)) } else { lent(bytes) } {
                Some(place) => place,
                None => self.store(env, Bytes::copy_from_slice(bytes))?,
            },
            Payload::Owned(bytes) => self.store(env, bytes)?,
        };
        self.rows.push(&Row { id, kind, place, length, value });
        Ok(())
    }

    /// Puts a payload where JavaScript sees it.
    fn store(&mut self, env: Env, bytes: Bytes) -> Result<Place> {
        if bytes.is_empty() {
            return Ok(Place::Chunk(0));
        }
        if bytes.len() < EXTERNAL_FROM {
            let (offset, free) = self.slab.free(env, &self.rows, bytes.len())?;
            free[..bytes.len()].copy_from_slice(&bytes);
            self.slab.take(bytes.len());
            return Ok(Place::Slab(Slab::slot(&self.rows), offset));
        }
        let index = self.rows.get(Word::Externals);
        env.set(env.kept(&self.externals)?, index, env.external(bytes)?)?;
        self.rows.set(Word::Externals, index + 1);
        Ok(Place::External(index))
    }
}

pub(crate) fn gone() -> Error {
    Error::new("ropeway: this connection is closed")
}
