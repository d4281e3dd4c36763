//! User instructions a request where the machine has no counters: the slope between two runs.
//!
//! A run under callgrind counts everything, start and end included; two runs that differ only in the
//! number of requests differ only by those requests' instructions.

use anyhow::{Context, Result, ensure};

use super::aide::{Aide, Backstage, batch};
use super::proxy::Peer;
use super::row::Setup;

/// Requests of the shorter and of the longer run.
const REQUESTS: [u32; 2] = [1000, 4000];

/// Instructions that one more request costs.
pub(super) fn instructions(peer: &Peer, setup: &Setup, backstage: &Backstage) -> Result<f64> {
    let [fewer, more] = REQUESTS;
    let counts = run(peer, setup, backstage, more)? as f64 - run(peer, setup, backstage, fewer)? as f64;
    Ok(counts / f64::from(more - fewer))
}

fn run(peer: &Peer, setup: &Setup, backstage: &Backstage, requests: u32) -> Result<u64> {
    let tmp = tempfile::tempdir()?;
    let report = tmp.path().join("callgrind.out");
    let out = format!("--callgrind-out-file={}", report.display());
    let valgrind = ["valgrind".to_owned(), "--tool=callgrind".to_owned(), "-q".to_owned(), out];
    let mut proxy = peer.start(setup, backstage, &valgrind)?;
    let mut load = batch(backstage.core, "bench-load")?;
    load.args(["--addr", &proxy.addr.to_string(), "--requests", &requests.to_string()]);
    let answered = Aide::start(load)?.numbers()?[0];
    ensure!(answered == u64::from(requests), "{answered} of {requests} requests were answered in time");
    proxy.stop()?;
    total(&std::fs::read_to_string(&report).context("callgrind left no report")?)
}

/// The `summary:` or `totals:` line of a callgrind file.
fn total(report: &str) -> Result<u64> {
    let line = |name| report.lines().find_map(|line| line.strip_prefix(name));
    let count = line("totals:").or_else(|| line("summary:")).context("no total in callgrind's report")?;
    count.split_whitespace().next().context("an empty total")?.parse().context("callgrind's total")
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_total_is_read_from_either_line() {
        assert_eq!(total("events: Ir\nsummary: 12\nfn=x\ntotals: 34\n").unwrap(), 34);
        assert_eq!(total("summary: 12\n").unwrap(), 12);
        assert!(total("events: Ir\n").is_err());
    }
}
