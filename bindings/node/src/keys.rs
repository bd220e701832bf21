//! Masking keys: from the operating system, many at a time, or the one that JavaScript made with `generateMask`.

use std::cell::{Cell, RefCell};

use ropeway_proto::{MaskingKeys, Role};

/// The bytes that are asked of the operating system at once: 1,024 keys.
const POOL: usize = 4096;

struct Pool {
    bytes: [u8; POOL],
    used: usize,
}

thread_local! {
    static OWN: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL], used: POOL }) };
    static GIVEN: Cell<Option<[u8; 4]>> = const { Cell::new(None) };
}

/// The role of a client, whose keys these are.
pub(crate) fn client() -> Role {
    Role::Client { keys: MaskingKeys::new(next) }
}

/// Calls `send`, and lets the frame that it makes have this key.
pub(crate) fn with<R>(key: Option<[u8; 4]>, send: impl FnOnce() -> R) -> R {
    GIVEN.set(key);
    let result = send();
    GIVEN.set(None);
    result
}

fn next() -> [u8; 4] {
    if let Some(key) = GIVEN.take() {
        return key;
    }
    OWN.with_borrow_mut(|pool| {
        if pool.used == POOL {
            getrandom::fill(&mut pool.bytes).expect("the operating system has randomness");
            pool.used = 0;
        }
        let key = *pool.bytes[pool.used..].first_chunk().expect("the pool is a multiple of four");
        pool.bytes[pool.used..pool.used + 4].fill(0);
        pool.used += 4;
        key
    })
}
