//! What script authors use beside the proxy, as they use it: `tidegate test`, `check`, `lua types`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::peer;

/// Runs ours with these words in `folder`; `None` if the program under test is another.
fn run(test: &str, folder: &Path, words: &[&str]) -> Option<(Output, String)> {
    let program = ours(test)?;
    let output = Command::new(program).args(words).current_dir(folder).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output, text))
}

fn ours(test: &str) -> Option<PathBuf> {
    let program = peer::subject(test)?;
    let version = Command::new(&program).arg("-v").output().expect("the proxy starts");
    if String::from_utf8_lossy(&version.stdout).contains("tidegate") {
        return Some(program);
    }
    peer::skipped(test, "is about tidegate");
    None
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn the_example_of_script_tests_passes() {
    let name = "the_example_of_script_tests_passes";
    let Some((output, text)) = run(name, &examples().join("script-tests"), &["test"]) else { return };
    assert!(output.status.success(), "{text}");
    assert!(text.contains("ok    the gate > asks for a token"), "{text}");
    assert!(text.ends_with(" passed, 0 failed, 0 skipped\n"), "{text}");
}

#[test]
fn a_failing_script_test_is_exit_1_and_no_test_exit_2() {
    let name = "a_failing_script_test_is_exit_1_and_no_test_exit_2";
    let folder = TempDir::with_prefix("tg").expect("a folder for temporary files");
    let Some((output, _)) = run(name, folder.path(), &["test"]) else { return };
    assert_eq!(output.status.code(), Some(2));
    fs::write(folder.path().join("a_test.lua"), "it('fails', function() assert.equal(1, 2) end)").unwrap();
    let (output, text) = run(name, folder.path(), &["test", "--format", "tap"]).expect("ours");
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("not ok 1 - fails\n") && text.contains("a_test.lua:1: values differ"), "{text}");
    let (output, _) = run(name, folder.path(), &["test", "--filter", "something else"]).expect("ours");
    assert_eq!(output.status.code(), Some(2));
}
