//! The settings of one connection: its limits, times, compression and overflow policy. They are written once, for all
//! types that have them.

use std::sync::Arc;

use ropeway_proto::{Config, deflate};

use crate::overflow::Overflow;

/// The settings of one connection. Clones share the limits until one of them changes them.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSettings {
    /// `auto_close` is off in it: the handler decides whether the peer's close frame is answered at once.
    config: Arc<Config>,
    /// The options that compression is negotiated with.
    pub(crate) deflate: Option<deflate::Options>,
    pub(crate) overflow: Overflow,
}

impl ConnectionSettings {
    /// A client's defaults. It offers compression, and the server decides.
    pub(crate) fn client() -> Self {
        Self::new(Config::client(), Some(deflate::Options::default()))
    }

    /// A server's defaults.
    pub(crate) fn server() -> Self {
        Self::new(Config::server(), None)
    }

    fn new(config: Config, deflate: Option<deflate::Options>) -> Self {
        Self { config: for_handlers(config), deflate, overflow: Overflow::default() }
    }

    /// The limits and times in the form that a connection takes.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    /// The limits and times, to be changed.
    pub(crate) fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }

    pub(crate) fn set_config(&mut self, config: Config) {
        self.config = for_handlers(config);
    }
}

/// Sets the fields that are not the user's to set. The handler decides whether the peer's close frame is answered at
/// once. Violations are answered before the handler gets them, and a handler's text is always UTF-8.
fn for_handlers(config: Config) -> Arc<Config> {
    Arc::new(config.auto_close(false).auto_fail(true).check_utf8(true))
}

/// The setters of a connection's settings, for a type with a method
/// `change(self, change: impl FnOnce(&mut ConnectionSettings) + Send + 'static) -> Self`, which makes the change or
/// keeps it for later.
///
/// This is the one list of them. A macro writes the methods into each type, since a trait would have to be imported by
/// users, and methods by hand would be the same text in each.
macro_rules! connection_setters {
    () => {
        /// How messages are compressed (permessage-deflate); `None` for no compression. A client offers it by default,
        /// and the server decides. A server has it off by default, like npm `ws`: it costs memory and time, so a server
        /// has to ask for it.
        pub fn per_message_deflate(self, options: impl Into<Option<ropeway_proto::deflate::Options>>) -> Self {
            let options = options.into();
            self.change(move |settings| settings.deflate = options)
        }

        /// The most bytes that a received message may have, inflated. A longer one is answered with close code 1009. 16
        /// MiB by default on a server, 128 MiB on a client.
        pub fn max_payload(self, bytes: usize) -> Self {
            self.change(move |settings| settings.config_mut().max_payload = bytes)
        }

        /// The most frames that a received message may be cut into. More are answered with close code 1008. 65,536 by
        /// default on a server, 2^20 on a client.
        pub fn max_fragments(self, fragments: u32) -> Self {
            self.change(move |settings| settings.config_mut().max_fragments = fragments)
        }

        /// The most pings, pongs and close frames that the peer may send within a second. More are answered with close
        /// code 1008. 1,000 by default.
        pub fn max_control_rate(self, frames_a_second: u32) -> Self {
            self.change(move |settings| settings.config_mut().max_control_rate = frames_a_second)
        }

        /// The time that a received message may take from its first byte to its last. One that takes longer is answered
        /// with close code 1008. `None`, the default, sets no limit.
        pub fn message_timeout(self, timeout: impl Into<Option<std::time::Duration>>) -> Self {
            let timeout = timeout.into();
            self.change(move |settings| settings.config_mut().message_timeout = timeout)
        }

        /// If at least this many bytes wait to be written, there is no room for another message.
        /// [`overflow`](Self::overflow) then decides what happens to it. 1 MiB by default.
        pub fn max_buffered(self, bytes: usize) -> Self {
            self.change(move |settings| settings.config_mut().max_buffered = bytes)
        }

        /// The policy for a message for which there is no room. By default sending it fails.
        pub fn overflow(self, overflow: crate::overflow::Overflow) -> Self {
            self.change(move |settings| settings.overflow = overflow)
        }

        /// The time of silence after which the peer is pinged; `None` never pings. 20 s by default.
        pub fn ping_interval(self, interval: impl Into<Option<std::time::Duration>>) -> Self {
            let interval = interval.into();
            self.change(move |settings| settings.config_mut().ping_interval = interval)
        }

        /// The time after such a ping until a silent peer counts as gone. 20 s by default.
        pub fn ping_timeout(self, timeout: std::time::Duration) -> Self {
            self.change(move |settings| settings.config_mut().ping_timeout = timeout)
        }

        /// The time limit for the closing handshake; `None` sets no limit. 10 s by default.
        pub fn close_timeout(self, timeout: impl Into<Option<std::time::Duration>>) -> Self {
            let timeout = timeout.into();
            self.change(move |settings| settings.config_mut().close_timeout = timeout)
        }

        /// Whether pings are answered automatically. They are by default.
        pub fn auto_pong(self, on: bool) -> Self {
            self.change(move |settings| settings.config_mut().auto_pong = on)
        }

        /// Sets all limits and times at once, and replaces those that were set before. Three fields of `config` are
        /// ignored: instead of `auto_close` the [handler](crate::Handler::on_peer_close) decides, and `auto_fail` and
        /// `check_utf8` are always on.
        pub fn config(self, config: ropeway_proto::Config) -> Self {
            self.change(move |settings| settings.set_config(config))
        }
    };
}

pub(crate) use connection_setters;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_shares_the_limits_until_it_changes_them() {
        let server = ConnectionSettings::server();
        let mut route = server.clone();
        assert!(Arc::ptr_eq(&server.config(), &route.config()));
        route.config_mut().max_payload = 1;
        assert_eq!((server.config().max_payload, route.config().max_payload), (16 << 20, 1));
    }
}
