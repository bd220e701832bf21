//! Every row of `testdata/`, run through the core: whole, one byte at a time, and cut in two at every byte.

use std::fmt::Write as _;
use std::panic::catch_unwind;

use testkit::{Case, Cut, load, run_core};

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");

#[test]
fn every_row_holds_however_its_input_is_cut() {
    let cases = load(TESTDATA).unwrap();
    assert!(cases.len() > 400, "only {} rows were found in {TESTDATA}", cases.len());
    let mut failures = String::new();
    let mut failed = 0;
    for case in &cases {
        // The first cut that fails says enough about a row.
        if let Some(failure) = case.cuts().into_iter().find_map(|cut| run(case, cut).err()) {
            let _ = writeln!(failures, "{failure}");
            failed += 1;
        }
    }
    assert!(failed == 0, "{failed} of {} rows failed:\n\n{failures}", cases.len());
}

fn run(case: &Case, cut: Cut) -> Result<(), String> {
    // A panic has been printed where it happened; here it gets the name of its row.
    let outcome = catch_unwind(|| run_core(case, cut))
        .map_err(|_| format!("{} in {}.toml, {cut}: panicked\n", case.name, case.topic))?;
    case.check(cut, &outcome)
}
