//! `cargo xtask test`: peers, then the program, then every test.
//!
//! The tests drive the program of the development profile: it shares its dependencies' build with the
//! tests and has debug assertions on. `TIDEGATE_BIN` tells them where it is.

use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use clap::Args;

use crate::command::{cargo, shown, succeeds};
use crate::lua_api;
use crate::provision::provision;
use crate::workspace::Workspace;

/// What to test, and with which program.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Drive this proxy instead of the one built here (for example Debian's haproxy).
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// Test one package only.
    #[arg(long, short, value_name = "NAME")]
    package: Option<String>,
    /// Run the tests whose name contains this.
    filter: Option<String>,
}

/// How many were green and how many red.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Counts one more.
    pub(crate) fn count(&mut self, green: bool) {
        if green { self.passed += 1 } else { self.failed += 1 }
    }

    /// Prints the closing line; true if nothing failed.
    pub(crate) fn report(self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs the tests and counts them.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    println!("== test");
    provision(workspace)?;
    let Some(bin) = program(workspace, options)? else {
        return Ok(Tally { passed: 0, failed: 1 });
    };
    let mut args = vec!["test", "--no-fail-fast", "--quiet"];
    match &options.package {
        Some(package) => args.extend(["--package", package]),
        None => args.push("--workspace"),
    }
    if let Some(filter) = &options.filter {
        args.extend(["--", filter]);
    }
    let mut command = cargo(workspace, &args);
    command.env("TIDEGATE_BIN", bin).env("INSTA_UPDATE", "no").stdout(Stdio::piped());
    command.env(lua_api::VARIABLE, lua_api::folder(workspace)?);
    let again = shown(&command);
    let mut child = command.spawn().with_context(|| format!("starting {again}"))?;
    let output = child.stdout.take().expect("invariant: stdout was piped");
    let mut tally = Tally::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        tally += tests_of(&line).unwrap_or_default();
    }
    let green = child.wait()?.success();
    if !green {
        tally.failed = tally.failed.max(1);
        println!("test failed; repeat it with: {again}");
    }
    Ok(tally)
}

/// The proxy under test: the one given, or ours, built now. `None` if it does not build.
fn program(workspace: &Workspace, options: &Options) -> Result<Option<PathBuf>> {
    if let Some(bin) = &options.bin {
        let bin = bin.canonicalize().with_context(|| format!("no program at {}", bin.display()))?;
        return Ok(Some(bin));
    }
    let mut build = cargo(workspace, &["build", "--quiet", "--package", "tidegate"]);
    if !succeeds(&mut build)? {
        println!("test failed; repeat it with: {}", shown(&build));
        return Ok(None);
    }
    Ok(Some(workspace.target().join("debug/tidegate")))
}

/// Reads one of libtest's `test result: ok. 3 passed; 0 failed; …` lines.
fn tests_of(line: &str) -> Option<Tally> {
    let counts = line.trim().strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |what: &str| -> Option<usize> {
        counts.split("; ").find_map(|part| part.strip_suffix(what))?.trim().parse().ok()
    };
    Some(Tally { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::{Tally, tests_of};

    #[test]
    fn counts_are_read_from_result_lines_only() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(tests_of(line), Some(Tally { passed: 12, failed: 3 }));
        assert_eq!(tests_of("test result: ok. 0 passed; 0 failed; 0 ignored"), Some(Tally::default()));
        assert_eq!(tests_of("running 12 tests"), None);
        assert_eq!(tests_of("test result: ok."), None);
    }
}
