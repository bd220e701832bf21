//! Every row of `testdata/`, run through the core: whole, one byte at a time, and cut in two at every byte.

use std::fmt::Write as _;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use testkit::{Case, Cut, load, run_core};

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");

#[test]
fn every_row_holds_however_its_input_is_cut() {
    // Miri takes some thousand times as long. It runs a few rows of each kind, whole and one byte at a time.
    let (directory, at_least, cuts) =
        if cfg!(miri) { (first_rows_of_each_file(), 15, 2) } else { (TESTDATA.into(), 400, usize::MAX) };
    let cases = load(&directory).unwrap();
    assert!(cases.len() >= at_least, "only {} rows were found in {}", cases.len(), directory.display());
    let mut failures = String::new();
    let mut failed = 0;
    for case in &cases {
        // One failing cut is enough to report a row.
        if let Some(failure) = case.cuts().into_iter().take(cuts).find_map(|cut| run(case, cut).err()) {
            let _ = writeln!(failures, "{failure}");
            failed += 1;
        }
    }
    assert!(failed == 0, "{failed} of {} rows failed:\n\n{failures}", cases.len());
}

/// A directory with two rows of each file of `testdata/`. Under Miri, reading all rows would take longest.
fn first_rows_of_each_file() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-rows");
    fs::create_dir_all(&directory).unwrap();
    for entry in fs::read_dir(TESTDATA).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let rows = text.match_indices("[[case]]").nth(2).map_or(text.as_str(), |(third, _)| &text[..third]);
        fs::write(directory.join(path.file_name().unwrap()), rows).unwrap();
    }
    directory
}

fn run(case: &Case, cut: Cut) -> Result<(), String> {
    // The panic was printed where it happened. Here it gets the name of its row.
    let outcome = catch_unwind(|| run_core(case, cut))
        .map_err(|_| format!("{} in {}.toml, {cut}: panicked\n", case.name, case.topic))?;
    case.check(cut, &outcome)
}
