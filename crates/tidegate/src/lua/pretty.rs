//! Test results for people.

use std::fmt::Write as _;

use hlua::testing::{FileReport, TestOutcome};

/// The whole text.
pub(super) fn render(reports: &[FileReport]) -> String {
    let mut text = String::new();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for report in reports {
        let _ = writeln!(text, "{}", report.file);
        for test in &report.tests {
            match &test.outcome {
                TestOutcome::Passed => {
                    passed += 1;
                    let _ = writeln!(text, "  ok    {}", test.name);
                }
                TestOutcome::Skipped => {
                    skipped += 1;
                    let _ = writeln!(text, "  skip  {}", test.name);
                }
                TestOutcome::Failed(why) => {
                    failed += 1;
                    let _ = writeln!(text, "  FAIL  {}\n{}", test.name, indented(why, "        "));
                }
            }
        }
        if let Some(error) = &report.error {
            failed += 1;
            let _ = writeln!(text, "  FAIL  {}", indented(error, "        ").trim_start());
        }
    }
    let _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
    text
}

/// Each line of a text after so many blanks.
pub(super) fn indented(text: &str, blanks: &str) -> String {
    text.lines().map(|line| format!("{blanks}{line}")).collect::<Vec<_>>().join("\n")
}
