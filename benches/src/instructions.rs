//! Instructions of one contestant's operation: this program again, under callgrind.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Instructions that each of `operations` operations takes.
pub(crate) fn each(row: usize, contestant: usize, operations: u64) -> Result<f64> {
    let tmp = tempfile::tempdir()?;
    let report = tmp.path().join("callgrind.out");
    let program = std::env::current_exe()?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "-q", "--collect-atstart=no", "--toggle-collect=*Span::measure*"])
        .arg(format!("--callgrind-out-file={}", report.display()))
        .arg(program)
        .args(["--once", &row.to_string(), &contestant.to_string()])
        .output()
        .context("starting valgrind")?;
    ensure!(run.status.success(), "valgrind: {}", String::from_utf8_lossy(&run.stderr));
    let report = std::fs::read_to_string(&report).context("callgrind left no report")?;
    Ok(total(&report)? as f64 / operations as f64)
}

/// The `totals:` or `summary:` line of a callgrind file.
fn total(report: &str) -> Result<u64> {
    let line = |name| report.lines().find_map(|line| line.strip_prefix(name));
    let count = line("totals:").or_else(|| line("summary:")).context("no total in callgrind's report")?;
    let count =
        count.split_whitespace().next().context("an empty total")?.parse().context("callgrind's total")?;
    ensure!(count > 0, "callgrind counted nothing: the contestant never called `Span::measure`");
    Ok(count)
}
