//! `cargo xtask check …`: what can be judged without running the program.

mod deps;
mod tidy;

use std::fmt::Display;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::Check;
use crate::command::{cargo, shown, succeeds};
use crate::workspace::{LIBRARIES, Workspace};

/// Something wrong at a place in the repository.
struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(workspace: &Workspace, file: &Path, line: usize, what: impl Display) -> Self {
        Self { place: format!("{}:{line}", workspace.relative(file).display()), what: what.to_string() }
    }
}

/// Runs one check and says how it went; true if it is green.
pub(crate) fn run(workspace: &Workspace, what: Check) -> Result<bool> {
    let name = what.to_possible_value().expect("invariant: no check is hidden").get_name().to_owned();
    println!("== check {name}");
    let green = match what {
        Check::Fmt => external(&mut cargo(workspace, &["fmt", "--all", "--check"]))?,
        Check::Lints => {
            let args = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
            external(&mut cargo(workspace, &args))?
        }
        Check::Features => alone(workspace)?,
        Check::Deps => report(deps::check(workspace)?),
        Check::Tidy => report(tidy::check(workspace)?),
        Check::Docs => external(
            cargo(workspace, &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )?,
    };
    if !green {
        println!("check {name} failed; repeat it with: cargo xtask check {name}");
    }
    Ok(green)
}

/// Each library by itself, as who takes only that one builds it: without features and with its own.
fn alone(workspace: &Workspace) -> Result<bool> {
    let mut green = true;
    for library in LIBRARIES {
        for features in ["--no-default-features", "--all-features"] {
            green &= external(&mut cargo(workspace, &["check", "--quiet", "--package", library, features]))?;
        }
    }
    Ok(green)
}

fn external(command: &mut Command) -> Result<bool> {
    let green = succeeds(command)?;
    if !green {
        println!("failed: {}", shown(command));
    }
    Ok(green)
}

fn report(findings: Vec<Finding>) -> bool {
    for Finding { place, what } in &findings {
        println!("{place}: {what}");
    }
    findings.is_empty()
}
