//! The class Regex.

use crate::bench::Bench;
use hlua::Config;

#[test]
fn a_regex_matches_and_gives_its_groups() {
    let lines = Bench::new(&Config::default(), "").probe(
        r#"local ok, r = Regex.new("needle (..)( x)? (...)", true)
           core.Info(tostring(ok) .. " " .. tostring(r))
           core.Info(tostring(r:exec("a needle in the")) .. tostring(r:exec("NEEDLE in the")))
           local found, list = r:match("a needle in the")
           core.Info(tostring(found) .. " " .. table.concat(list, "/"))
           local found, list = r:match("hay")
           core.Info(tostring(found) .. " " .. #list)
           local _, r = Regex.new("Needle", false)
           core.Info(tostring(r:exec("needle")))"#,
    );
    assert_eq!(
        lines,
        [
            "info: true HAProxy class Regex",
            "info: truefalse",
            "info: true needle in the/in",
            "info: false 0",
            "info: true",
        ]
    );
}

#[test]
fn what_is_no_regex_is_told_as_a_value_and_wrong_arguments_as_errors() {
    let lines = Bench::new(&Config::default(), "").probe(
        r#"core.Info(table.concat({ tostring((Regex.new("(", true))), select(2, Regex.new("(", true)) }, " "))
           core.Info(select(2, pcall(Regex.new, "a")))
           core.Info(select(2, pcall(Regex.new, {}, true)))
           local _, r = Regex.new("a", true)
           core.Info(select(2, pcall(r.exec, r)))
           core.Info(select(2, pcall(r.exec, {}, "x")))"#,
    );
    assert_eq!(
        lines,
        [
            "info: false regex '(' is invalid (error=unclosed group)",
            "info: bad argument #2 to '?' (boolean expected, got no value)",
            "info: bad argument #1 to '?' (string expected, got table)",
            "info: bad argument #2 to '?' (string expected, got no value)",
            "info: bad argument #1 to '?' (Regex expected, got table)",
        ]
    );
}

#[test]
fn a_match_stops_after_twenty_texts() {
    let groups = "(a)".repeat(25);
    let lines = Bench::new(&Config::default(), "").probe(&format!(
        r#"local _, r = Regex.new("{groups}", true)
           local _, list = r:match(("a"):rep(25))
           core.Info(#list)"#
    ));
    assert_eq!(lines, ["info: 20"]);
}
