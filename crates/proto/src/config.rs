//! The limits and times of a connection, each default with its reason.

use std::sync::Arc;
use std::time::Duration;

use crate::buffers::Buffers;

/// The limits and times of a connection. One is shared by all connections of a server.
///
/// Begin with [`Config::server`] or [`Config::client`] and change it with the setters, each of which has the name of its field.
/// Times that are too long for the clock to reach, such as [`Duration::MAX`], never come.
///
/// ```
/// # use ropeway_proto::Config;
/// let config = Config::server().max_payload(64 * 1024).ping_interval(None);
/// assert!(config.auto_pong && config.max_payload == 64 * 1024);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes a received message may have, inflated. More is answered with close code 1009, as soon as a header
    /// announces it. A server's default is 16 MiB, enough for any message that is not really a file, and small enough that
    /// one client cannot fill a machine. A client, which chose its server, takes 128 MiB: npm's ws takes 100 MiB, and what
    /// reaches its users is to reach ours.
    pub max_payload: usize,
    /// The most frames a message may be cut into. More is answered with close code 1008. What is kept of a fragment is its
    /// payload alone, so this bounds work, not memory, and is generous: 65,536 for a server, 2^20 for a client, which is its
    /// largest message in pieces of 128 bytes.
    pub max_fragments: u32,
    /// The most control frames a peer may send within a second before it is closed with 1008. No honest peer is near the
    /// default of 1,000. The pongs that answer pings of a pause are not counted: they come all at once.
    pub max_control_rate: u32,
    /// From how many bytes waiting to be written on messages are refused. One message is always accepted while less waits,
    /// so this plus one message is the most a slow reader can hold. 1 MiB: a second of a fast mobile link.
    pub max_buffered: usize,
    /// How long a message may take from its first byte to its last. `None` (the default) leaves that to the limits above: a
    /// large message over a slow link is not an attack.
    pub message_timeout: Option<Duration>,
    /// After how long a silence a ping asks whether the peer is there. `None` never asks. 20 s is below the 30 s to 60 s
    /// after which common proxies and load balancers drop a silent connection.
    pub ping_interval: Option<Duration>,
    /// How long after such a ping the peer counts as gone, unless anything at all is heard from it. 20 s outlasts a change
    /// of network on a phone.
    pub ping_timeout: Duration,
    /// How long the closing handshake may take, with all that is queued before it, and with the wait for the transport's end
    /// where the connection failed. 10 s. `None` waits as long as it takes: for a driver with a time of its own, which then
    /// [terminates](crate::Connection::terminate) the connection.
    pub close_timeout: Option<Duration>,
    /// How long a client waits after the closing handshake for the server to end the transport, before it does so itself. A
    /// server waits for nobody then (RFC 6455 section 7.1.1). 1 s: some round trips, and no more than a program that ends
    /// may keep its user waiting.
    pub end_timeout: Duration,
    /// Whether pings are answered without being asked. `true`; where it is `false` the user answers with
    /// [`pong`](crate::Connection::pong).
    pub auto_pong: bool,
    /// Whether the peer's close frame, or the end of its half of the transport, is answered at once. `true`; where it is `false`
    /// messages can be sent until the user answers with [`answer_close`](crate::Connection::answer_close) or
    /// [`close`](crate::Connection::close), for `close_timeout` at most. In the crate `ropeway` the handler decides, whatever this
    /// says.
    pub auto_close: bool,
    /// Whether a violation of the peer's is answered at once with its close code. `true`; where it is `false` nothing more is received
    /// after [`Event::Violation`](crate::Event::Violation), and messages can be sent until the user answers with
    /// [`answer_close`](crate::Connection::answer_close), which sends the violation's code and reason, or with
    /// [`close`](crate::Connection::close), for `close_timeout` at most. In the crate `ropeway` it is always on.
    pub auto_fail: bool,
    /// Whether text, and the reason of a close frame, must be UTF-8, as RFC 6455 section 8.1 asks. `true`; where it is `false`
    /// they come as bytes, whatever these are: [`Event::UncheckedText`](crate::Event::UncheckedText) and
    /// [`Event::UncheckedClose`](crate::Event::UncheckedClose). In the crate `ropeway` it is always on.
    pub check_utf8: bool,
    /// The most memory that is reserved for a message before its bytes come, when a header announces so many. 1 KiB: an
    /// announcement costs the peer nothing, so memory then grows as the bytes come, to twice as much at most. A driver that
    /// trusts its peers, or has few, may set it to the length of its usual large messages, which are not moved then: one of
    /// 1 MiB that is read 64 KiB at a time is otherwise moved three times, 1.4 MiB in all. Not needed where `buffers` has
    /// some, as a buffer that was used before has room.
    pub reserve_ahead: usize,
    /// Where buffers of large messages come from, if not from the allocator: those of a connection are used again by all that
    /// share this. A server has some by default, a client none.
    pub buffers: Option<Arc<Buffers>>,
}

impl Config {
    /// A server's defaults.
    pub fn server() -> Self {
        Self {
            max_payload: 16 << 20,
            max_fragments: 1 << 16,
            max_control_rate: 1_000,
            max_buffered: 1 << 20,
            message_timeout: None,
            ping_interval: Some(Duration::from_secs(20)),
            ping_timeout: Duration::from_secs(20),
            close_timeout: Some(Duration::from_secs(10)),
            end_timeout: Duration::from_secs(1),
            auto_pong: true,
            auto_close: true,
            auto_fail: true,
            check_utf8: true,
            reserve_ahead: 1024,
            buffers: Some(Arc::default()),
        }
    }

    /// A client's defaults: a server's, but for messages of up to 128 MiB in up to 2^20 fragments, and without buffers that
    /// outlive it.
    pub fn client() -> Self {
        Self { max_payload: 128 << 20, max_fragments: 1 << 20, buffers: None, ..Self::server() }
    }
}

/// Setters. Each has the name of its field, which says more.
impl Config {
    /// The most bytes a received message may have, inflated: see the field [`max_payload`](Self#structfield.max_payload).
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// The most frames a message may be cut into: see the field [`max_fragments`](Self#structfield.max_fragments).
    pub fn max_fragments(mut self, fragments: u32) -> Self {
        self.max_fragments = fragments;
        self
    }

    /// The most control frames a peer may send within a second: see the field [`max_control_rate`](Self#structfield.max_control_rate).
    pub fn max_control_rate(mut self, frames_a_second: u32) -> Self {
        self.max_control_rate = frames_a_second;
        self
    }

    /// From how many bytes waiting to be written on messages are refused: see the field [`max_buffered`](Self#structfield.max_buffered).
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes;
        self
    }

    /// How long a message may take from its first byte to its last: see the field [`message_timeout`](Self#structfield.message_timeout).
    pub fn message_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.message_timeout = time.into();
        self
    }

    /// After how long a silence a ping is sent: see the field [`ping_interval`](Self#structfield.ping_interval).
    pub fn ping_interval(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.ping_interval = time.into();
        self
    }

    /// How long after such a ping the peer counts as gone: see the field [`ping_timeout`](Self#structfield.ping_timeout).
    pub fn ping_timeout(mut self, time: Duration) -> Self {
        self.ping_timeout = time;
        self
    }

    /// How long the closing handshake may take: see the field [`close_timeout`](Self#structfield.close_timeout).
    pub fn close_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.close_timeout = time.into();
        self
    }

    /// How long a client waits for the server to end the transport: see the field [`end_timeout`](Self#structfield.end_timeout).
    pub fn end_timeout(mut self, time: Duration) -> Self {
        self.end_timeout = time;
        self
    }

    /// Whether pings are answered without being asked: see the field [`auto_pong`](Self#structfield.auto_pong).
    pub fn auto_pong(mut self, on: bool) -> Self {
        self.auto_pong = on;
        self
    }

    /// Whether the peer's close frame, or the end of its half of the transport, is answered at once: see the field [`auto_close`](Self#structfield.auto_close).
    pub fn auto_close(mut self, on: bool) -> Self {
        self.auto_close = on;
        self
    }

    /// Whether a violation of the peer's is answered at once: see the field [`auto_fail`](Self#structfield.auto_fail).
    pub fn auto_fail(mut self, on: bool) -> Self {
        self.auto_fail = on;
        self
    }

    /// Whether text must be UTF-8: see the field [`check_utf8`](Self#structfield.check_utf8).
    pub fn check_utf8(mut self, on: bool) -> Self {
        self.check_utf8 = on;
        self
    }

    /// The most memory that is reserved for a message before its bytes come: see the field
    /// [`reserve_ahead`](Self#structfield.reserve_ahead).
    pub fn reserve_ahead(mut self, bytes: usize) -> Self {
        self.reserve_ahead = bytes;
        self
    }

    /// Where buffers of large messages come from: see the field [`buffers`](Self#structfield.buffers).
    pub fn buffers(mut self, buffers: impl Into<Option<Arc<Buffers>>>) -> Self {
        self.buffers = buffers.into();
        self
    }
}
