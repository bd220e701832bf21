//! The limits and times of a connection, each default with its reason.

use std::sync::Arc;
use std::time::Duration;

use crate::buffers::Buffers;

/// The limits and times of a connection. All connections of a server share one.
///
/// Begin with [`Config::server`] or [`Config::client`] and change it with the setters, each of which has the name of
/// its field. A time that the clock cannot reach, such as [`Duration::MAX`], never comes.
///
/// ```
/// # use ropeway_proto::Config;
/// let config = Config::server().max_payload(64 * 1024).ping_interval(None);
/// assert!(config.auto_pong && config.max_payload == 64 * 1024);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes that a received message may have, inflated. A longer one is answered with close code 1009, as
    /// soon as a header announces it. The default of a server is 16 MiB: enough for any message that is not a whole
    /// file, and so little that one client cannot fill a machine's memory. A client has chosen its server and accepts
    /// 128 MiB, because npm's ws accepts 100 MiB, and a message that ws accepts should not fail here.
    pub max_payload: usize,
    /// The most frames that a message may be cut into. More are answered with close code 1008. Only the payload of a
    /// fragment is kept, so this limit bounds work, not memory, and can be large: 65,536 for a server, and 2^20 for a
    /// client, which is its largest message in pieces of 128 bytes.
    pub max_fragments: u32,
    /// The most control frames that a peer may send within a second. More are answered with close code 1008. No honest
    /// peer comes near the default of 1,000. After a time in which nothing was read, all frames of that time come at once.
    /// So as many more are allowed later as would have been allowed in that time.
    pub max_control_rate: u32,
    /// Messages are refused while at least this many bytes wait to be written. While fewer wait, one more message is
    /// accepted, whatever its size. So at most this number of bytes and one message wait for a slow reader. The default
    /// is 1 MiB, which a fast mobile link carries in a second.
    pub max_buffered: usize,
    /// The time that a message may take from its first byte to its last. `None`, the default, sets no limit of time: a
    /// large message over a slow link is not an attack.
    pub message_timeout: Option<Duration>,
    /// The time of silence after which the peer is pinged. `None` never pings. 20 s is below the 30 s to 60 s after
    /// which common proxies and load balancers drop a silent connection.
    pub ping_interval: Option<Duration>,
    /// The time after such a ping until the peer counts as gone, unless anything is heard from it. 20 s is longer than
    /// a phone's change of network.
    pub ping_timeout: Duration,
    /// The time limit for the closing handshake: 10 s by default. It includes the time to write the queue before it. If
    /// the connection failed, it also includes the wait for the transport's end. `None` sets no limit, for a driver
    /// that has a limit of its own and then [terminates](crate::Connection::terminate) the connection.
    pub close_timeout: Option<Duration>,
    /// The time that a client waits after the closing handshake for the server to end the transport, before it does so
    /// itself. A server does not wait (RFC 6455 section 7.1.1). The default is 1 s: enough for some round trips, and
    /// short enough for the user of a program that ends.
    pub end_timeout: Duration,
    /// Whether pings are answered automatically. `true` by default. If it is `false`, the user answers with
    /// [`pong`](crate::Connection::pong).
    pub auto_pong: bool,
    /// Whether pings and pongs go ahead of messages that have not started. `true` by default, so that a peer's ping is
    /// answered in time, however much waits. If it is `false`, all frames are written in the order of the calls, and
    /// every pong is sent, not only the newest of a flood: `max_buffered` alone bounds them. In the crate `ropeway` it is
    /// always on.
    pub control_first: bool,
    /// Whether the peer's close frame, or the end of its half of the transport, is answered at once. `true` by default.
    /// If it is `false`, messages can be sent until the user answers with
    /// [`answer_close`](crate::Connection::answer_close) or [`close`](crate::Connection::close), for at most
    /// `close_timeout`. In the crate `ropeway` this field has no effect: the handler decides.
    pub auto_close: bool,
    /// Whether a violation by the peer is answered at once with its close code. `true` by default. If it is `false`,
    /// nothing more is received after [`Event::Violation`](crate::Event::Violation), and messages can be sent until the
    /// user answers, for at most `close_timeout`. [`answer_close`](crate::Connection::answer_close) sends the
    /// violation's code and reason, [`close`](crate::Connection::close) others. In the crate `ropeway` it is always on.
    pub auto_fail: bool,
    /// Whether text, and the reason of a close frame, must be UTF-8, as RFC 6455 section 8.1 asks. `true` by default.
    /// If it is `false`, they come as unchecked bytes: [`Event::UncheckedText`](crate::Event::UncheckedText) and
    /// [`Event::UncheckedClose`](crate::Event::UncheckedClose). In the crate `ropeway` it is always on.
    pub check_utf8: bool,
    /// The most memory that is reserved for a message before its bytes come, if a header announces that many. The
    /// default is only 1 KiB, because an announcement costs the peer nothing. After that, memory grows with the bytes
    /// that come, to at most twice their number.
    ///
    /// A driver that trusts its peers, or has few, may set this to the length of its usual large messages. They are
    /// then not moved in memory while they grow. Otherwise a message of 1 MiB that is read 64 KiB at a time is moved
    /// three times, 1.4 MiB in all. With `buffers` this is not needed, since a buffer that was used before has room.
    pub reserve_ahead: usize,
    /// The set that buffers of large messages are taken from, instead of the allocator. All connections that share the
    /// set reuse its buffers. A server has one by default, a client none.
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
            control_first: true,
            auto_close: true,
            auto_fail: true,
            check_utf8: true,
            reserve_ahead: 1024,
            buffers: Some(Arc::default()),
        }
    }

    /// A client's defaults: those of a server, but messages of up to 128 MiB in up to 2^20 fragments, and no buffers
    /// that outlive it.
    pub fn client() -> Self {
        Self { max_payload: 128 << 20, max_fragments: 1 << 20, buffers: None, ..Self::server() }
    }
}

/// Setters. Each has the name of its field, whose documentation says more.
impl Config {
    /// The most bytes that a received message may have, inflated: see the field
    /// [`max_payload`](Self#structfield.max_payload).
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// The most frames that a message may be cut into: see the field [`max_fragments`](Self#structfield.max_fragments).
    pub fn max_fragments(mut self, fragments: u32) -> Self {
        self.max_fragments = fragments;
        self
    }

    /// The most control frames that a peer may send within a second: see the field
    /// [`max_control_rate`](Self#structfield.max_control_rate).
    pub fn max_control_rate(mut self, frames_a_second: u32) -> Self {
        self.max_control_rate = frames_a_second;
        self
    }

    /// The bytes that wait to be written from which on messages are refused: see the field
    /// [`max_buffered`](Self#structfield.max_buffered).
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes;
        self
    }

    /// The time that a message may take from its first byte to its last: see the field
    /// [`message_timeout`](Self#structfield.message_timeout).
    pub fn message_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.message_timeout = time.into();
        self
    }

    /// The time of silence after which a ping is sent: see the field [`ping_interval`](Self#structfield.ping_interval).
    pub fn ping_interval(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.ping_interval = time.into();
        self
    }

    /// The time after such a ping until the peer counts as gone: see the field
    /// [`ping_timeout`](Self#structfield.ping_timeout).
    pub fn ping_timeout(mut self, time: Duration) -> Self {
        self.ping_timeout = time;
        self
    }

    /// The time limit for the closing handshake: see the field [`close_timeout`](Self#structfield.close_timeout).
    pub fn close_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.close_timeout = time.into();
        self
    }

    /// The time that a client waits for the server to end the transport: see the field
    /// [`end_timeout`](Self#structfield.end_timeout).
    pub fn end_timeout(mut self, time: Duration) -> Self {
        self.end_timeout = time;
        self
    }

    /// Whether pings are answered automatically: see the field [`auto_pong`](Self#structfield.auto_pong).
    pub fn auto_pong(mut self, on: bool) -> Self {
        self.auto_pong = on;
        self
    }

    /// Whether pings and pongs go ahead of messages: see the field [`control_first`](Self#structfield.control_first).
    pub fn control_first(mut self, on: bool) -> Self {
        self.control_first = on;
        self
    }

    /// Whether the peer's close frame, or the end of its half of the transport, is answered at once: see the field
    /// [`auto_close`](Self#structfield.auto_close).
    pub fn auto_close(mut self, on: bool) -> Self {
        self.auto_close = on;
        self
    }

    /// Whether a violation by the peer is answered at once: see the field [`auto_fail`](Self#structfield.auto_fail).
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

    /// The set that buffers of large messages are taken from: see the field [`buffers`](Self#structfield.buffers).
    pub fn buffers(mut self, buffers: impl Into<Option<Arc<Buffers>>>) -> Self {
        self.buffers = buffers.into();
        self
    }
}
