//! A waker that calls an entry of an event loop, for what an entry polls besides its socket.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::mailbox::Mailbox;

/// The entry of this key in the loop of this mailbox. An entry that is gone is called in vain, or another has a turn too many.
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
