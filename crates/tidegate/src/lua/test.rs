//! `tidegate test`: runs files of script tests and says what became of them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
};

use anyhow::{Context as _, Result};
use hlua::testing::{FileReport, Options, run_file};

use super::{junit, pretty, tap, watch};

/// `tidegate test …`
#[derive(Clone, Debug, clap::Args)]
pub struct TestArgs {
    /// Files of tests, or folders in which every `*_test.lua` is one; this folder if there are none
    files: Vec<PathBuf>,
    /// Run only tests whose name contains this (`outer > inner > it`)
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How to print what became of them
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// Run again whenever a Lua file near them changes
    #[arg(long)]
    watch: bool,
}

/// A way to print results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Pretty,
    /// Test Anything Protocol, version 13
    Tap,
    /// An XML document as JUnit writes it
    Junit,
}

/// The status for a run without any test.
const NO_TESTS: u8 = 2;

/// Runs them: 0 if all passed, 1 if one failed, 2 if there is none.
///
/// # Errors
/// A folder cannot be read or watched.
pub fn run(args: &TestArgs) -> Result<ExitCode> {
    let mut code = round(args)?;
    if args.watch {
        let roots = if args.files.is_empty() { vec![PathBuf::from(".")] } else { args.files.clone() };
        let mut changes = watch::Changes::of(&roots)?;
        while changes.wait() {
            println!("\n== changed, running again");
            code = round(args)?;
        }
    }
    Ok(code)
}

fn round(args: &TestArgs) -> Result<ExitCode> {
    let options = Options { filter: args.filter.clone(), clock: Rc::new(crate::clock::instant) };
    let mut reports: Vec<FileReport> = Vec::new();
    for file in test_files(&args.files)? {
        reports.push(run_file(&file, &options));
    }
    print!("{}", render(args.format, &reports));
    if reports.iter().all(|report| report.tests.is_empty() && report.error.is_none()) {
        eprintln!("tidegate: no tests found (files named *_test.lua with describe and it)");
        return Ok(ExitCode::from(NO_TESTS));
    }
    Ok(if reports.iter().all(FileReport::is_green) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(format: Format, reports: &[FileReport]) -> String {
    match format {
        Format::Pretty => pretty::render(reports),
        Format::Tap => tap::render(reports),
        Format::Junit => junit::render(reports),
    }
}

/// The files that the arguments mean, in order.
fn test_files(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let here = [PathBuf::from(".")];
    let mut files = Vec::new();
    for path in if given.is_empty() { &here[..] } else { given } {
        if path.is_dir() { collect(path, &mut files)? } else { files.push(path.clone()) }
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let reading = || format!("reading {}", folder.display());
    let mut entries = std::fs::read_dir(folder)
        .with_context(reading)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(reading)?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') {
            collect(&path, files)?;
        } else if name.ends_with("_test.lua") {
            files.push(path.strip_prefix("./").unwrap_or(&path).to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hlua::testing::{TestOutcome, TestReport};

    use super::*;

    fn reports() -> Vec<FileReport> {
        let test =
            |name: &str, outcome| TestReport { name: name.into(), outcome, time: Duration::from_millis(2) };
        vec![
            FileReport {
                file: "a_test.lua".into(),
                tests: vec![
                    test("gate > opens", TestOutcome::Passed),
                    test(
                        "gate > says \"<&>\" #1",
                        TestOutcome::Failed(
                            "a_test.lua:3: values differ\n  expected: 1\n       got: 2".into(),
                        ),
                    ),
                    test("later", TestOutcome::Skipped),
                ],
                error: None,
            },
            FileReport {
                file: "b_test.lua".into(),
                tests: Vec::new(),
                error: Some("b_test.lua:1: no".into()),
            },
        ]
    }

    #[test]
    fn people_see_failures_with_their_place_and_a_sum() {
        let text = render(Format::Pretty, &reports());
        for part in [
            "a_test.lua\n  ok    gate > opens\n  FAIL  gate > says",
            "        a_test.lua:3: values differ\n          expected: 1\n",
            "  skip  later\n",
            "b_test.lua\n  FAIL  b_test.lua:1: no\n",
            "1 passed, 2 failed, 1 skipped",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn tap_numbers_the_tests_and_escapes_their_names() {
        assert_eq!(
            render(Format::Tap, &reports()),
            "TAP version 13\n1..4\nok 1 - gate > opens\nnot ok 2 - gate > says \"<&>\" \\#1\n  ---\n  message: |\n    \
             a_test.lua:3: values differ\n      expected: 1\n           got: 2\n  ...\nok 3 - later # SKIP\nnot ok 4 - b_test.lua\n  \
             ---\n  message: |\n    b_test.lua:1: no\n  ...\n"
        );
    }

    #[test]
    fn junit_is_a_document_with_a_suite_a_file() {
        let text = render(Format::Junit, &reports());
        for part in [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"4\" failures=\"1\" errors=\"1\">",
            "<testsuite name=\"a_test.lua\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0.006\">",
            "<testcase classname=\"gate\" name=\"says &quot;&lt;&amp;&gt;&quot; #1\" time=\"0.002\">",
            "<failure message=\"a_test.lua:3: values differ\">a_test.lua:3: values differ\n  expected: 1",
            "<skipped/>",
            "<error message=\"b_test.lua:1: no\">",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
}
