//! The memory that JavaScript sees: the table of rows, the slab, and the buffers of large payloads.

use ropeway_proto::{Bytes, Event, MessageRef, Payload, Text};

use crate::napi::{Env, Error, Reference, Result};
use crate::rows::{EXTERNAL, Kind, Place, Row, Rows, Word};
use crate::slab::Slab;
use crate::text;

/// Payloads of at least this size get a buffer of their own, shorter ones are copied into the slab: a buffer costs about as
/// much as copying so many bytes.
pub(crate) const EXTERNAL_FROM: usize = 16 * 1024;

/// The memory that JavaScript sees.
pub(crate) struct Memory {
    pub(crate) rows: Rows,
    pub(crate) slab: Slab,
    /// The JavaScript array of external buffers.
    externals: Reference,
    /// The bytes of payloads that are not where they were read: those of messages that were inflated or put together. A turn of
    /// the event loop counts them from 0.
    pub(crate) held: usize,
}

impl Memory {
    pub(crate) fn new(rows: Rows, slab: Slab, externals: Reference) -> Self {
        Self { rows, slab, externals, held: 0 }
    }

    /// Whether JavaScript may be called, which it may not when the environment ends.
    #[cfg(target_os = "linux")]
    pub(crate) fn may_call(&self, env: Env) -> bool {
        // When the environment ends, Node refuses calls that could run JavaScript. Reading an element is one: it could be a getter.
        env.kept(&self.externals).and_then(|externals| env.get(externals, 0)).is_ok()
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
            _ if length == 0 => Place::Chunk(0),
            Payload::Lent(bytes) => match lent(bytes) {
                Some(place) => place,
                None => self.store(env, Bytes::copy_from_slice(bytes))?,
            },
            Payload::Owned(bytes) => {
                self.held = self.held.saturating_add(bytes.len());
                self.store(env, bytes)?
            }
        };
        self.rows.push(&Row { id, kind, place, length, value });
        Ok(())
    }

    /// Gives JavaScript bytes to be written, as the first external buffer.
    pub(crate) fn hand_out(&mut self, env: Env, bytes: Bytes) -> Result<()> {
        let value = env.external(bytes)?;
        env.set(env.kept(&self.externals)?, 0, value)?;
        self.rows.set(Word::OutSlot, EXTERNAL);
        self.rows.set(Word::OutOffset, 0);
        Ok(())
    }

    /// Puts a payload where JavaScript sees it.
    fn store(&mut self, env: Env, bytes: Bytes) -> Result<Place> {
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
