//! A value that can be taken once, through a shared reference.

use std::sync::{Mutex, PoisonError};

/// A value that can be taken once. A handler is shared by many connections, and holds in this a closure that may be
/// called only once.
#[derive(Debug)]
pub(crate) struct Once<T>(Mutex<Option<T>>);

impl<T> Once<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    /// Returns the value the first time, and `None` after that.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
