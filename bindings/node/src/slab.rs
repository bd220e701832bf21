//! Slabs: memory that JavaScript sees, filled from the front. Payloads stay where they were written, and JavaScript makes
//! views of them, so a slab is never written to twice.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::napi::{Env, Reference, Result};
use crate::rows::{Rows, Word};

/// The bytes of a slab. A payload that is kept pins so many.
const SIZE: usize = 256 * 1024;

/// A new slab is begun when fewer bytes are free, so that a read is never a small one for that reason.
#[cfg(unix)]
pub(crate) const LEAST: usize = 32 * 1024;

/// The slab that is being filled. The array of slabs holds it and those that rows still point into.
pub(crate) struct Slab {
    /// The JavaScript array of slabs, of which [`Word::Slab`] is the index of this one.
    slabs: Reference,
    memory: NonNull<u8>,
    used: usize,
}

impl Slab {
    pub(crate) fn new(env: Env, slabs: Reference, rows: &Rows) -> Result<Self> {
        let mut slab = Self { slabs, memory: NonNull::dangling(), used: SIZE };
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
        if SIZE - self.used < least {
            self.renew(env, rows, Self::slot(rows) + 1)?;
        }
        // SAFETY: the memory has `SIZE` bytes, and JavaScript has views only of what is used. The array of slabs keeps it
        // alive.
        let free = unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr().add(self.used), SIZE - self.used) };
        Ok((self.used as u32, free))
    }

    /// The first `count` free bytes are used now.
    pub(crate) fn take(&mut self, count: usize) {
        self.used = SIZE.min(self.used + count);
    }

    fn renew(&mut self, env: Env, rows: &Rows, slot: u32) -> Result<()> {
        let (value, memory) = env.array_buffer(SIZE)?;
        env.set(env.kept(&self.slabs)?, slot, value)?;
        rows.set(Word::Slab, slot);
        (self.memory, self.used) = (memory, 0);
        Ok(())
    }
}
