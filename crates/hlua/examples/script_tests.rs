//! Runs script tests and prints what became of them: a test runner in thirty lines, for hosts that have none.
//!
//! `cargo run -p hlua --example script_tests FILE...`
#![expect(clippy::disallowed_methods, reason = "this program is where the clock is read")]

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use hlua::testing::{Options, TestOutcome, run_file};

fn main() -> ExitCode {
    let options = Options { filter: None, clock: Rc::new(Instant::now) };
    let mut green = true;
    for file in std::env::args().skip(1) {
        let report = run_file(Path::new(&file), &options);
        green &= report.is_green();
        if let Some(error) = &report.error {
            println!("{file}: {error}");
        }
        for test in &report.tests {
            match &test.outcome {
                TestOutcome::Passed => println!("ok   {}", test.name),
                TestOutcome::Skipped => println!("skip {}", test.name),
                TestOutcome::Failed(why) => println!("FAIL {}\n{why}", test.name),
            }
        }
    }
    if green { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
