//! Slabs: memory that JavaScript sees, filled from the front. Payloads stay where they were written, and JavaScript makes
//! views of them, so a slab is never written to twice.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::napi::{Env, Reference, Result};
use crate::rows::{Rows, Word};

/// The bytes of a slab. A payload that is kept pins so many, as long as [`KEPT`] and [`ALIVE`] allow that.
const SIZE: usize = 256 * 1024;

/// The slabs that programs may keep by small payloads: 8 MiB. From then on payloads are copied out.
const KEPT: u32 = 32;

/// The slabs that may be alive, garbage included: 36 MiB. V8 collects garbage when `ArrayBuffer`s have grown by 32 MiB, so without a
/// program that keeps messages there were at most 130 of them.
const ALIVE: u32 = 144;

/// A new slab is begun when fewer bytes are free, so that a read is never a small one for that reason.
#[cfg(target_os = "linux")]
const LEAST: usize = 32 * 1024;

/// The slab that is being filled. The array of slabs holds it and those that rows still point into.
pub(crate) struct Slab {
    /// The JavaScript array of slabs, of which [`Word::Slab`] is the index of this one.
    slabs: Reference,
    memory: NonNull<u8>,
    used: usize,
    counts: Rc<Counts>,
}

/// The slabs that are not freed: the one that is filled, those of which a program keeps a message, and garbage.
#[derive(Default)]
struct Counts {
    alive: Cell<u32>,
    /// How many there were behind the last garbage collection that freed some.
    kept: Cell<u32>,
}

impl Counts {
    fn add(&self) {
        self.alive.set(self.alive.get() + 1);
    }

    fn subtract(&self) {
        self.alive.set(self.alive.get().saturating_sub(1));
        self.kept.set(self.alive.get());
    }

    /// Whether small payloads pin so much that each is to have memory of its own, which takes longer.
    fn are_many(&self) -> bool {
        self.kept.get() > KEPT || self.alive.get() > ALIVE
    }
}

impl Slab {
    pub(crate) fn new(env: Env, slabs: Reference, rows: &Rows) -> Result<Self> {
        let mut slab = Self { slabs, memory: NonNull::dangling(), used: SIZE, counts: Rc::default() };
        slab.renew(env, rows, 0)?;
        Ok(slab)
    }

    /// The index of the slab in the array of slabs.
    pub(crate) fn slot(rows: &Rows) -> u32 {
        rows.get(Word::Slab)
    }

    /// Returns free memory of at least `least` bytes, which must be less than a slab, and where it begins. `take` keeps a
    /// part of it.
    pub(crate) fn free(&mut self, env: Env, rows: &Rows, least: usize) -> Result<(u32, &mut [u8])> {
        let slot = Self::slot(rows);
        // A program that has a payload has the whole `ArrayBuffer`, and can transfer it away. The memory is then another's,
        // or free.
        if SIZE - self.used < least || env.is_detached(env.get(env.kept(&self.slabs)?, slot)?)? {
            self.renew(env, rows, slot + 1)?;
        }
        // SAFETY: the memory has `SIZE` bytes. The array of slabs keeps it alive, it was not detached, and no JavaScript runs as
        // long as the slice is borrowed. No argument of the call reaches into it: `Hub::feed` asks `overlaps`.
        let free = unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr().add(self.used), SIZE - self.used) };
        Ok((self.used as u32, free))
    }

    /// Whether a chunk reaches into the free memory: a program that has a message can make a Buffer of its whole `ArrayBuffer`.
    pub(crate) fn overlaps(&self, chunk: &[u8]) -> bool {
        let (begin, chunk) = (self.memory.as_ptr().addr(), chunk.as_ptr_range());
        chunk.start.addr() < begin + SIZE && begin + self.used < chunk.end.addr()
    }

    /// The first `count` free bytes are used now.
    pub(crate) fn take(&mut self, count: usize) {
        self.used = SIZE.min(self.used + count);
    }

    /// Lets `read` fill at most `most` bytes of the free memory, and takes what it filled.
    #[cfg(target_os = "linux")]
    pub(crate) fn fill<E>(
        &mut self,
        env: Env,
        rows: &Rows,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> std::result::Result<usize, E>,
    ) -> Result<(Option<Filled>, std::result::Result<usize, E>)> {
        let (offset, free) = self.free(env, rows, LEAST)?;
        let most = most.min(free.len());
        let result = read(&mut free[..most]);
        let length = result.as_ref().map_or(0, |count| (*count).min(most));
        let memory = NonNull::from(&mut free[..length]);
        self.take(length);
        let filled = (length > 0).then_some(Filled { memory, slot: Self::slot(rows), offset });
        Ok((filled, result))
    }

    /// Frees what was filled last, if no view of it was promised to JavaScript and nothing was taken behind it.
    #[cfg(target_os = "linux")]
    pub(crate) fn give_back(&mut self, filled: &Filled) {
        let end = filled.offset as usize + filled.memory.len();
        let begin = self.memory.addr().get() + filled.offset as usize;
        let is_last = filled.memory.cast::<u8>().addr().get() == begin && end == self.used;
        if is_last {
            self.used = filled.offset as usize;
        }
    }

    fn renew(&mut self, env: Env, rows: &Rows, slot: u32) -> Result<()> {
        let (value, memory) = env.array_buffer(SIZE)?;
        env.set(env.kept(&self.slabs)?, slot, value)?;
        rows.set(Word::Slab, slot);
        let counts = Rc::clone(&self.counts);
        env.on_free(value, Box::new(move || counts.subtract()))?;
        self.counts.add();
        rows.set(Word::Slabs, self.counts.alive.get());
        rows.set(Word::Scarce, u32::from(self.counts.are_many()));
        (self.memory, self.used) = (memory, 0);
        Ok(())
    }
}

/// A part of a slab that was read into. It must not outlive the call or the turn: JavaScript then sees it, and may let go of the
/// slab.
#[cfg(target_os = "linux")]
pub(crate) struct Filled {
    memory: NonNull<[u8]>,
    slot: u32,
    offset: u32,
}

#[cfg(target_os = "linux")]
impl Filled {
    /// The slab, and where the part begins in it.
    pub(crate) fn place(&self) -> (u32, u32) {
        (self.slot, self.offset)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the part was taken, so nobody else is given it. Its slab is in the array of slabs as long as no JavaScript
        // runs.
        unsafe { self.memory.as_mut() }
    }
}
