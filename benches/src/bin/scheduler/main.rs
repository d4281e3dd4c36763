//! What waking, running, spawning and timing cost.
//!
//! Source: `docs/performance.md`, "Scheduler"; the goals are the project's own.

mod ours;
mod peers;
mod spawns;
mod threads;
mod timers;
mod wakes;

use std::process::ExitCode;

use anyhow::Result;
use benches::Contest;

fn main() -> Result<ExitCode> {
    let mut contest = Contest::from_args("scheduler");
    wakes::rows(&mut contest)?;
    spawns::rows(&mut contest)?;
    timers::rows(&mut contest)?;
    threads::rows(&mut contest)?;
    contest.finish()
}
