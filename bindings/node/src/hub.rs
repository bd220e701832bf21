//! The hub: what a JavaScript environment has of the addon. It holds the connections, and the memory that JavaScript sees.

use std::sync::Arc;
use std::time::Instant;

use ropeway_proto::{Config, Input, Role};
use slab::Slab as Table;

use crate::keys;
use crate::memory::{self, Memory};
use crate::napi::{Env, Error, Reference, Result};
use crate::rows::{Place, Word};
use crate::settings::{self, Settings};
use crate::slab::Slab;
use crate::slice::Slice;
use crate::socket::Socket;
#[cfg(target_os = "linux")]
use crate::sockets::Sockets;

/// All that belongs to one environment.
pub(crate) struct Hub {
    pub(crate) sockets: Table<Socket>,
    /// The ids of connections that are freed once no row names them any more.
    leaving: Vec<u32>,
    pub(crate) memory: Memory,
    /// The text of the message that is being sent.
    pub(crate) text: Vec<u8>,
    /// The time that the core is told, the same at all times: JavaScript keeps the time, and the core's limits of time are off.
    pub(crate) time: Instant,
    /// The reading of descriptors, once there is one.
    #[cfg(target_os = "linux")]
    pub(crate) descriptors: Option<Sockets>,
    /// The function that is called when a message was compressed in the background.
    pub(crate) compressed: Option<Reference>,
    /// The number of connections that were made so far.
    opened: u64,
    client: Role,
    config: Arc<Config>,
}

impl Hub {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            sockets: Table::new(),
            leaving: Vec::new(),
            memory,
            text: Vec::new(),
            time: Instant::now(),
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
        self.sockets.insert(Socket::new(settings, config, role, self.time, self.opened)) as u32
    }

    pub(crate) fn socket(&mut self, id: u32) -> Result<&mut Socket> {
        find(&mut self.sockets, id)
    }

    /// Forgets a connection. Its id is free once no row names it any more.
    pub(crate) fn close(&mut self, id: u32) -> Result<()> {
        if std::mem::replace(&mut self.socket(id)?.is_leaving, true) {
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
        let socket = find(&mut self.sockets, id)?;
        let result = match &mut self.descriptors {
            Some(sockets) => sockets.watch(id, socket, false),
            None => Ok(()),
        };
        socket.polled.descriptor = None;
        result
    }

    /// Takes the bytes of a chunk from an offset on, up to a table full of rows. Returns the offset of the first that is left.
    pub(crate) fn feed(&mut self, env: Env, id: u32, chunk: &mut [u8], from: usize) -> Result<usize> {
        let time = self.time;
        let socket = find(&mut self.sockets, id)?;
        if self.memory.slab.overlaps(chunk) {
            return Err(Error::new("ropeway: a chunk lies in memory that is still to be read into: copy it first"));
        }
        let (begin, length) = (chunk.as_ptr().addr(), chunk.len());
        let mut input = Input::new(&mut chunk[from..]);
        // A handler of one of these rows may feed another connection: that needs room too.
        let mut room = self.memory.rows.left() / 2;
        if room == 0 {
            return Err(Error::new("ropeway: too many handlers feed each other's connections within each other"));
        }
        let slice = Slice::begin(socket, &self.memory);
        while room > 0
            && !slice.is_over(socket, &self.memory)
            && let Some(event) = socket.connection.handle_input(&mut input, time)
        {
            self.memory.tell(env, id, event, |payload| {
                let offset = payload.as_ptr().addr().wrapping_sub(begin);
                (offset < length).then_some(Place::Chunk(offset as u32))
            })?;
            room -= 1;
        }
        self.memory.rows.set(Word::Sliced, u32::from(slice.is_over(socket, &self.memory)));
        Ok(length - input.remaining().len())
    }

    /// Moves the bytes that a connection has to write into the slab, or into the first external buffer if they are many.
    /// Returns how many, and says in the table where.
    pub(crate) fn take(&mut self, env: Env, id: u32) -> Result<usize> {
        let socket = find(&mut self.sockets, id)?;
        let length = socket.connection.buffered_amount();
        if length == 0 {
            return Ok(0);
        }
        if length < memory::EXTERNAL_FROM {
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
        self.memory.hand_out(env, out.into())?;
        Ok(length)
    }
}

/// The connection of an id, for those that use other parts of the hub at the same time.
pub(crate) fn find(sockets: &mut Table<Socket>, id: u32) -> Result<&mut Socket> {
    sockets.get_mut(id as usize).ok_or_else(gone)
}

fn gone() -> Error {
    Error::new("ropeway: this connection is closed")
}
