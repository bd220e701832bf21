//! The error of a step that lacks a tool.

use std::fmt;

/// A tool that this machine lacks, and how to get it. It makes a step `NOT RUN` on a developer's machine, and failed in
/// CI.
#[derive(Debug)]
pub(crate) struct Missing {
    tool: String,
    remedy: String,
}

impl Missing {
    pub(crate) fn new(tool: &str, remedy: &str) -> Self {
        Self { tool: tool.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: {}", self.tool, self.remedy)
    }
}

impl std::error::Error for Missing {}
