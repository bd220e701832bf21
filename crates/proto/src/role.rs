//! The two ends of a connection.

use std::fmt;
use std::sync::Arc;

/// The role of one end of a connection.
#[derive(Clone, Debug)]
pub enum Role {
    /// The end that accepted the connection. It never masks.
    Server,
    /// The end that opened the connection. RFC 6455 section 5.3 asks for a fresh key for each frame, from a strong
    /// source of entropy.
    Client {
        /// The source of the masking keys.
        keys: MaskingKeys,
    },
}

impl Role {
    /// A client whose masking keys this function returns: see [`MaskingKeys::new`].
    pub fn client(next: impl Fn() -> [u8; 4] + Send + Sync + 'static) -> Self {
        Self::Client { keys: MaskingKeys::new(next) }
    }
}

/// The source of a client's masking keys: a function of the driver's, which may hold state. Clones share it, so one
/// source serves all connections of a client.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use ropeway_proto::MaskingKeys;
///
/// // Keys that a test can foretell.
/// let seed = AtomicU32::new(1);
/// let keys = MaskingKeys::new(move || seed.fetch_add(1, Ordering::Relaxed).to_be_bytes());
/// assert_eq!((keys.next(), keys.clone().next()), ([0, 0, 0, 1], [0, 0, 0, 2]));
/// ```
#[derive(Clone)]
pub struct MaskingKeys(Arc<Source>);

/// The function has a pointer of its own: so a connection holds one word, and an `Arc` of a trait object would take
/// two.
struct Source(Box<dyn Fn() -> [u8; 4] + Send + Sync>);

impl MaskingKeys {
    /// Makes a source of the keys that this function returns. It is called once for each frame, from the thread that
    /// uses the connection.
    ///
    /// If it panics, the panic passes through the method of the connection that was called. Nothing of the frame that
    /// needed the key is queued. The connection must then be dropped: it may take that frame for sent.
    pub fn new(next: impl Fn() -> [u8; 4] + Send + Sync + 'static) -> Self {
        Self(Arc::new(Source(Box::new(next))))
    }

    /// Returns the key for the next frame.
    #[inline]
    pub fn next(&self) -> [u8; 4] {
        (self.0.0)()
    }
}

impl fmt::Debug for MaskingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskingKeys").finish_non_exhaustive()
    }
}
