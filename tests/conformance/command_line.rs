//! The command line, as management.txt tells it: what ends at once, and with which status.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::peer;

const GOOD: &str = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n";

/// Runs the proxy with these words; `None` if there is no proxy to run.
fn run(test: &str, folder: &Path, words: &[&str]) -> Option<Output> {
    let program = peer::subject(test)?;
    Some(Command::new(program).args(words).current_dir(folder).output().expect("the proxy starts"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn conditions_decide_the_exit_status() {
    let test = "conditions_decide_the_exit_status";
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (condition, status) in [
        ("version_atleast(2.4)", 0),
        ("version_before(2.4)", 1),
        ("feature(LUA)", 0),
        ("feature(NO_SUCH_THING)", 1),
        ("streq(a,a) && !streq(a,b)", 0),
        ("streq(a,b) || strneq(a,b)", 0),
        ("streq(a,b) || strneq(a,a)", 1),
        ("(streq(a,b) || 1) && defined(PATH)", 0),
        ("defined(SURELY_NOT_DEFINED)", 1),
        ("!defined(SURELY_NOT_DEFINED)", 0),
    ] {
        let Some(output) = run(test, here, &["-cc", condition]) else { return };
        assert_eq!(output.status.code(), Some(status), "{condition}: {}", text(&output));
    }
}

#[test]
fn versions_are_printed_and_end_with_success() {
    let test = "versions_are_printed_and_end_with_success";
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (flag, said) in [("-v", "version"), ("-vv", "filters")] {
        let Some(output) = run(test, here, &[flag]) else { return };
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(text(&output).contains(said), "{flag}: {}", text(&output));
    }
}

#[test]
fn checks_say_whether_every_file_is_valid() {
    let test = "checks_say_whether_every_file_is_valid";
    let tmp = TempDir::with_prefix("tg").expect("a folder for temporary files");
    let folder = tmp.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("1.cfg"), GOOD).unwrap();
    fs::write(folder.join("2.cfg"), "frontend fe\n  bind 127.0.0.1:1\n").unwrap();
    fs::write(tmp.path().join("bad.cfg"), "backend be\n  server\n").unwrap();
    fs::write(tmp.path().join("careless.cfg"), "frontend fe\n  bind 127.0.0.1:1\n").unwrap();
    fs::write(tmp.path().join("strict.cfg"), "global\n  zero-warning\n").unwrap();
    for (words, status) in [
        (&["-c", "-f", "folder/1.cfg", "-f", "folder/2.cfg"][..], 0),
        (&["-c", "-f", "folder"], 0),
        (&["-c", "-V", "-f", "folder"], 0),
        (&["-c", "-f", "folder", "-f", "bad.cfg"], 1),
        (&["-c", "-f", "nowhere.cfg"], 1),
        (&["-c", "-f", "folder/1.cfg"], 2),
        (&["-c", "-f", "careless.cfg"], 0),
        (&["-c", "-dW", "-f", "careless.cfg"], 1),
        (&["-c", "-f", "strict.cfg", "-f", "careless.cfg"], 1),
        (&["-c", "-q", "-f", "bad.cfg"], 1),
        (&["-c", "-C", "folder", "-f", "1.cfg", "-f", "2.cfg"], 0),
        (&["-c", "-dW", "-f", "folder"], 0),
        (&["-c", "-dM", "-dI", "-db", "-n", "100", "-m", "500", "-L", "peer", "-f", "folder"], 0),
    ] {
        let Some(output) = run(test, tmp.path(), words) else { return };
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", text(&output));
    }
}

#[test]
fn an_unknown_flag_is_refused() {
    let test = "an_unknown_flag_is_refused";
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(output) = run(test, here, &["-Z-no-such-flag"]) else { return };
    assert_ne!(output.status.code(), Some(0));
    assert!(!output.status.success() && !text(&output).is_empty());
}
