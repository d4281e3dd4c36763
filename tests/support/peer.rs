//! The programs that a test runs, and what it means that one is not there.

use std::env;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The proxy under test: `TIDEGATE_BIN` if set, else the one built beside these tests.
pub(crate) fn subject(test: &str) -> Option<PathBuf> {
    if let Some(bin) = env::var_os("TIDEGATE_BIN") {
        return Some(PathBuf::from(bin));
    }
    let built = env::current_exe().ok()?.ancestors().nth(2)?.join("tidegate");
    if built.is_file() {
        return Some(built);
    }
    missing(test, "tidegate (cargo build -p tidegate, or set TIDEGATE_BIN)");
    None
}

/// The proxy under test if it is ours: no other has what the test is about.
pub(crate) fn ours(test: &str) -> Option<PathBuf> {
    let program = subject(test)?;
    let version = Command::new(&program).arg("-v").output().expect("the proxy starts");
    if String::from_utf8_lossy(&version.stdout).contains("tidegate") {
        return Some(program);
    }
    skipped(test, "is about tidegate");
    None
}

/// A program of another project, by its name. Without it the test is skipped, or fails if `CI` is set.
pub(crate) fn peer(test: &str, program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let daemons = Path::new("/usr/sbin").to_owned();
    let found = env::split_paths(&path).chain([daemons]).map(|folder| folder.join(program));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        missing(test, program);
    }
    found
}

/// Whether a file of a Debian package is there. Without it the test is skipped, or fails if `CI` is set.
pub(crate) fn has_file(test: &str, path: &str, package: &str) -> bool {
    let found = Path::new(path).is_file();
    if !found {
        missing(test, &format!("{path} (Debian package {package})"));
    }
    found
}

/// A Python that has this package: the environment that `cargo xtask test` makes for it. Without it the test is
/// skipped, or fails if `CI` is set.
pub(crate) fn python_with(test: &str, package: &str) -> Option<PathBuf> {
    let target = env::current_exe().ok()?.ancestors().nth(3)?.to_owned();
    let python = target.join("peers").join(package).join("bin/python3");
    if python.is_file() {
        return Some(python);
    }
    missing(test, &format!("the Python package {package} (cargo xtask test installs it)"));
    None
}

/// Says on the real standard error (libtest would hold back a passing test's) that `test` did not run.
pub(crate) fn skipped(test: &str, why: &str) {
    stderr().write_all(format!("skipped: {test} {why}\n").as_bytes()).ok();
}

fn missing(test: &str, what: &str) {
    assert!(env::var_os("CI").is_none(), "{test} needs {what}, and with CI set nothing may be skipped");
    skipped(test, &format!("needs {what}"));
}
