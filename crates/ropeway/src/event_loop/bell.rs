//! A waker for the futures that an entry of an event loop polls besides its socket. It asks the loop for a turn of that
//! entry.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::mailbox::Mailbox;

/// The entry of this key in the loop of this mailbox. If the entry is gone, nothing happens, or another entry that has
/// its key now gets a needless turn.
pub(crate) struct Bell {
    mailbox: Arc<Mailbox>,
    key: usize,
}

impl Bell {
    pub(crate) fn waker(mailbox: &Arc<Mailbox>, key: usize) -> Waker {
        Waker::from(Arc::new(Self { mailbox: Arc::clone(mailbox), key }))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.mailbox.call(self.key);
    }
}
