//! The modules of a crate: for each the file that it is in, the names that it binds, and the paths that it mentions.
//! Resolving a path is left to [`resolve`](super::resolve).

use std::collections::HashMap;

/// An index into [`Modules::all`].
pub(super) type ModuleId = usize;

/// An index into [`Modules::files`].
pub(super) type FileId = usize;

/// Every module of one crate that is not compiled for tests alone. The first is the crate's root.
#[derive(Default)]
pub(super) struct Modules {
    /// Paths below the crate's source folder, such as `recv/decoder.rs`.
    pub(super) files: Vec<String>,
    pub(super) all: Vec<Module>,
}

pub(super) struct Module {
    pub(super) file: FileId,
    pub(super) parent: Option<ModuleId>,
    pub(super) name: String,
    /// The bindings by name. A name has several if each is for another `cfg`, or for another namespace.
    pub(super) bindings: HashMap<String, Vec<Binding>>,
    /// The modules and enums of which everything is imported: `use super::*`.
    pub(super) globs: Vec<Mention>,
    /// The paths that the module mentions, in the order of its text.
    pub(super) mentions: Vec<Mention>,
    /// Names that stand alone in the module's code, with the first line of each.
    pub(super) words: HashMap<String, usize>,
}

/// The meaning of a name inside a module.
#[derive(Clone)]
pub(super) enum Binding {
    Module(ModuleId),
    /// A type, function, trait, constant or macro that this module defines.
    Item,
    /// A name that `use` brings in, with the path that it stands for.
    Use(Vec<String>),
}

/// One path, and where it is written.
#[derive(Clone)]
pub(super) struct Mention {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A path in code: `wire::read(..)`.
    Code,
    /// `use a::b`.
    Use,
    /// `pub use a::b as c`. The module itself needs `c` only if it uses that word.
    Export(String),
    /// `use a::*`.
    Glob,
}

impl Module {
    /// Whether a `use` of the module brings in `name`.
    pub(super) fn imports(&self, name: &str) -> bool {
        self.bindings.get(name).is_some_and(|all| all.iter().any(|binding| matches!(binding, Binding::Use(_))))
    }
}

impl Modules {
    /// The folder-like name of a module: `crate::recv::decoder`.
    pub(super) fn path_of(&self, module: ModuleId) -> String {
        let this = &self.all[module];
        match this.parent {
            Some(parent) => format!("{}::{}", self.path_of(parent), this.name),
            None => "crate".into(),
        }
    }

    pub(super) fn is_inside(&self, module: ModuleId, ancestor: ModuleId) -> bool {
        module == ancestor || self.all[module].parent.is_some_and(|parent| self.is_inside(parent, ancestor))
    }

    /// Whether files lie below a module. Its own text may then be only the list of them.
    pub(super) fn has_files_below(&self, module: ModuleId) -> bool {
        let file = self.all[module].file;
        (0..self.all.len()).any(|other| self.all[other].file != file && self.is_inside(other, module))
    }
}
