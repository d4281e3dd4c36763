//! Test results as the Test Anything Protocol has them, version 13.

use std::fmt::Write as _;

use hlua::testing::{FileReport, TestOutcome};

use super::pretty::indented;

/// The whole stream: a file that fails outside of its tests is a test of its own.
pub(super) fn render(reports: &[FileReport]) -> String {
    let mut lines = Vec::new();
    for report in reports {
        for test in &report.tests {
            lines.push((test.name.as_str(), &test.outcome));
        }
    }
    let errors: Vec<_> = reports
        .iter()
        .filter_map(|report| Some((report.file.as_str(), TestOutcome::Failed(report.error.clone()?))))
        .collect();
    lines.extend(errors.iter().map(|(file, outcome)| (*file, outcome)));
    let mut text = format!("TAP version 13\n1..{}\n", lines.len());
    for (number, (name, outcome)) in (1..).zip(lines) {
        let name = name.replace('\\', "\\\\").replace('#', "\\#").replace('\n', " ");
        let _ = match outcome {
            TestOutcome::Passed => writeln!(text, "ok {number} - {name}"),
            TestOutcome::Skipped => writeln!(text, "ok {number} - {name} # SKIP"),
            TestOutcome::Failed(why) => writeln!(
                text,
                "not ok {number} - {name}\n  ---\n  message: |\n{}\n  ...",
                indented(why, "    ")
            ),
        };
    }
    text
}
