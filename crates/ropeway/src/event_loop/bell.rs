//! A waker that gives an entry of an event loop a turn, for futures that the entry polls besides its socket.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::mailbox::Mailbox;

/// The entry of this key in the loop of this mailbox. If the entry is gone, nothing happens, or another one that has its key now gets a
/// needless turn.
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
