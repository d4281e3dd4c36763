//! Test results as an XML document of the kind that JUnit made common.

use std::{fmt::Write as _, time::Duration};

use hlua::testing::{FileReport, TestOutcome, TestReport};

/// The whole document: a suite a file.
pub(super) fn render(reports: &[FileReport]) -> String {
    let failures = |report: &FileReport| {
        report.tests.iter().filter(|test| matches!(test.outcome, TestOutcome::Failed(_))).count()
    };
    let errors = reports.iter().filter(|report| report.error.is_some()).count();
    let tests: usize = reports.iter().map(|report| report.tests.len()).sum();
    let failed: usize = reports.iter().map(failures).sum();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\">\n",
        tests + errors
    );
    for report in reports {
        let skipped = report.tests.iter().filter(|test| matches!(test.outcome, TestOutcome::Skipped)).count();
        let time: Duration = report.tests.iter().map(|test| test.time).sum();
        let errors = usize::from(report.error.is_some());
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\">",
            escaped(&report.file),
            report.tests.len() + errors,
            failures(report),
            time.as_secs_f64(),
        );
        for test in &report.tests {
            case(&mut text, test);
        }
        if let Some(error) = &report.error {
            let file = escaped(&report.file);
            let _ = writeln!(
                text,
                "    <testcase classname=\"{file}\" name=\"{file}\"><error message=\"{}\">{}</error></testcase>",
                escaped(first_line(error)),
                escaped(error),
            );
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, test: &TestReport) {
    let (class, name) = test.name.rsplit_once(" > ").unwrap_or(("", &test.name));
    let _ = write!(
        text,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
        escaped(class),
        escaped(name),
        test.time.as_secs_f64()
    );
    match &test.outcome {
        TestOutcome::Passed => {}
        TestOutcome::Skipped => text.push_str("<skipped/>"),
        TestOutcome::Failed(why) => {
            let _ =
                write!(text, "<failure message=\"{}\">{}</failure>", escaped(first_line(why)), escaped(why));
        }
    }
    text.push_str("</testcase>\n");
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Text as XML takes it; what it cannot hold becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
