//! Each promise in `CONTRACT.md` names tests that exist, and each test of this crate is named there or is of a kind
//! that says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of the functions that `#[test]` stands before, in all files of a folder.
fn tests_in(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let after = text.split("#[test]").skip(1);
            let name = |rest: &str| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned());
            names.extend(after.filter_map(name));
        }
    }
    names
}

fn named() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRACT.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    let names = rows.flat_map(|row| {
        let tests = row.rsplit(" | ").next().unwrap().trim_end_matches(" |");
        assert!(tests.starts_with('`'), "a promise without a test: {row}");
        tests.split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let tests: BTreeSet<_> = tests_in("tests").union(&tests_in("src")).cloned().collect();
    let named = named();
    let missing: Vec<_> = named.difference(&tests).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    assert!(named.len() > 50, "the table was read");
}
