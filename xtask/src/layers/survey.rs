//! Compares a crate's imports with its floors.

use std::collections::{BTreeMap, BTreeSet};

use super::circle::{self, Graph};
use super::fault::{Fault, Where};
use super::modules::{FileId, Kind, Mention, ModuleId, Modules};
use super::resolve::{Target, resolve, through_globs};
use super::table::{House, Place};

/// The imports and faults of one crate, or of one folder with floors of its own.
pub(super) struct Survey {
    pub(super) files: usize,
    /// For each room, the rooms that it imports.
    pub(super) arrows: BTreeMap<Place, BTreeSet<Place>>,
    pub(super) faults: Vec<Fault>,
}

/// One import: a path that leads to another file.
struct Import {
    from: FileId,
    line: usize,
    written: String,
    target: Target,
    /// Set if the path begins with a name that a `use` of the module brings in. That `use` was counted already.
    again: bool,
    /// Unset if this file can be understood without the one it leads to: a module only lists that one for others.
    needs: bool,
}

/// Looks at every import of the files in `house`.
pub(super) fn survey(house: &House, modules: &Modules) -> Survey {
    let imports = imports(modules);
    let inside: Vec<FileId> =
        (0..modules.files.len()).filter(|file| house.inside(&modules.files[*file]).is_some()).collect();
    let mut survey = Survey { files: inside.len(), arrows: BTreeMap::new(), faults: Vec::new() };
    if !house.floors.is_empty() {
        survey.rooms(house, modules, &inside);
        survey.floors(house, modules, &imports);
    }
    survey.circles(house, modules, &imports);
    survey
}

impl Survey {
    fn rooms(&mut self, house: &House, modules: &Modules, inside: &[FileId]) {
        self.faults.extend(house.empty_rooms(&modules.files).into_iter().map(|part| Fault::Empty { part }));
        for file in inside.iter().map(|file| &modules.files[*file]) {
            if house.room_of(file).is_none() {
                let part = house.part_of(file).unwrap_or_default().to_owned();
                self.faults.push(Fault::Homeless { file: format!("{}/{file}", house.source), part });
            }
        }
    }

    fn floors(&mut self, house: &House, modules: &Modules, imports: &[Import]) {
        let place = |file: FileId| house.room_of(&modules.files[file]);
        let named = |place: Place| Where { room: house.name_of(place), floor: place.0 + 1 };
        let mut told = BTreeSet::new();
        for import in imports.iter().filter(|import| !import.again) {
            let Some(from) = place(import.from) else { continue };
            let goal = place(import.target.file);
            let asked = import.target.asked.iter().map(|module| place(modules.all[*module].file));
            let to: BTreeSet<Place> = asked.chain([goal]).flatten().filter(|to| *to != from).collect();
            self.arrows.entry(from).or_default().extend(&to);
            let is_below = |to: Place| to == from || to.0 < from.0;
            // An import is reported once, for the highest room that it touches.
            let Some(to) = to.into_iter().rfind(|to| !is_below(*to)) else { continue };
            if told.insert((import.from, to, import.target.path.clone())) {
                self.faults.push(Fault::NotBelow {
                    at: format!("{}/{}:{}", house.source, modules.files[import.from], import.line),
                    written: import.written.clone(),
                    from: named(from),
                    to: named(to),
                    instead: goal.is_some_and(is_below).then(|| import.target.path.clone()),
                });
            }
        }
    }

    /// Reports circles of files inside a room. A circle through several rooms has an arrow that does not point down,
    /// which is reported already.
    fn circles(&mut self, house: &House, modules: &Modules, imports: &[Import]) {
        let mut graph = Graph::new();
        let mut first: BTreeMap<(FileId, FileId), &Import> = BTreeMap::new();
        for import in imports.iter().filter(|import| import.needs) {
            let (from, to) = (import.from, import.target.file);
            let (file, other) = (&modules.files[from], &modules.files[to]);
            let is_inside = house.inside(file).is_some() && house.inside(other).is_some();
            if is_inside && house.room_of(file) == house.room_of(other) {
                graph.entry(from).or_default().insert(to);
                first.entry((from, to)).or_insert(import);
            }
        }
        for knot in circle::knots(&graph) {
            let imports = knot.circle.windows(2).map(|pair| {
                let import = first[&(pair[0], pair[1])];
                let at = format!("{}/{}:{}", house.source, modules.files[pair[0]], import.line);
                (at, import.written.clone(), modules.files[pair[1]].clone())
            });
            self.faults.push(Fault::Circle {
                imports: imports.collect(),
                knot: knot.nodes.iter().map(|file| modules.files[*file].clone()).collect(),
            });
        }
    }
}

/// Returns every path of the crate that leads to another file of it, in the order of the text.
fn imports(modules: &Modules) -> Vec<Import> {
    let mut imports = Vec::new();
    for (id, module) in modules.all.iter().enumerate() {
        for mention in &module.mentions {
            for target in resolve(modules, id, &mention.segments) {
                imports.push(Import {
                    from: module.file,
                    line: mention.line,
                    written: mention.segments.join("::"),
                    again: mention.kind == Kind::Code && module.imports(&mention.segments[0]),
                    needs: needs(modules, id, mention, &target),
                    target,
                });
            }
        }
        for (word, line) in module.words.iter().filter(|_| !module.globs.is_empty()) {
            for target in through_globs(modules, id, word) {
                let written = word.clone();
                imports.push(Import { from: module.file, line: *line, written, again: false, needs: true, target });
            }
        }
    }
    imports.retain(|import| import.from != import.target.file);
    imports.sort_by_key(|import| (import.from, import.line));
    imports
}

/// Whether a person has to read the item that a module mentions, to understand the module.
fn needs(modules: &Modules, module: ModuleId, mention: &Mention, target: &Target) -> bool {
    match &mention.kind {
        // The names that a glob brings are counted by the words in the code.
        Kind::Glob if target.module.is_some() => false,
        // A list of a folder's files. The items are counted where they are used.
        _ if target.module.is_some_and(|target| modules.has_files_below(target)) => false,
        Kind::Export(name) => {
            let is_own_child = target.asked.iter().chain(&target.module).any(|other| {
                *other != module && modules.all[*other].file == target.file && modules.is_inside(*other, module)
            });
            !is_own_child || modules.all[module].words.contains_key(name)
        }
        _ => true,
    }
}
