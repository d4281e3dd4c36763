//! COMPATIBILITY.md and the contracts of the libraries claim nothing without a test: every test that their tables name
//! exists.
//!
//! A table with a last column `test` is looked at, wherever it stands. A name is a function in a source file of the
//! workspace or a folder of scenarios.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One claim: its row, and the tests it names.
struct Claim<'a> {
    line: usize,
    row: &'a str,
    tests: Vec<&'a str>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of all tables whose last column is `test`.
fn claims(text: &str) -> Vec<Claim<'_>> {
    let mut claims = Vec::new();
    let mut in_table = false;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            in_table = false;
            continue;
        };
        let last = cells.rsplit(" | ").next().unwrap_or_default().trim();
        match last {
            "test" => in_table = true,
            _ if !in_table || last.ends_with("---") => {}
            _ => {
                let tests = last.split('`').skip(1).step_by(2).collect();
                claims.push(Claim { line: index + 1, row: line, tests });
            }
        }
    }
    claims
}

/// Every function of every source file, and every scenario.
fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let mut folders = vec![root().join("crates"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the workspace can be read") {
            let path = entry.expect("the workspace can be read").path();
            if path.is_dir() {
                if path.join("case.txt").is_file() {
                    known.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
                }
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                known.extend(functions(&text).map(str::to_owned));
            }
        }
    }
    known
}

fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn ").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        Some(&rest[..end])
    })
}

/// The files with such tables, and how many claims each has at least.
const FILES: [(&str, usize); 3] =
    [("COMPATIBILITY.md", 80), ("crates/event-hdl/CONTRACT.md", 30), ("crates/scheduler/README.md", 30)];

#[test]
fn every_claim_has_its_tests() {
    let known = known();
    let mut wrong = Vec::new();
    for (file, least) in FILES {
        let text = fs::read_to_string(root().join(file)).expect("the file is there");
        let claims = claims(&text);
        assert!(claims.len() >= least, "only {} claims were found in {file}", claims.len());
        for Claim { line, row, tests } in claims {
            if tests.is_empty() {
                wrong.push(format!("{file}:{line} names no test: {row}"));
            }
            let gone = tests.iter().filter(|test| !known.contains(**test));
            wrong.extend(gone.map(|test| format!("{file}:{line}: there is no test `{test}`")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tables_without_tests_and_other_text_claim_nothing() {
    let text = "| what | test |\n|---|---|\n| a | `one`, `two` |\n| b | none |\n\n| what | why |\n|---|---|\n| c | `d` |\n";
    let claims: Vec<_> = claims(text).into_iter().map(|claim| (claim.line, claim.tests)).collect();
    assert_eq!(claims, [(3, vec!["one", "two"]), (4, vec![])]);
}
