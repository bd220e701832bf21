//! The codecs, which each thread keeps for reuse. At the default options a deflater takes about 265 KiB, or 180 KiB for
//! short messages, and an inflater 47 KiB. The user of a codec gives it the history.

use std::cell::RefCell;

use zlib_rs::Inflate;

use super::deflater::{Deflater, Seam, Shape};

/// The most codecs of each kind that a thread keeps: deflaters for short and for other messages, with two sizes of
/// window. They take up to 1.2 MiB a thread, and there are never more than were in use at the same time.
const KEPT: usize = 4;

thread_local! {
    /// One pool a thread, so that no thread waits for another. A codec may be returned to another thread than lent it.
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { deflaters: Vec::new(), inflaters: Vec::new() }) };
}

/// Unused codecs, the one that was unused longest first. They are boxed, so that a connection needs only a pointer for
/// one.
struct Pool {
    #[expect(clippy::vec_box, reason = "as the inflaters")]
    deflaters: Vec<Box<Deflater>>,
    #[expect(clippy::vec_box, reason = "they stay in their boxes from one user to the next")]
    inflaters: Vec<Box<Inflate>>,
}

/// Takes a deflater from the pool, and begins a message that follows `history` in its stream.
pub(super) fn deflater(shape: Shape, history: &[u8], message: &[u8]) -> Box<Deflater> {
    let seam = Seam::new(history, message);
    let mut deflater = with(|pool| pool.deflater(shape, seam)).unwrap_or_else(|| Box::new(Deflater::new(shape)));
    deflater.begin(history, message);
    deflater
}

/// Returns a deflater to the pool, even if its message is not finished.
pub(super) fn take_back_deflater(deflater: Box<Deflater>) {
    with(|pool| keep(&mut pool.deflaters, deflater));
}

/// Takes an inflater from the pool. Its window is empty and has 2^15 bytes.
#[expect(clippy::unnecessary_box_returns, reason = "it stays in its box from one user to the next")]
pub(super) fn inflater() -> Box<Inflate> {
    if let Some(mut inflater) = with(|pool| pool.inflaters.pop()) {
        inflater.reset(false);
        return inflater;
    }
    Box::new(Inflate::new(false, 15))
}

/// Returns an inflater to the pool, even if its message is not finished.
pub(super) fn take_back_inflater(inflater: Box<Inflate>) {
    with(|pool| keep(&mut pool.inflaters, inflater));
}

impl Pool {
    /// Takes a deflater of this shape. One that has this seam in its memory is preferred, since it begins faster.
    fn deflater(&mut self, shape: Shape, seam: Option<Seam>) -> Option<Box<Deflater>> {
        // The deflater that came back last is the likeliest to be in a cache still.
        let last = |is_it: &dyn Fn(&Deflater) -> bool| self.deflaters.iter().rposition(|kept| is_it(kept));
        let index = seam
            .and_then(|_| last(&|kept| kept.shape() == shape && kept.seam() == seam))
            .or_else(|| last(&|kept| kept.shape() == shape))?;
        Some(self.deflaters.remove(index))
    }
}

fn keep<T>(store: &mut Vec<T>, codec: T) {
    if store.len() == KEPT {
        // The one that was unused longest is dropped, so that shapes that are no longer asked for do not stay for ever.
        store.remove(0);
    }
    store.push(codec);
}

/// Calls `use_it` with the thread's pool. While a thread ends, its pool may be gone before its last connection is; then
/// this returns the default.
fn with<T: Default>(use_it: impl FnOnce(&mut Pool) -> T) -> T {
    POOL.try_with(|pool| use_it(&mut pool.borrow_mut())).unwrap_or_default()
}

/// How many deflaters and inflaters the thread keeps.
#[cfg(test)]
pub(super) fn kept() -> [usize; 2] {
    POOL.with_borrow(|pool| [pool.deflaters.len(), pool.inflaters.len()])
}

/// Calls `run` with an empty pool, and then puts the old one back.
#[cfg(test)]
pub(super) fn without(run: impl FnOnce()) {
    let empty = Pool { deflaters: Vec::new(), inflaters: Vec::new() };
    let kept = POOL.with_borrow_mut(|pool| std::mem::replace(pool, empty));
    run();
    POOL.set(kept);
}

/// Runs a test on a new thread, whose pool is empty. The test's own thread may have run other tests before.
#[cfg(test)]
pub(super) fn on_new_thread(test: impl FnOnce() + Send + 'static) {
    std::thread::spawn(test).join().expect("no assertion failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Shape = Shape { level: 6, mem_level: 8, window_bits: 15 };
    const SMALL: Shape = Shape { level: 6, mem_level: 5, window_bits: 10 };

    fn lent(shape: Shape) -> Box<Deflater> {
        deflater(shape, &[], b"a")
    }

    fn shapes() -> Vec<Shape> {
        POOL.with_borrow(|pool| pool.deflaters.iter().map(|kept| kept.shape()).collect())
    }

    #[test]
    fn a_deflater_is_lent_again_for_the_same_shape() {
        on_new_thread(|| {
            let (large, small) = (lent(LARGE), lent(SMALL));
            take_back_deflater(large);
            take_back_deflater(small);
            let _large = lent(LARGE);
            assert_eq!(shapes(), [SMALL]);
            let _other = lent(Shape { level: 1, ..SMALL });
            assert_eq!(shapes(), [SMALL]);
        });
    }

    #[test]
    fn no_more_than_the_bound_are_kept_and_the_longest_unused_goes_first() {
        on_new_thread(|| {
            [SMALL, SMALL, LARGE, LARGE, LARGE].map(lent).into_iter().for_each(take_back_deflater);
            assert_eq!(shapes(), [SMALL, LARGE, LARGE, LARGE]);
            let inflaters: Vec<_> = (0..KEPT + 2).map(|_| inflater()).collect();
            inflaters.into_iter().for_each(take_back_inflater);
            assert_eq!(kept(), [KEPT, KEPT]);
        });
    }

    #[test]
    fn a_codec_lent_by_one_thread_may_be_returned_on_another() {
        on_new_thread(|| {
            let (deflater, inflater) = (lent(SMALL), inflater());
            on_new_thread(move || {
                take_back_deflater(deflater);
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
                // In either order of dropping the two.
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
