//! The guide holds together: every page is built into the documentation and listed, every link leads to a page, and no page grows into
//! a book. That its code compiles is the documentation tests' to say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The lines of the longest page that is still one idea after the other.
const LONGEST: usize = 180;

fn guide() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/guide"))
}

fn read(name: &str) -> String {
    fs::read_to_string(guide().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The file names of all pages.
fn pages() -> BTreeSet<String> {
    let files = fs::read_dir(guide()).expect("the guide is there");
    files
        .map(|file| file.expect("it can be listed").file_name().into_string().expect("its name is UTF-8"))
        .filter(|name| name.ends_with(".md") && name != "README.md")
        .collect()
}

/// The links that a text defines, `[label]: target`, in its order.
fn definitions(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).collect()
}

#[test]
fn every_page_is_in_the_documentation_and_in_the_list() {
    let source = include_str!("../src/guide.rs");
    let list = read("README.md");
    for page in pages() {
        assert!(source.contains(&format!("\"../guide/{page}\"")), "src/guide.rs does not include {page}");
        assert!(list.contains(&format!("]: {page}\n")), "guide/README.md does not list {page}");
    }
}

#[test]
fn every_link_leads_to_a_page_for_both_kinds_of_reader() {
    let rustdoc = read("rustdoc.links");
    let rustdoc = definitions(&rustdoc);
    for name in pages().iter().map(String::as_str).chain(["README.md"]) {
        let text = read(name);
        for (label, target) in definitions(&text) {
            assert!(guide().join(target).is_file(), "{name}: [{label}] leads to {target}, which is not there");
            let module = target.trim_end_matches(".md").replace('-', "_");
            let wanted = format!("crate::guide::{module}");
            assert!(rustdoc.contains(&(label, &wanted)), "rustdoc.links lacks \"[{label}]: {wanted}\"");
            assert!(text.matches(&format!("[{label}]")).count() > 1, "{name} defines [{label}] and does not use it");
        }
        for (label, _) in &rustdoc {
            let is_defined = definitions(&text).iter().any(|(known, _)| known == label);
            assert!(
                is_defined || !text.contains(&format!("[{label}]")),
                "{name} uses [{label}] and does not define it"
            );
        }
    }
}

#[test]
fn pages_are_short_and_their_code_is_tested() {
    for name in pages() {
        let text = read(&name);
        assert!(text.starts_with("# "), "{name} begins with its title");
        assert!(text.lines().count() <= LONGEST, "{name} has {} lines; make it two", text.lines().count());
        assert!(!text.contains("```rust,ignore"), "{name} has code that nothing compiles");
    }
}
