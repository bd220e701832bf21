//! The contract in `sansio.md` is whole: it names every public method of a connection, and its driver is the example's.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The source of a connection: its file, and those of its folder.
fn sources() -> Vec<String> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/connection")).unwrap();
    let mut sources: Vec<_> = folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    sources.push(read("src/connection.rs"));
    sources
}

/// From a line that begins with `start` to the first `}` at the beginning of a line.
fn item<'a>(text: &'a str, start: &str) -> &'a str {
    let from = text.find(&format!("\n{start}")).unwrap_or_else(|| panic!("there is no {start}")) + 1;
    let length = text[from..].find("\n}\n").unwrap();
    &text[from..from + length]
}

#[test]
fn every_public_method_of_a_connection_is_in_the_contract() {
    let contract = read("sansio.md");
    let mut methods = 0;
    for text in sources() {
        for line in text.lines() {
            let Some(rest) = line.trim().strip_prefix("pub ") else { continue };
            let Some(rest) = rest.trim_start_matches("const ").strip_prefix("fn ") else { continue };
            let name = rest.split(['(', '<']).next().unwrap();
            methods += 1;
            let is_named = [format!("`{name}`"), format!("`{name}("), format!("::{name}`")];
            assert!(is_named.iter().any(|form| contract.contains(form)), "{name} is not in the contract");
        }
    }
    assert!(methods > 40, "only {methods} methods were found");
}

#[test]
fn the_driver_of_the_contract_is_that_of_the_example() {
    let (contract, example) = (read("sansio.md"), read("examples/blocking.rs"));
    for start in ["fn drive(", "fn receive("] {
        assert_eq!(item(&contract, start), item(&example, start));
    }
}
