//! Exit codes of several commands. Those of `connect` alone are in `connect::exit`.

/// Wrong usage: `EX_USAGE` of sysexits.h, since 2 has another meaning for `connect`.
pub(crate) const USAGE: u8 = 64;

/// Ended by Ctrl-C: 128 plus the number of SIGINT, as in shells.
pub(crate) const INTERRUPTED: u8 = 130;
