//! A value that can be taken once, by whoever has a shared reference to it.

use std::sync::{Mutex, PoisonError};

/// A value that can be taken once. A handler is shared, and calls with it what may be called once.
#[derive(Debug)]
pub(crate) struct Once<T>(Mutex<Option<T>>);

impl<T> Once<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    /// Returns the value the first time, and then nothing.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
