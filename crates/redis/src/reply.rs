//! Replies of a server, read.

use std::collections::HashMap;

use redis::{FromRedisValue, Value};

/// The text of a reply, empty if it has none.
pub(crate) fn text(reply: &Value) -> String {
    String::from_redis_value_ref(reply).unwrap_or_default()
}

/// The fields of a reply such as that of HELLO.
pub(crate) fn map(reply: &Value) -> Option<HashMap<String, Value>> {
    HashMap::from_redis_value_ref(reply).ok()
}

/// The value of the setting that CONFIG GET was asked for, if it may be read.
pub(crate) fn setting(reply: Value) -> Option<String> {
    HashMap::<String, String>::from_redis_value(reply).ok()?.into_values().next()
}

/// The line `run_id:` of INFO.
pub(crate) fn run(reply: &Value) -> Option<String> {
    text(reply).lines().find_map(|line| line.strip_prefix("run_id:")).map(|run| run.trim().to_owned())
}
