//! Checks that the options and tests that SECURITY.md names exist.

use std::fs;
use std::path::{Path, PathBuf};

/// The places of tests and options.
const PLACES: [&str; 5] = ["crates", "testdata", "conformance", "fuzz/fuzz_targets", "SECURITY.md"];

/// Collects the source files below `place`, with their paths from the repository's root.
fn files(root: &Path, place: &Path, found: &mut Vec<(PathBuf, String)>) {
    let path = root.join(place);
    if path.is_dir() {
        for entry in fs::read_dir(&path).expect("the folder can be read") {
            let name = entry.expect("the folder can be read").file_name();
            if name != "node_modules" && name != "target" {
                files(root, &place.join(name), found);
            }
        }
    } else if path.extension().is_some_and(|it| ["rs", "toml", "py", "md"].map(Into::into).contains(&it.to_os_string()))
    {
        found.push((place.to_owned(), fs::read_to_string(&path).expect("a source file is text")));
    }
}

/// The texts in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn each_option_and_each_test_that_security_md_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = Vec::new();
    for place in PLACES {
        files(&root, Path::new(place), &mut all);
    }
    let (_, text) = all.pop().expect("SECURITY.md is the last");
    let is_in = |folder: &str, marks: &[String]| {
        all.iter().any(|(path, text)| path.starts_with(folder) && marks.iter().any(|mark| text.contains(mark)))
    };
    let is_option = |name: &str| {
        let name = name.rsplit("::").next().unwrap_or(name);
        let marks = ["pub fn {}(", "pub fn {}<", "pub async fn {}(", "pub {}:", "pub struct {} "];
        is_in("crates", &marks.map(|mark| mark.replace("{}", name)))
    };
    let is_test = |name: &str| {
        let marks = [format!("fn {name}("), format!("def {name}("), format!("name = \"{name}\"")];
        let file = if name.contains('.') { name.to_owned() } else { format!("fuzz_targets/{name}.rs") };
        // A command is not a name.
        name.contains(' ')
            || root.join(name).exists()
            || all.iter().any(|(path, _)| path.ends_with(&file))
            || is_in("", &marks)
    };
    let mut missing = Vec::new();
    let mut rows = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| threat")) {
        rows += 1;
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [threat, _, options, tests] = cells[..] else {
            missing.push(format!("{} cells, where four are needed: {row}", cells.len()));
            continue;
        };
        missing.extend(quoted(options).filter(|name| !is_option(name)).map(|name| format!("option {name}:{threat}")));
        missing.extend(quoted(tests).filter(|name| !is_test(name)).map(|name| format!("test {name}:{threat}")));
        if quoted(tests).next().is_none() {
            missing.push(format!("no test:{threat}"));
        }
    }
    assert!(rows > 25, "only {rows} rows were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
