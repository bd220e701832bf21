//! A connection's settings, from the numbers that JavaScript passes to those of the core.

use std::sync::Arc;

use ropeway_proto::Config;
use ropeway_proto::deflate::{Options, Params};

use crate::napi::{Args, Env, Result};

/// The most bytes of a message where ws has no limit: a row's length has 32 bits.
const NO_LIMIT: f64 = u32::MAX as f64;

const SERVER: u32 = 1;
const UNCHECKED: u32 = 2;
const DEFLATE: u32 = 4;
const SERVER_FORGETS: u32 = 8;
const CLIENT_FORGETS: u32 = 16;

/// The arguments of `open`: flags, `maxPayload`, `maxFragments`, and for permessage-deflate both windows in bits, the
/// threshold, the level and the memory level.
pub(crate) struct Settings {
    pub(crate) is_server: bool,
    pub(crate) deflate: Option<(Params, Options)>,
    checks_utf8: bool,
    max_payload: usize,
    max_fragments: u32,
}

impl Settings {
    pub(crate) fn read(env: Env, args: &Args) -> Result<Self> {
        let flags = env.to_integer(args.get(0))?;
        let is_on = |flag: u32| flags & flag != 0;
        let mut deflate = None;
        if is_on(DEFLATE) {
            let byte = |index: usize| env.to_integer(args.get(index)).map(|number| number as u8);
            let params = Params {
                server_no_context_takeover: is_on(SERVER_FORGETS),
                client_no_context_takeover: is_on(CLIENT_FORGETS),
                server_max_window_bits: byte(3)?,
                client_max_window_bits: byte(4)?,
            };
            let threshold = env.to_number(args.get(5))? as usize;
            let options = Options::default().threshold(threshold).level(byte(6)?).mem_level(byte(7)?);
            // The window to compress with is the core's default.
            deflate = Some((params, options));
        }
        let limit = |index: usize| env.to_number(args.get(index)).map(|most| if most > 0.0 { most } else { NO_LIMIT });
        Ok(Self {
            is_server: is_on(SERVER),
            deflate,
            checks_utf8: !is_on(UNCHECKED),
            max_payload: limit(1)?.min(NO_LIMIT) as usize,
            max_fragments: limit(2)?.min(NO_LIMIT) as u32,
        })
    }

    /// The configuration of the core, which is `last` if that is the same: all connections of a server share one.
    pub(crate) fn config(&self, last: &mut Arc<Config>) -> Arc<Config> {
        let is_same = last.max_payload == self.max_payload
            && last.max_fragments == self.max_fragments
            && last.check_utf8 == self.checks_utf8;
        if !is_same {
            *last = Arc::new(
                base().max_payload(self.max_payload).max_fragments(self.max_fragments).check_utf8(self.checks_utf8),
            );
        }
        Arc::clone(last)
    }
}

/// The settings that are the same for all: JavaScript answers pings and close frames, and keeps the time. It has no limit on
/// what waits, as ws has none.
pub(crate) fn base() -> Config {
    Config::client()
        .max_control_rate(u32::MAX)
        .max_buffered(usize::MAX)
        .ping_interval(None)
        .close_timeout(None)
        .auto_pong(false)
        .control_first(false)
        .auto_close(false)
        .auto_fail(false)
}
