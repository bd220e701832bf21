//! The locks and counters of a link. They are the standard library's. When `loom` tries the link in every order of two
//! threads, they are those of `loom`.

#[cfg(not(all(test, ropeway_loom)))]
pub(super) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
#[cfg(not(all(test, ropeway_loom)))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, ropeway_loom))]
pub(super) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
#[cfg(all(test, ropeway_loom))]
pub(super) use loom::sync::{Mutex, MutexGuard};
