//! The scripts that run at the broker.

use std::sync::LazyLock;

use redis::Cmd;

/// A script, which the server knows by the SHA-1 of its text.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// Stores messages and publishes them in one step.
pub(crate) static PUBLISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/publish.lua")));

/// Reads the messages after a position.
pub(crate) static REPLAY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/replay.lua")));

/// Stores members, or renews them.
pub(crate) static JOIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/join.lua")));

/// Removes members.
pub(crate) static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/leave.lua")));

/// Lists members.
pub(crate) static MEMBERS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/members.lua")));

/// A call of a script. The server is given its hash, and only if it does not know that, the text.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

impl Invocation {
    /// A call with the keys that the script touches.
    pub(crate) fn new(script: &'static Script, keys: Vec<String>) -> Self {
        Self { script, keys, arguments: Vec::new() }
    }

    /// Adds an argument.
    pub(crate) fn push(&mut self, argument: impl Into<Vec<u8>>) {
        self.arguments.push(argument.into());
    }

    /// The command with the hash. It fails with NOSCRIPT if the server does not know the script.
    pub(crate) fn by_hash(&self) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.script.hash);
        self.rest(command)
    }

    /// The command with the text. The server then knows the script.
    pub(crate) fn by_text(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.script.text);
        self.rest(command)
    }

    fn rest(&self, mut command: Cmd) -> Cmd {
        command.arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}
