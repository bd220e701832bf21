//! The codecs, kept for reuse: at the default options a deflater has about 265 KiB, or 180 for short messages, an inflater 47. Whose
//! history they carry is their user's.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zlib_rs::{Deflate, DeflateConfig, Inflate, Method, Strategy};

use super::options::Options;

const SHORT_MEM_LEVEL: u8 = 6;

/// A message of fewer bytes has no more symbols than a block of that memory level.
const SHORT: usize = 1 << (SHORT_MEM_LEVEL + 6);

/// A store of codecs that many connections share, in an `Arc`.
///
/// It lends without limit and keeps a bounded number of those that come back, so it never makes anyone wait.
pub struct Pool {
    kept: usize,
    /// The one longest unused first. In boxes, so that a connection without one has room for a pointer only.
    deflaters: Mutex<VecDeque<(Shape, Box<Deflate>)>>,
    inflaters: Mutex<VecDeque<Box<Inflate>>>,
}

/// What is fixed when a deflater is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) level: u8,
    pub(super) mem_level: u8,
    pub(super) window_bits: u8,
}

impl Shape {
    /// For a window of so many bits.
    pub(super) fn new(options: &Options, window_bits: u8) -> Self {
        // 9 keeps to an agreed 8, as the module's documentation explains.
        Self { level: options.level, mem_level: options.mem_level, window_bits: window_bits.clamp(9, 15) }
    }

    /// For a message of so many bytes: a short one gets a smaller codec.
    ///
    /// A block has up to 2^(memory level + 6) − 1 symbols, and zlib-rs zeroes the room for them, 3 bytes each, before and after
    /// every block: 48 KiB at level 8. At level 6 it is 12, and a message of under 4 KiB still is one block, the same one. That
    /// takes 7 % off the time for 1 KiB.
    pub(super) fn for_message(self, length: usize) -> Self {
        if length < SHORT { Self { mem_level: self.mem_level.min(SHORT_MEM_LEVEL), ..self } } else { self }
    }
}

/// Keeps up to 8 codecs of each kind: as many messages as a machine of eight cores is busy with at once.
impl Default for Pool {
    fn default() -> Self {
        Self::keeping(8)
    }
}

impl Pool {
    /// Keeps up to this many codecs of each kind. More than there are threads is of little use.
    pub fn keeping(kept: usize) -> Self {
        Self { kept, deflaters: Mutex::default(), inflaters: Mutex::default() }
    }

    /// A deflater with an empty window.
    #[expect(clippy::unnecessary_box_returns, reason = "it stays in its box from one user to the next")]
    pub(super) fn deflater(&self, shape: Shape) -> Box<Deflate> {
        let taken = {
            let mut deflaters = lock(&self.deflaters);
            // The last one back is the likeliest to be in a cache still.
            let found = deflaters.iter().rposition(|(kept, _)| *kept == shape);
            found.and_then(|index| deflaters.remove(index))
        };
        if let Some((_, mut deflater)) = taken {
            deflater.reset();
            return deflater;
        }
        Box::new(Deflate::new_with_config(DeflateConfig {
            level: i32::from(shape.level),
            method: Method::Deflated,
            // Negative stands for raw DEFLATE, without zlib's header.
            window_bits: -i32::from(shape.window_bits),
            mem_level: i32::from(shape.mem_level),
            strategy: Strategy::Default,
        }))
    }

    /// Takes a deflater back, whatever it was in the middle of.
    pub(super) fn take_back_deflater(&self, shape: Shape, deflater: Box<Deflate>) {
        self.keep(&self.deflaters, (shape, deflater));
    }

    /// An inflater with an empty window of 2^15 bytes.
    #[expect(clippy::unnecessary_box_returns, reason = "it stays in its box from one user to the next")]
    pub(super) fn inflater(&self) -> Box<Inflate> {
        let taken = lock(&self.inflaters).pop_back();
        taken.map_or_else(
            || Box::new(Inflate::new(false, 15)),
            |mut inflater| {
                inflater.reset(false);
                inflater
            },
        )
    }

    /// Takes an inflater back, whatever it was in the middle of.
    pub(super) fn take_back_inflater(&self, inflater: Box<Inflate>) {
        self.keep(&self.inflaters, inflater);
    }

    fn keep<T>(&self, store: &Mutex<VecDeque<T>>, codec: T) {
        let mut store = lock(store);
        store.push_back(codec);
        // The longest unused makes room: shapes that nobody asks for any more do not stay for ever.
        let surplus = if store.len() > self.kept { store.pop_front() } else { None };
        drop(store);
        drop(surplus);
    }
}

/// A panic elsewhere cannot leave a store half changed, so its poison is nothing to us.
fn lock<T>(store: &Mutex<T>) -> MutexGuard<'_, T> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("kept", &self.kept)
            .field("deflaters", &lock(&self.deflaters).len())
            .field("inflaters", &lock(&self.inflaters).len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Shape = Shape { level: 6, mem_level: 8, window_bits: 15 };
    const SMALL: Shape = Shape { level: 6, mem_level: 5, window_bits: 10 };

    fn shapes(pool: &Pool) -> Vec<Shape> {
        lock(&pool.deflaters).iter().map(|(shape, _)| *shape).collect()
    }

    #[test]
    fn it_can_be_shared_by_threads() {
        const fn shared<T: Send + Sync>() {}
        shared::<Pool>();
    }

    #[test]
    fn a_deflater_is_lent_again_to_whoever_needs_the_same_shape() {
        let pool = Pool::default();
        let (large, small) = (pool.deflater(LARGE), pool.deflater(SMALL));
        pool.take_back_deflater(LARGE, large);
        pool.take_back_deflater(SMALL, small);
        let _large = pool.deflater(LARGE);
        assert_eq!(shapes(&pool), [SMALL]);
        let _other = pool.deflater(Shape { level: 1, ..SMALL });
        assert_eq!(shapes(&pool), [SMALL]);
    }

    #[test]
    fn no_more_than_the_bound_are_kept_and_the_longest_unused_goes_first() {
        let pool = Pool::keeping(3);
        for shape in [SMALL, SMALL, LARGE, LARGE] {
            pool.take_back_deflater(shape, Pool::default().deflater(shape));
        }
        assert_eq!(shapes(&pool), [SMALL, LARGE, LARGE]);
        let inflaters: Vec<_> = (0..5).map(|_| pool.inflater()).collect();
        for inflater in inflaters {
            pool.take_back_inflater(inflater);
        }
        assert_eq!(lock(&pool.inflaters).len(), 3);
    }
}
