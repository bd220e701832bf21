//! The codecs, which each thread keeps for reuse: at the default options a deflater has about 265 KiB, or 180 for short messages,
//! an inflater 47. Whose history they carry is their user's.

use std::cell::RefCell;

use zlib_rs::{Deflate, DeflateConfig, Inflate, Method, Strategy};

use super::options::Options;

/// How many codecs of each kind a thread keeps: deflaters for short and for other messages, in two windows. It is a bound, of
/// 1.2 MiB a thread: there are no more than were in use at once.
const KEPT: usize = 4;

const SHORT_MEM_LEVEL: u8 = 6;

/// A message of fewer bytes has no more symbols than a block of that memory level.
const SHORT: usize = 1 << (SHORT_MEM_LEVEL + 6);

thread_local! {
    /// A store a thread, so that nobody waits for anybody. A codec may come back to another thread than lent it.
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { deflaters: Vec::new(), inflaters: Vec::new() }) };
}

/// Codecs that nobody uses, the one longest unused first. In boxes, so that a connection without one has room for a pointer only.
struct Pool {
    deflaters: Vec<(Shape, Box<Deflate>)>,
    #[expect(clippy::vec_box, reason = "they stay in their boxes from one user to the next")]
    inflaters: Vec<Box<Inflate>>,
}

/// What is fixed when a deflater is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
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

/// A deflater with an empty window.
#[expect(clippy::unnecessary_box_returns, reason = "it stays in its box from one user to the next")]
pub(super) fn deflater(shape: Shape) -> Box<Deflate> {
    if let Some(mut deflater) = with(|pool| pool.deflater(shape)) {
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
pub(super) fn take_back_deflater(shape: Shape, deflater: Box<Deflate>) {
    with(|pool| keep(&mut pool.deflaters, (shape, deflater)));
}

/// An inflater with an empty window of 2^15 bytes.
#[expect(clippy::unnecessary_box_returns, reason = "it stays in its box from one user to the next")]
pub(super) fn inflater() -> Box<Inflate> {
    if let Some(mut inflater) = with(|pool| pool.inflaters.pop()) {
        inflater.reset(false);
        return inflater;
    }
    Box::new(Inflate::new(false, 15))
}

/// Takes an inflater back, whatever it was in the middle of.
pub(super) fn take_back_inflater(inflater: Box<Inflate>) {
    with(|pool| keep(&mut pool.inflaters, inflater));
}

impl Pool {
    fn deflater(&mut self, shape: Shape) -> Option<Box<Deflate>> {
        // The last one back is the likeliest to be in a cache still.
        let index = self.deflaters.iter().rposition(|(kept, _)| *kept == shape)?;
        Some(self.deflaters.remove(index).1)
    }
}

fn keep<T>(store: &mut Vec<T>, codec: T) {
    if store.len() == KEPT {
        // The longest unused makes room: shapes that nobody asks for any more do not stay for ever.
        store.remove(0);
    }
    store.push(codec);
}

/// What the thread's pool gives: nothing on a thread that is ending, where the pool may be gone before the last connection is.
fn with<T: Default>(use_it: impl FnOnce(&mut Pool) -> T) -> T {
    POOL.try_with(|pool| use_it(&mut pool.borrow_mut())).unwrap_or_default()
}

/// How many deflaters and inflaters the thread keeps.
#[cfg(test)]
pub(super) fn kept() -> [usize; 2] {
    POOL.with_borrow(|pool| [pool.deflaters.len(), pool.inflaters.len()])
}

/// Runs a test on a thread whose pool is empty: the test's own thread may have run others before.
#[cfg(test)]
pub(super) fn on_new_thread(test: impl FnOnce() + Send + 'static) {
    std::thread::spawn(test).join().expect("no assertion failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Shape = Shape { level: 6, mem_level: 8, window_bits: 15 };
    const SMALL: Shape = Shape { level: 6, mem_level: 5, window_bits: 10 };

    fn shapes() -> Vec<Shape> {
        POOL.with_borrow(|pool| pool.deflaters.iter().map(|(shape, _)| *shape).collect())
    }

    #[test]
    fn a_deflater_is_lent_again_to_whoever_needs_the_same_shape() {
        on_new_thread(|| {
            let (large, small) = (deflater(LARGE), deflater(SMALL));
            take_back_deflater(LARGE, large);
            take_back_deflater(SMALL, small);
            let _large = deflater(LARGE);
            assert_eq!(shapes(), [SMALL]);
            let _other = deflater(Shape { level: 1, ..SMALL });
            assert_eq!(shapes(), [SMALL]);
        });
    }

    #[test]
    fn no_more_than_the_bound_are_kept_and_the_longest_unused_goes_first() {
        on_new_thread(|| {
            let deflaters = [SMALL, SMALL, LARGE, LARGE, LARGE].map(|shape| (shape, deflater(shape)));
            for (shape, deflater) in deflaters {
                take_back_deflater(shape, deflater);
            }
            assert_eq!(shapes(), [SMALL, LARGE, LARGE, LARGE]);
            let inflaters: Vec<_> = (0..KEPT + 2).map(|_| inflater()).collect();
            inflaters.into_iter().for_each(take_back_inflater);
            assert_eq!(kept(), [KEPT, KEPT]);
        });
    }

    #[test]
    fn what_one_thread_was_lent_another_may_keep() {
        on_new_thread(|| {
            let (deflater, inflater) = (deflater(SMALL), inflater());
            on_new_thread(move || {
                take_back_deflater(SMALL, deflater);
                take_back_inflater(inflater);
                assert_eq!(kept(), [1, 1]);
            });
            assert_eq!(kept(), [0, 0]);
        });
    }

    #[test]
    fn a_thread_that_is_ending_does_without() {
        struct Last(Option<Box<Inflate>>);
        impl Drop for Last {
            fn drop(&mut self) {
                // Whichever of the two is dropped first.
                self.0.take().into_iter().for_each(take_back_inflater);
                take_back_inflater(inflater());
            }
        }
        thread_local! {
            static LAST: RefCell<Last> = const { RefCell::new(Last(None)) };
        }
        on_new_thread(|| {
            LAST.with_borrow_mut(|last| last.0 = Some(inflater()));
            take_back_inflater(inflater());
        });
    }
}
