//! The faults in the floors of a crate, and the advice for each.

use std::fmt;

/// One fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A file imports something from a room that is not below its own.
    NotBelow {
        at: String,
        written: String,
        from: Where,
        to: Where,
        /// The path to write instead, if the item is defined below and only this path goes through a room above.
        instead: Option<String>,
    },
    Circle {
        /// The files of the knot that the circle is a part of.
        knot: Vec<String>,
        /// Each import of the circle: where it is, what is written, and the file that it leads to.
        imports: Vec<(String, String, String)>,
    },
    /// A file in a room that the table does not have.
    Homeless { file: String, part: String },
    /// A room that has no file.
    Empty { part: String },
}

/// A room and its floor, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Where {
    pub(super) room: String,
    pub(super) floor: usize,
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on floor {}", self.room, self.floor)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBelow { at, written, from, to, instead } => {
                let direction = if to.floor > from.floor { "upward" } else { "sideways" };
                write!(f, "{at}: `{written}` is an import {direction}, from {from} to {to}")?;
                match instead {
                    Some(path) => write!(f, "; it is defined below: write `{path}`"),
                    None => Ok(()),
                }
            }
            Self::Circle { knot, imports } => {
                let around: Vec<&str> = imports.iter().map(|(_, _, to)| to.as_str()).collect();
                let last = around.last().copied().unwrap_or_default();
                write!(f, "a circle of {} files: {last} → {}", imports.len(), around.join(" → "))?;
                for (at, written, to) in imports {
                    write!(f, "\n    {at}: `{written}` leads to {to}")?;
                }
                if knot.len() > imports.len() {
                    write!(f, "\n    it is part of a knot of {} files: {}", knot.len(), knot.join(" "))?;
                }
                Ok(())
            }
            Self::Homeless { file, part } => write!(f, "{file} is in no room: `{part}` is not in xtask/layers.toml"),
            Self::Empty { part } => {
                write!(f, "xtask/layers.toml has a room `{part}`, but there is no {part}.rs and no folder {part}")
            }
        }
    }
}

impl Fault {
    /// Returns what to do. It is the same for every fault of the kind.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::NotBelow { .. } => {
                "A room imports only rooms on floors below its own, so that the crate can be read from the bottom up. Move what is \
                 needed down, into a room that both may import; or turn the arrow round: the lower room defines a trait or takes \
                 an argument, and the upper one implements or passes it. A `pub use` above is for users of the crate alone."
            }
            Self::Circle { .. } => {
                "Files of a room may not need each other in a circle. Move the items that both need into a file of its own below both, \
                 or pass it as an argument. A `mod.rs` that only declares and re-exports is in no circle; one that defines what \
                 its own children import is: give that a file."
            }
            Self::Homeless { .. } => {
                "Every file is in a room. Put the new file into the folder of the room that it belongs to; or add its name to \
                 xtask/layers.toml, to a floor above every room that it imports and below every room that imports it."
            }
            Self::Empty { .. } => {
                "Take the room out of xtask/layers.toml, or give it the name that its file or folder has now."
            }
        }
    }
}
