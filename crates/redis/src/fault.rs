//! The errors of a server, in words that say what to do.

use std::fmt::Display;

use redis::{RedisError, ServerError};
use ropeway::engine::{EngineError, EngineFault};

/// An error in a reply.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The server does not know a script.
    UnknownScript,
    /// A cluster is moving the slot. The call can be repeated.
    Moving,
    /// The session goes on.
    Refused(EngineError),
    /// The session cannot go on, for this reason.
    Fatal(String),
}

/// Sorts an error reply to a command. `what` names that which was asked for, such as "a publication".
pub(crate) fn refusal(address: &impl Display, what: &str, error: &ServerError) -> Refusal {
    let details = error.details().unwrap_or_default();
    let code = error.code();
    // Before Redis 7, an error within a script is an ERR with the other error in its text.
    let is = |wanted: &str| code == wanted || (code == "ERR" && details.contains(&format!("-{wanted} ")));
    let refused = |text: String| Refusal::Refused(EngineError::new(EngineFault::Refused, text));
    if code == "NOSCRIPT" {
        Refusal::UnknownScript
    } else if code == "ASK" || code == "TRYAGAIN" {
        Refusal::Moving
    } else if is("NOPERM") || is_denied_in_script(details) {
        refused(format!(
            "{address} refused {what}: the user may not do that ({details}); give the user the commands and the channel \
             and key patterns that the documentation of ropeway-redis lists (ACL SETUSER)"
        ))
    } else if is("OOM") {
        refused(format!("{address} refused {what}: its memory is full; give it more (maxmemory), or keep less history"))
    } else if is("READONLY") {
        Refusal::Fatal(format!(
            "{address} has become a replica, which takes no publications; give ropeway the address of the primary"
        ))
    } else if code == "MOVED" || code == "CLUSTERDOWN" {
        Refusal::Fatal(format!("the cluster has changed ({address}: {code} {details}); its slots must be read again"))
    } else if ["LOADING", "MASTERDOWN", "NOAUTH"].contains(&code) {
        Refusal::Fatal(format!("{address} does not take commands any more: {code} {details}"))
    } else {
        refused(format!("{address} refused {what}: {code} {details}"))
    }
}

/// Redis says it in other words within a script: the former until Redis 7.0, the latter after.
fn is_denied_in_script(details: &str) -> bool {
    details.contains("user executing the script can't") || details.contains("ACL failure in script")
}

/// An error of a server while ropeway connects.
pub(crate) fn greeting(address: &impl Display, error: &RedisError) -> EngineError {
    let text = error.to_string();
    let code = error.code().unwrap_or_default();
    let details = error.detail().unwrap_or_default();
    let (fault, text) = if is_too_old(error, code, details) {
        (
            EngineFault::WrongBroker,
            format!("{address} does not know RESP3, so it is older than Redis 6; ropeway needs Redis 6 or Valkey"),
        )
    } else if code == "WRONGPASS" || details.contains("WRONGPASS") || details.contains("invalid username-password") {
        (
            EngineFault::Access,
            format!(
                "{address} refused the user name or the password; put the right ones into the URL, or into `password`"
            ),
        )
    } else if code == "NOAUTH" || details.contains("NOAUTH") || details.contains("HELLO must be called with") {
        (
            EngineFault::Access,
            format!("{address} asks for a password; put it into the URL (redis://:password@host), or into `password`"),
        )
    } else if code == "NOPERM" {
        (EngineFault::Access, format!("{address} does not allow this user to connect: {details}"))
    } else if code == "DENIED" {
        (
            EngineFault::Access,
            format!(
                "{address} is in protected mode: it takes connections from its own machine alone; set a password there, \
                 or `bind` it to an address that only your servers reach"
            ),
        )
    } else if details.contains("max number of clients") {
        (EngineFault::Unreachable, format!("{address} has as many clients as it takes; raise its `maxclients`"))
    } else if ["LOADING", "MASTERDOWN", "BUSY"].contains(&code) {
        (EngineFault::Unreachable, format!("{address} is not ready yet: {code} {details}"))
    } else if details.contains("DB index") || details.contains("SELECT is not allowed") {
        (EngineFault::Settings, format!("{address} has no such database ({details}); use another number in the URL"))
    } else if error.is_io_error() {
        (
            EngineFault::WrongBroker,
            format!(
                "{address} closed the connection at the first command ({text}): it is not Redis, or it speaks only TLS \
                 (rediss://)"
            ),
        )
    } else if error.kind() == redis::ErrorKind::Parse {
        (
            EngineFault::WrongBroker,
            format!(
                "{address} does not speak the protocol of Redis: it is another kind of server, or it speaks only TLS \
                 (rediss://)"
            ),
        )
    } else {
        (EngineFault::WrongBroker, format!("{address} refused the connection: {text}"))
    };
    EngineError::new(fault, text).with_source(error.clone())
}

fn is_too_old(error: &RedisError, code: &str, details: &str) -> bool {
    error.kind() == redis::ErrorKind::RESP3NotSupported
        || code == "NOPROTO"
        || (details.contains("unknown command") && details.contains("HELLO"))
}
