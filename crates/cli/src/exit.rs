//! Exit codes that several commands have. Those of `connect` alone are in `connect::exit`.

/// Wrong usage: `EX_USAGE` of sysexits.h, since `connect` gives 2 another meaning.
pub(crate) const USAGE: u8 = 64;

/// Ended by Ctrl-C: 128 and the number of SIGINT, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;
