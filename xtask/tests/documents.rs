//! Checks that the documents name only files, functions, types, tests and floors that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Endings of the names of files.
const ENDINGS: [&str; 8] = [".rs", ".toml", ".md", ".py", ".mjs", ".js", ".json", ".svg"];

/// Folders of others' files, which git ignores.
const FETCHED: [&str; 3] =
    ["bindings/node/harness/test", "bindings/node/harness/results", "bindings/node/test/dependents/installed"];

/// Keywords in front of a name that they define.
const DEFINITIONS: [&str; 13] = [
    "def",
    "fn",
    "const",
    "static",
    "struct",
    "enum",
    "trait",
    "type",
    "mod",
    "macro_rules!",
    "class",
    "function",
    "let",
];

/// The text of every source file, by its path from the repository's root.
type Files = BTreeMap<String, String>;

/// Collects the source files below a folder.
fn collect(root: &Path, below: &str, files: &mut Files) {
    for entry in fs::read_dir(root.join(below)).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().into_string().expect("a name is UTF-8");
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if entry.file_type().expect("the kind of an entry is known").is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" && !FETCHED.contains(&path.as_str())
            {
                collect(root, &path, files);
            }
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.insert(path, fs::read_to_string(entry.path()).expect("a source file is text"));
        }
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a text has this name as a whole word.
fn has_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_word) && !text[at + name.len()..].starts_with(is_word)
    })
}

/// The names that a text defines or exports: items, fields, variants, and rows of tests.
fn definitions(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for exported in text.split("pub use ").skip(1) {
        names.extend(exported.split(';').next().into_iter().flat_map(|it| it.split(|c| !is_word(c))));
    }
    for line in text.lines().map(str::trim_start) {
        names.extend(line.strip_prefix("name = \"").and_then(|rest| rest.split('"').next()));
        let mut words = line.split([' ', '(', '<', ':', ',', ';', '{']).filter(|word| !word.is_empty());
        let first = words.clone().find(|word| !["pub", "crate)", "super)", "self)"].contains(word));
        names.extend(first);
        while let Some(word) = words.next() {
            if DEFINITIONS.contains(&word) {
                names.extend(words.clone().next());
            }
        }
    }
    names
}

/// A text in backticks, by its form.
enum Name<'a> {
    /// `recv/decoder.rs`.
    File(&'a str),
    /// `recv/decoder.rs: Decoder::next`.
    In(&'a str, &'a str),
    /// `Decoder::next`.
    Path(&'a str),
    /// `a_long_name_is_that_of_a_test`, or its beginning before an ellipsis.
    Test(&'a str),
    /// `WS_ERR_INVALID_CLOSE_CODE`, the code of an error.
    Code(&'a str),
    Other,
}

fn parse(text: &str) -> Name<'_> {
    let is_file = |text: &str| {
        ENDINGS.iter().any(|ending| text.ends_with(ending)) && text.chars().all(|c| is_word(c) || "./-".contains(c))
    };
    if is_file(text) {
        return Name::File(text);
    }
    if let Some((file, name)) = text.split_once(": ")
        && is_file(file)
    {
        return Name::In(file, name);
    }
    let name = text.split(['…', '(']).next().unwrap_or(text);
    let is_name = !name.is_empty() && name.chars().all(|c| is_word(c) || c == ':');
    match name {
        _ if !is_name => Name::Other,
        _ if name.contains("::") => Name::Path(name),
        _ if name.contains("_ERR_") => Name::Code(name),
        _ if name.matches('_').count() > 3 => Name::Test(name),
        _ => Name::Other,
    }
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// The names that are defined in each file of Rust, and in the rows.
type Index<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Returns why a name is wrong, if it is.
fn fault(text: &str, files: &Files, index: &Index<'_>) -> Option<&'static str> {
    let paths = |suffix: &str| files.keys().filter(|path| Path::new(path).ends_with(suffix)).collect::<Vec<_>>();
    let is_defined = |name: &str| index.values().any(|names| names.contains(name));
    match parse(text) {
        Name::File(path) => paths(path).is_empty().then_some("no such file"),
        Name::In(path, name) => {
            let name = name.split('(').next().unwrap_or(name);
            let is_there = paths(path).into_iter().any(|path| {
                index.get(path.as_str()).is_some_and(|names| names.contains(last(name)))
                    && name.split("::").all(|part| has_word(&files[path], part))
            });
            (!is_there).then_some("not in that file")
        }
        // A path is checked if it begins with a type of ours, and not with a crate or a module.
        Name::Path(path) => {
            let is_ours = path.starts_with(char::is_uppercase) && path.split("::").next().is_some_and(is_defined);
            (is_ours && !is_defined(last(path))).then_some("not defined anywhere")
        }
        Name::Test(name) if text.contains('…') => {
            let begins_so = |names: &BTreeSet<&str>| names.range(name..).next().is_some_and(|it| it.starts_with(name));
            (!index.values().any(begins_so)).then_some("no test begins so")
        }
        Name::Test(name) => (!is_defined(name)).then_some("no such test"),
        Name::Code(name) => {
            let is_there = files.iter().any(|(path, text)| extension(path) == "js" && has_word(text, name));
            (!is_there).then_some("no such code")
        }
        Name::Other => None,
    }
}

/// Splits a document into its prose and its fences of code.
fn prose_and_fences(text: &str) -> (String, Vec<&str>) {
    let parts: Vec<&str> = text.split("```").collect();
    (parts.iter().step_by(2).copied().collect(), parts.into_iter().skip(1).step_by(2).collect())
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn each_file_each_name_and_each_test_in_the_documents_exists() {
    let mut files = Files::new();
    collect(root(), "", &mut files);
    let is_indexed = |path: &str| ["rs", "py", "js"].contains(&extension(path)) || path.starts_with("testdata/");
    let index = files.iter().filter(|(path, _)| is_indexed(path));
    let index = index.map(|(path, text)| (path.as_str(), definitions(text))).collect();
    let mut missing = Vec::new();
    let mut count = 0;
    // The changelog speaks of names that are gone.
    for document in files.keys().filter(|path| extension(path) == "md" && *path != "CHANGELOG.md") {
        let (prose, fences) = prose_and_fences(&files[document]);
        for name in prose.split('`').skip(1).step_by(2) {
            count += usize::from(!matches!(parse(name), Name::Other));
            missing.extend(fault(name, &files, &index).map(|fault| format!("{document}: `{name}`: {fault}")));
        }
        // The first picture of ARCHITECTURE.md has files by their paths, without `.rs`.
        let picture = fences.first().filter(|_| document == "ARCHITECTURE.md").copied().unwrap_or_default();
        for path in picture.split(|c: char| !is_word(c) && c != '/').filter(|path| path.contains('/')) {
            let is_there = files.keys().any(|file| file.contains(&format!("src/{}", path.trim_end_matches('/'))));
            missing.extend(
                (!is_there && path != "crates/ropeway/src" && path != "crates/proto/src")
                    .then(|| format!("{document}: {path} in the picture: no such file")),
            );
        }
    }
    assert!(count > 200, "only {count} names were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[derive(Deserialize)]
struct House {
    floors: Option<Vec<Vec<Room>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Room {
    One(String),
    Several(Vec<String>),
}

#[test]
fn the_floors_in_the_document_are_those_that_are_checked() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the document can be read");
    let table = fs::read_to_string(root().join("xtask/layers.toml")).expect("the table can be read");
    let houses: BTreeMap<String, House> = toml::from_str(&table).expect("the table is as its top says");
    for name in ["proto", "ropeway"] {
        let (_, section) = text.split_once(&format!("### crates/{name}:")).expect("each crate has a section");
        let picture = section.split("```").nth(1).expect("each section has a picture");
        let floors = houses[name].floors.as_ref().expect("the floors are settled");
        for (index, rooms) in floors.iter().enumerate() {
            let number = format!("{} ", index + 1);
            let line = picture.lines().find(|line| line.starts_with(&number)).unwrap_or_default();
            let rooms = rooms.iter().flat_map(|room| match room {
                Room::One(room) => std::slice::from_ref(room),
                Room::Several(rooms) => rooms,
            });
            for room in rooms.filter(|room| *room != "lib") {
                assert!(has_word(line, room), "`{room}` of {name} is on floor {number}of the table: {line:?}");
            }
        }
    }
}

/// The first words of a comment that make a reader guess its noun.
const RIDDLES: [&str; 5] = ["What", "Who", "Whoever", "Whom", "Whose"];

#[test]
fn no_comment_begins_with_a_riddle() {
    let mut files = Files::new();
    collect(root(), "", &mut files);
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| ["rs", "js"].contains(&extension(path))) {
        let mut is_within = false;
        for (index, line) in text.lines().enumerate() {
            let comment = line
                .trim_start()
                .trim_start_matches("/*")
                .strip_prefix("*")
                .or_else(|| line.trim_start().strip_prefix("//"));
            let comment = comment.map(|it| it.trim_start_matches(['/', '!']).trim_start());
            let first = comment.and_then(|comment| comment.split(' ').next()).filter(|_| !is_within);
            if first.is_some_and(|word| RIDDLES.contains(&word)) {
                found.push(format!("{path}:{}: {}", index + 1, line.trim_start()));
            }
            is_within = comment.is_some_and(|comment| !comment.is_empty());
        }
    }
    assert!(found.is_empty(), "name the thing first (see CONTRIBUTING.md, \"Plain words\"):\n{}", found.join("\n"));
}
