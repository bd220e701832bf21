//! Random bytes from the operating system, requested in batches.

use std::cell::RefCell;

/// The size of a batch. It is the same as in npm `ws`, where a request for each frame took most of the time of a send.
const BATCH: usize = 8 * 1024;

struct Pool {
    bytes: [u8; BATCH],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; BATCH], used: BATCH }) };
}

/// Returns the next `N` random bytes. No bytes are returned twice.
///
/// # Panics
/// If the operating system has no randomness: then no safe way to go on is left.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    POOL.with_borrow_mut(|pool| {
        if BATCH - pool.used < N {
            getrandom::fill(&mut pool.bytes).expect("the operating system provides randomness");
            pool.used = 0;
        }
        let mut taken = [0; N];
        taken.copy_from_slice(&pool.bytes[pool.used..pool.used + N]);
        pool.used += N;
        taken
    })
}

/// A new masking key. RFC 6455 section 10.3: clients must choose each key by an algorithm "that cannot be predicted by
/// end applications that provide data".
pub(crate) fn mask() -> [u8; 4] {
    bytes()
}
