//! A message for many connections. What the wire makes of it for one of them is the encoder's.

use std::sync::Arc;

use crate::deflate::Precompressed;
use crate::message::Message;

/// A message for many connections, which is compressed once for all of them. Cloning it is cheap: clones share everything.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
///
/// use ropeway_proto::deflate::{Options, Params};
/// use ropeway_proto::{Config, Connection, Prepared, Role};
///
/// let (config, now) = (Arc::new(Config::server()), Instant::now());
/// let mut connections = [(); 3].map(|()| {
///     let connection = Connection::new(Role::Server, Arc::clone(&config), now);
///     connection.with_deflate(&Params::default(), &Options::default())
/// });
/// let news = Prepared::from("it rains, ".repeat(200));
/// for connection in &mut connections {
///     connection.send_prepared(&news)?;
///     assert!(connection.buffered_amount() < news.message().len());
/// }
/// assert_eq!(news.compressions(), 1);
/// # Ok::<(), ropeway_proto::SendError>(())
/// ```
///
/// It is compressed when the first connection sends it that compresses, and once more for each other window, level or memory
/// level that connections compress with. So that all can take it, it does not point back into what a connection sent before:
/// with context takeover it comes out as long as without.
#[derive(Clone, Debug)]
pub struct Prepared {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    message: Message,
    precompressed: Precompressed,
}

impl Prepared {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.shared.message
    }

    /// How many times it has been compressed so far.
    pub fn compressions(&self) -> usize {
        self.shared.precompressed.len()
    }

    pub(crate) fn precompressed(&self) -> &Precompressed {
        &self.shared.precompressed
    }
}

impl<T> From<T> for Prepared
where
    Message: From<T>,
{
    fn from(message: T) -> Self {
        Self { shared: Arc::new(Shared { message: message.into(), precompressed: Precompressed::default() }) }
    }
}
