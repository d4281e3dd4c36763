//! What the check found, as words, JSON or JUnit.

use std::{fmt::Write as _, time::Duration};

use clap::ValueEnum;
use serde_json::json;

use super::case::Outcome;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line a case, as it is done
    Words,
    /// One object
    Json,
    /// XML as CI systems read it
    Junit,
}

/// A case that was run.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) name: &'static str,
    pub(super) shows: &'static str,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// The line of one case.
pub(super) fn print_words(done: &Checked) {
    println!("{}", words(done));
}

/// The closing line, or the whole document.
pub(super) fn print(format: Format, address: &str, checked: &[Checked], took: Duration) {
    match format {
        Format::Words => println!("{}", closing(checked)),
        Format::Json => println!("{}", as_json(address, checked)),
        Format::Junit => print!("{}", as_junit(address, checked, took)),
    }
}

fn words(done: &Checked) -> String {
    let (mark, more) = match &done.outcome {
        Outcome::Passed(None) => ("passed", String::new()),
        Outcome::Passed(Some(note)) => ("passed", format!(" ({note})")),
        Outcome::Failed(why) => ("FAILED", format!(": {why}")),
        Outcome::Skipped(why) => ("skipped", format!(": {why}")),
    };
    format!("{mark:7}  {}: {}{more}", done.name, done.shows)
}

fn closing(checked: &[Checked]) -> String {
    let (passed, failed, skipped) = counts(checked);
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

fn counts(checked: &[Checked]) -> (usize, usize, usize) {
    let count = |wanted: fn(&Outcome) -> bool| checked.iter().filter(|done| wanted(&done.outcome)).count();
    (
        count(|outcome| matches!(outcome, Outcome::Passed(_))),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
    )
}

fn as_json(address: &str, checked: &[Checked]) -> String {
    let cases = checked.iter().map(|done| {
        let (outcome, detail) = match &done.outcome {
            Outcome::Passed(note) => ("passed", note.as_deref()),
            Outcome::Failed(why) => ("failed", Some(&**why)),
            Outcome::Skipped(why) => ("skipped", Some(&**why)),
        };
        json!({
            "name": done.name,
            "shows": done.shows,
            "outcome": outcome,
            "detail": detail,
            "milliseconds": done.took.as_millis() as u64,
        })
    });
    let (passed, failed, skipped) = counts(checked);
    let document = json!({
        "agent": address,
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "cases": cases.collect::<Vec<_>>(),
    });
    format!("{document:#}")
}

fn as_junit(address: &str, checked: &[Checked], took: Duration) -> String {
    let (passed, failed, skipped) = counts(checked);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"spoa check {}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\">",
        escaped(address),
        passed + failed + skipped,
        took.as_secs_f64()
    );
    for done in checked {
        let head = format!(
            "<testcase classname=\"spoa\" name=\"{}\" time=\"{:.3}\"",
            done.name,
            done.took.as_secs_f64()
        );
        let shows = escaped(done.shows);
        let _ = match &done.outcome {
            Outcome::Passed(None) => writeln!(out, "  {head}/>"),
            Outcome::Passed(Some(note)) => {
                writeln!(out, "  {head}><system-out>{}</system-out></testcase>", escaped(note))
            }
            Outcome::Failed(why) => {
                writeln!(out, "  {head}><failure message=\"{}\">{shows}</failure></testcase>", escaped(why))
            }
            Outcome::Skipped(why) => {
                writeln!(out, "  {head}><skipped message=\"{}\"/></testcase>", escaped(why))
            }
        };
    }
    out += "</testsuite>\n";
    out
}

/// Text for XML; what XML cannot hold becomes `?`.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked() -> Vec<Checked> {
        let done = |name, outcome| Checked {
            name,
            shows: "shows \"this\" & <that>",
            outcome,
            took: Duration::from_millis(12),
        };
        vec![
            done("one", Outcome::Passed(None)),
            done("two", Outcome::Passed(Some("a note".into()))),
            done("three", Outcome::Failed("it said \"no\"\n".into())),
            done("four", Outcome::Skipped("not offered".into())),
        ]
    }

    #[test]
    fn words_say_what_failed_and_why() {
        let lines: Vec<_> = checked().iter().map(words).collect();
        assert_eq!(lines[1], "passed   two: shows \"this\" & <that> (a note)");
        assert_eq!(lines[2], "FAILED   three: shows \"this\" & <that>: it said \"no\"\n");
        assert_eq!(closing(&checked()), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn json_is_read_back() {
        let read: serde_json::Value = serde_json::from_str(&as_json("here:1", &checked())).unwrap();
        assert_eq!(read["failed"], 1);
        assert_eq!(read["cases"][2]["detail"], "it said \"no\"\n");
        assert_eq!(read["cases"][0]["detail"], serde_json::Value::Null);
    }

    #[test]
    fn junit_escapes_what_it_holds() {
        let text = as_junit("/run/a&b", &checked(), Duration::from_secs(1));
        assert!(text.contains(
            "name=\"spoa check /run/a&amp;b\" tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\""
        ));
        assert!(text.contains(
            "<failure message=\"it said &quot;no&quot;?\">shows &quot;this&quot; &amp; &lt;that&gt;</failure>"
        ));
        assert!(text.contains("<skipped message=\"not offered\"/>"));
    }
}
