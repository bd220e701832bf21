//! The list of examples: each is tested, says at its top how to run it, and is in the README.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TESTS: &str = include_str!("main.rs");

/// A new example needs a test here, a command in the README, and the same command at its top.
#[test]
fn each_example_is_tested_listed_and_says_how_to_run_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    let examples: BTreeSet<String> = fs::read_dir(root.join("examples"))
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("it has a name").to_string_lossy().into_owned())
        .collect();
    assert!(examples.len() >= 15, "{examples:?}");

    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let is_default = |feature: &toml::Value| manifest["features"]["default"].as_array().unwrap().contains(feature);
    let mut faults = Vec::new();
    let mut commands = BTreeSet::new();
    for name in &examples {
        let target = manifest["example"].as_array().unwrap().iter().find(|it| it["name"].as_str() == Some(name));
        let has_tests = target.is_some_and(|target| target.get("test").is_some());
        let mut command = format!("cargo {} -p ropeway --example {name}", if has_tests { "test" } else { "run" });
        let features = target.and_then(|target| target.get("required-features")).and_then(toml::Value::as_array);
        for feature in features.into_iter().flatten().filter(|feature| !is_default(feature)) {
            command.extend([" --features ", feature.as_str().unwrap()]);
        }
        let source = read(&format!("examples/{name}.rs"));
        if !source.starts_with("//! ") {
            faults.push(format!("{name}: its first line does not say what it shows"));
        }
        // A command may go on with arguments.
        let is_on_top = source.lines().take(8).any(|line| {
            line.strip_prefix("//! ")
                .and_then(|line| line.strip_prefix(&command))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(" -- "))
        });
        if !is_on_top {
            faults.push(format!("{name}: `{command}` is not at its top"));
        }
        // One with tests of its own is built for them alone.
        if !has_tests && !TESTS.contains(&format!("(\"{name}\"")) {
            faults.push(format!("{name}: no test starts it"));
        }
        commands.insert(command);
    }
    let listed: BTreeSet<String> = read("../../README.md")
        .lines()
        // Those of the engines' crates are tested there.
        .filter(|line| line.starts_with("cargo ") && line.contains(" -p ropeway --example "))
        .map(|line| line.split(" -- ").next().unwrap_or(line))
        .map(|line| line.split('#').next().unwrap_or(line).trim().to_owned())
        .collect();
    faults.extend(commands.difference(&listed).map(|command| format!("README.md does not list `{command}`")));
    faults.extend(listed.difference(&commands).map(|command| format!("README.md lists `{command}`")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
