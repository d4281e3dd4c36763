//! What a process has used: run time, memory, and hardware counters where the machine has them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::command::find_program;

const EVENTS: [&str; 3] = ["cycles", "instructions:u", "instructions:k"];

/// Nanoseconds on a core so far, all threads.
pub(super) fn cpu_ns(pid: u32) -> Result<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("the measured process is gone")?;
    let run_time = |task: fs::DirEntry| -> Result<u64> {
        let text = fs::read_to_string(task.path().join("schedstat"))?;
        text.split_whitespace().next().context("an empty schedstat")?.parse().context("schedstat")
    };
    tasks.map(|task| run_time(task?)).sum()
}

/// Resident memory now, in bytes.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the measured process is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// Hardware counters over one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counters {
    pub(super) cycles: Option<f64>,
    pub(super) user_instructions: Option<f64>,
    pub(super) kernel_instructions: Option<f64>,
}

/// Whether this machine lets us count.
pub(super) fn counters_work() -> bool {
    let Some(perf) = find_program("perf") else { return false };
    let output = Command::new(perf).args(["stat", "-x,", "-e", EVENTS[1], "true"]).output();
    output.is_ok_and(|output| parse(&String::from_utf8_lossy(&output.stderr)).user_instructions.is_some())
}

/// Puts `inner` under `perf stat`, which counts what process `pid` does while `inner` runs.
pub(super) fn counting(pid: u32, report: &Path, inner: &Command) -> Command {
    let mut command = Command::new("perf");
    command.args(["stat", "-x,", "-e", &EVENTS.join(","), "-p", &pid.to_string(), "-o"]).arg(report);
    command.arg("--").arg(inner.get_program()).args(inner.get_args()).stderr(Stdio::inherit());
    command
}

/// Reads what [`counting`] wrote.
pub(super) fn counted(report: &Path) -> Result<Counters> {
    Ok(parse(&fs::read_to_string(report).context("perf left no report")?))
}

fn parse(report: &str) -> Counters {
    let value = |event: &str| -> Option<f64> {
        let line = report.lines().find(|line| line.split(',').nth(2) == Some(event))?;
        line.split(',').next()?.parse().ok()
    };
    let [cycles, user_instructions, kernel_instructions] = EVENTS.map(value);
    Counters { cycles, user_instructions, kernel_instructions }
}

#[cfg(test)]
mod tests {
    use super::{Counters, parse};

    #[test]
    fn counters_that_the_machine_lacks_are_none() {
        let report = "# started\n\n1234,,cycles,1000,100.00,,\n<not supported>,,instructions:u,0,100.00,,\n";
        let counted = parse(report);
        assert_eq!(counted, Counters { cycles: Some(1234.0), ..Counters::default() });
    }
}
