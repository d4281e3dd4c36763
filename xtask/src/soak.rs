//! `cargo xtask soak`: the long forms of what `test` runs short, and what needs another build.
//!
//! Loom tries every order of a few steps, shuttle many orders of more, the thread sanitizer watches plain programs, the
//! models take millions of steps, the simulation lives many worlds. Nothing here is needed before a commit; all of it
//! after work on queues, wakes or lists.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::command::{cargo, shown, succeeds};
use crate::sim;
use crate::test::Tally;
use crate::workspace::Workspace;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Only the parts whose name contains this: `models`, `loom`, `shuttle`, `sanitizer`, `sim`.
    part: Option<String>,
    /// Worlds that the simulation lives, from seed 1.
    #[arg(long, default_value_t = 500)]
    worlds: u64,
}

/// The libraries whose threads meet.
const THREADED: [&str; 2] = ["event-hdl", "scheduler"];
/// A thread sanitizer needs unstable flags; the standard library stays as it is, hence the suppressions.
const SANITIZED: &str = "--cfg tsan -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer";
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs it; true if everything held.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let mut tally = Tally::default();
    let asked = |part: &str| options.part.as_ref().is_none_or(|wanted| part.contains(wanted.as_str()));
    if asked("models") {
        for library in THREADED {
            let args = ["test", "--release", "--quiet", "--package", library, "--", "--ignored"];
            tally.count(went(&mut cargo(workspace, &args))?);
        }
    }
    if asked("loom") {
        for library in THREADED {
            let args = ["test", "--release", "--quiet", "--package", library, "--test", "loom"];
            let mut command = apart(workspace, &args, "loom", "--cfg loom");
            // Every order with at most three preemptions: without a bound some models take hours.
            command.env("LOOM_MAX_PREEMPTIONS", "3");
            tally.count(went(&mut command)?);
        }
    }
    if asked("shuttle") {
        for (library, flags) in [("event-hdl", "--cfg shuttle"), ("scheduler", "")] {
            let args = ["test", "--release", "--quiet", "--package", library, "--test", "shuttle"];
            let mut command = apart(workspace, &args, "shuttle", flags);
            command.env("SHUTTLE_ITERATIONS", "200000");
            tally.count(went(&mut command)?);
        }
    }
    if asked("sanitizer") {
        for (library, example, rest) in [("event-hdl", "storm", "200000"), ("scheduler", "threads", "")] {
            let mut args =
                vec!["run", "--quiet", "--package", library, "--example", example, "--target", TARGET];
            if !rest.is_empty() {
                args.extend(["--", rest]);
            }
            let suppressions = workspace.root.join("crates").join(library).join("tests/tsan.supp");
            let mut command = apart(workspace, &args, "tsan", SANITIZED);
            command.env("RUSTC_BOOTSTRAP", "1");
            if suppressions.is_file() {
                command.env("TSAN_OPTIONS", format!("suppressions={}", suppressions.display()));
            }
            tally.count(went(&mut command)?);
        }
    }
    if asked("sim") {
        tally.count(sim::run(workspace, &sim::Options { seed: Some(1), rounds: options.worlds })?);
    }
    Ok(tally.report())
}

/// A build with other flags, in a folder of its own so that the usual one is kept.
fn apart(workspace: &Workspace, args: &[&str], folder: &str, flags: &str) -> Command {
    let mut command = cargo(workspace, args);
    command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", workspace.target().join(folder));
    command
}

fn went(command: &mut Command) -> Result<bool> {
    println!("== {}", shown(command));
    let green = succeeds(command)?;
    if !green {
        println!("failed");
    }
    Ok(green)
}
