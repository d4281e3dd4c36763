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

const CONFIGURATION: &str = "\
global
    lua-load script.lua

defaults
    mode http
    timeout client 1s
    timeout server 1s
    timeout connect 1s

frontend fe
    bind 127.0.0.1:8080
    http-request lua.tga
    http-request return status 200
";

const SCRIPT: &str = "\
core.register_action('tag', { 'http-req' }, function(txn)
  core.Inform('x')
end)
core.register_fetches('slow', function(txn)
  core.msleep(10)
end)
";

#[test]
fn check_shows_mistakes_of_the_configuration_and_of_its_scripts() {
    let name = "check_shows_mistakes_of_the_configuration_and_of_its_scripts";
    let folder = TempDir::with_prefix("tg").expect("a folder for temporary files");
    fs::write(folder.path().join("haproxy.cfg"), CONFIGURATION).unwrap();
    fs::write(folder.path().join("script.lua"), SCRIPT).unwrap();
    let Some((output, text)) = run(name, folder.path(), &["check", "haproxy.cfg"]) else { return };
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "--> haproxy.cfg:12:",
        "12 |     http-request lua.tga\n   |                  ^^^^^^^\n   = help: did you mean 'lua.tag'?\n",
        "warning: 'core' has no member 'Inform'\n --> script.lua:2:8\n  |\n2 |   core.Inform('x')\n  |        ^^^^^^\n",
        "= help: did you mean 'core.Info'?\n",
        "error: 'core.msleep' waits, and a sample fetch cannot\n --> script.lua:5:8\n",
        "notice: 'lua.slow' is registered and not used by this configuration\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let (_, text) = run(name, folder.path(), &["check", "--format", "json", "haproxy.cfg"]).expect("ours");
    assert!(text.contains("\"severity\": \"error\""), "{text}");
}

/// A script whose action stands in a module, which has a module of its own.
fn with_modules(helpers: &str) -> TempDir {
    let folder = TempDir::with_prefix("tg").expect("a folder for temporary files");
    let configuration = CONFIGURATION
        .replace("    lua-load script.lua\n", "    lua-prepend-path lib/?.lua\n    lua-load script.lua\n")
        .replace("lua.tga", "lua.tag");
    fs::create_dir_all(folder.path().join("lib/deep")).unwrap();
    for (name, text) in [
        ("haproxy.cfg", configuration.as_str()),
        ("script.lua", "local helpers = require('helpers')\nlocal json = require 'json'\n"),
        ("lib/helpers.lua", helpers),
        ("lib/deep/down.lua", "return { say = function() core.Wraning('x') end }\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn check_follows_require() {
    let name = "check_follows_require";
    let folder = with_modules(
        "local down = require('deep.down')\n\
         core.register_action('tag', { 'http-req' }, function(txn) down.say() end)\n\
         core.register_fetches('slow', function(txn) core.msleep(10) end)\n",
    );
    let Some((output, text)) = run(name, folder.path(), &["check", "haproxy.cfg"]) else { return };
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "warning: 'core' has no member 'Wraning'\n --> lib/deep/down.lua:1:",
        "error: 'core.msleep' waits, and a sample fetch cannot\n --> lib/helpers.lua:3:",
        "notice: 'lua.slow' is registered and not used by this configuration\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(!text.contains("'lua.tag'"), "it is registered by the module, and used:\n{text}");
}

#[test]
fn check_shows_a_modules_syntax_error_in_the_module() {
    let name = "check_shows_a_modules_syntax_error_in_the_module";
    let folder = with_modules("local x = 1\nfunction broken(\n");
    let Some((output, text)) = run(name, folder.path(), &["check", "haproxy.cfg"]) else { return };
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: syntax error: "), "{text}");
    assert!(text.contains("--> lib/helpers.lua:"), "{text}");
}

#[test]
fn check_shows_a_scripts_syntax_error_in_the_script() {
    let name = "check_shows_a_scripts_syntax_error_in_the_script";
    let folder = TempDir::with_prefix("tg").expect("a folder for temporary files");
    fs::write(folder.path().join("haproxy.cfg"), CONFIGURATION).unwrap();
    fs::write(folder.path().join("script.lua"), "local x =\n\nfunction broken(\n").unwrap();
    let Some((output, text)) = run(name, folder.path(), &["check", "haproxy.cfg"]) else { return };
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: syntax error: "), "{text}");
    assert!(text.contains("--> script.lua:3:1\n"), "{text}");
}
