//! A counted reference to a topic: it keeps a named topic from being forgotten.

use std::ops::Deref;
use std::sync::Arc;

use super::table::Table;

/// A counted reference to a topic.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Table>);

impl Counted {
    /// A reference to a topic. If it has a name, the caller has counted it with [`Named::hold`](super::Named::hold).
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self(table)
    }
}

impl Deref for Counted {
    type Target = Arc<Table>;

    fn deref(&self) -> &Arc<Table> {
        &self.0
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        if let Some(named) = self.0.named() {
            named.hold();
        }
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(named) = self.0.named() {
            named.release();
        }
    }
}
