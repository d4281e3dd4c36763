//! `tidegate spoa …` as an agent's author meets it.

mod bench;
mod broken;
mod check;
mod decode;

use std::process::{Command, Output};

use crate::support::peer;

/// Runs `tidegate spoa` with these words; `None` if there is no program to run, or it is not ours.
fn spoa(test: &str, words: &[&str]) -> Option<Output> {
    let program = peer::ours(test)?;
    Some(Command::new(program).arg("spoa").args(words).output().expect("the program starts"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_tool_explains_itself() {
    for (words, said) in [
        (&["--help"][..], "Check, load and debug SPOE agents of any make"),
        (&["check", "--help"], "The exit status is 0 if nothing failed"),
        (&["bench", "--help"], "asks on each of them as fast as it is answered"),
        (&["decode", "--help"], "prints each with what every byte means"),
    ] {
        let Some(output) = spoa("every_tool_explains_itself", words) else { return };
        assert!(output.status.success(), "{words:?}");
        assert!(stdout(&output).contains(said), "{words:?}: {}", stdout(&output));
    }
}
