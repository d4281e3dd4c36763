//! `cargo xtask sim`: the whole proxy in one thread, on virtual time and a network in memory.
//!
//! One seed prints a line a step; several print a line a seed. The seed and the commit are always told:
//! together they give the same steps again.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;

use crate::command::{cargo, shown, succeeds};
use crate::workspace::Workspace;

/// Which worlds.
#[derive(Args)]
pub(crate) struct Options {
    /// The first seed; one of chance without this.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many seeds, counting up from the first.
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: u64,
}

/// Lives them; true if nothing was broken.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => u64::from(
            SystemTime::now().duration_since(UNIX_EPOCH).context("reading the clock")?.subsec_nanos(),
        ),
    };
    println!("== sim: seed {seed}, {} rounds, commit {}", options.rounds, commit(workspace));
    let args = [
        "test",
        "--quiet",
        "--package",
        "integration",
        "--",
        "sim::given_seeds",
        "--exact",
        "--ignored",
        "--nocapture",
    ];
    let mut command = cargo(workspace, &args);
    command.env("TIDEGATE_SIM_SEED", seed.to_string()).env("TIDEGATE_SIM_ROUNDS", options.rounds.to_string());
    let green = succeeds(&mut command)?;
    println!("== sim: seed {seed}, {} rounds, commit {}", options.rounds, commit(workspace));
    if !green {
        println!("sim failed; repeat it with: {}", shown(&command));
    }
    Ok(green)
}

/// The commit that is checked out, and whether something was changed since.
fn commit(workspace: &Workspace) -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(&workspace.root)
        .stderr(Stdio::null());
    match git.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
