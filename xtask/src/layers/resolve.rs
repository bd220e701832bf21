//! From a path to the file that defines the item it names, through renames, globs and `pub use`.

use super::modules::{Binding, FileId, ModuleId, Modules};

/// The item that a path leads to, inside the crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The file that defines it.
    pub(super) file: FileId,
    /// The path of its definition. It can be written instead of a path through another module.
    pub(super) path: String,
    /// Set if the path ends at a module, and not at an item inside one.
    pub(super) module: Option<ModuleId>,
    /// The modules in which a name of the path was looked up. A module that the path only passes through is not among
    /// them.
    pub(super) asked: Vec<ModuleId>,
}

/// Returns the items that `segments`, written in `module`, may lead to. There is none if the path leaves the crate, and
/// several if a name depends on a `cfg`.
pub(super) fn resolve(modules: &Modules, module: ModuleId, segments: &[String]) -> Vec<Target> {
    Resolver { modules, under_way: Vec::new() }.from(module, segments)
}

/// Returns the items that the single `word` may mean in `module`, if only a glob can bring it in.
pub(super) fn through_globs(modules: &Modules, module: ModuleId, word: &str) -> Vec<Target> {
    if modules.all[module].bindings.contains_key(word) {
        return Vec::new();
    }
    Resolver { modules, under_way: Vec::new() }.by_globs(module, &[word.to_owned()])
}

struct Resolver<'a> {
    modules: &'a Modules,
    /// The imports that are being followed. They are needed because `use anyhow::anyhow` binds the name that it begins
    /// with.
    under_way: Vec<(ModuleId, Vec<String>)>,
}

impl Resolver<'_> {
    fn from(&mut self, module: ModuleId, segments: &[String]) -> Vec<Target> {
        match anchor(self.modules, module, segments) {
            Some((start, rest)) => self.down(start, rest, true),
            None => self.down(module, segments, false),
        }
    }

    /// Resolves the path of an import in `module`, followed by `rest`.
    fn follow(&mut self, module: ModuleId, import: &[String], rest: &[String]) -> Vec<Target> {
        let step = (module, import.to_vec());
        if self.under_way.contains(&step) {
            return Vec::new();
        }
        self.under_way.push(step);
        let found = self.from(module, &[import, rest].concat());
        self.under_way.pop();
        found
    }

    /// Goes down from `module`. If `must_be` is set, the path does not leave the crate. A name that nothing binds is
    /// then one that a macro of the module makes.
    fn down(&mut self, module: ModuleId, segments: &[String], must_be: bool) -> Vec<Target> {
        let this = &self.modules.all[module];
        let path = self.modules.path_of(module);
        let Some((name, rest)) = segments.split_first() else {
            return vec![Target { file: this.file, path, module: Some(module), asked: Vec::new() }];
        };
        // The names behind the name of an item belong to the item: a variant, a method.
        let path = format!("{path}::{name}");
        let defined_here = vec![Target { file: this.file, path, module: None, asked: vec![module] }];
        let Some(bindings) = this.bindings.get(name) else {
            let found = self.by_globs(module, segments);
            return if found.is_empty() && must_be { defined_here } else { found };
        };
        // Only modules and types have items inside. If there is a module of the name, its other bindings are functions
        // or macros.
        let is_module = |binding: &&Binding| matches!(binding, Binding::Module(_));
        let only_modules = !rest.is_empty() && bindings.iter().any(|binding| is_module(&binding));
        let mut found = Vec::new();
        for binding in bindings.iter().filter(|binding| !only_modules || is_module(binding)) {
            let targets = match binding {
                Binding::Module(child) => self.down(*child, rest, true),
                Binding::Item => defined_here.clone(),
                Binding::Use(path) => {
                    let beyond = self.follow(module, path, rest);
                    // An item of another crate counts as one of the module that imports it.
                    if beyond.is_empty() && must_be { defined_here.clone() } else { asking(module, beyond) }
                }
            };
            found.extend(targets.into_iter().filter(|target| !found.contains(target)).collect::<Vec<_>>());
        }
        found
    }

    fn by_globs(&mut self, module: ModuleId, segments: &[String]) -> Vec<Target> {
        let mut found = Vec::new();
        for glob in &self.modules.all[module].globs {
            let step = (module, glob.segments.clone());
            if self.under_way.contains(&step) {
                continue;
            }
            self.under_way.push(step);
            for target in self.from(module, &glob.segments) {
                // The variants of an enum are not known, so nothing is looked up in one.
                if let Some(source) = target.module {
                    found.extend(asking(module, self.down(source, segments, false)));
                }
            }
            self.under_way.pop();
        }
        found
    }
}

/// Returns the module where a path that begins with `crate`, `self` or `super` starts, and the rest of the path.
fn anchor<'a>(modules: &Modules, module: ModuleId, segments: &'a [String]) -> Option<(ModuleId, &'a [String])> {
    let (first, mut rest) = segments.split_first()?;
    let mut start = match first.as_str() {
        "crate" => 0,
        "self" => module,
        "super" => modules.all[module].parent?,
        _ => return None,
    };
    while let Some(("super", after)) = rest.split_first().map(|(name, after)| (name.as_str(), after)) {
        start = modules.all[start].parent?;
        rest = after;
    }
    Some((start, rest))
}

fn asking(module: ModuleId, mut targets: Vec<Target>) -> Vec<Target> {
    for target in &mut targets {
        target.asked.push(module);
    }
    targets
}
