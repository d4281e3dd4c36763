//! `cargo xtask bench proxy`: tidegate beside Debian's haproxy, with the same configuration files.
//!
//! All on one core: the proxy as a normal task, load and origin as batch tasks that take what it
//! leaves. In each round every peer runs once, in rotating order, and a ratio is the median of the
//! rounds' own ratios: what disturbs a round disturbs both. Judge by cycles and user instructions where
//! the machine counts them; run time, from the scheduler's own clock, is what is left elsewhere.

pub(crate) mod agent;
mod aide;
mod callgrind;
pub(crate) mod load;
pub(crate) mod lua;
mod meter;
pub(crate) mod micro;
pub(crate) mod origin;
mod proxy;
mod report;
mod row;
mod sample;
mod server;
pub(crate) mod spoe;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use self::aide::{Aide, Backstage, batch};
use self::meter::Counters;
use self::proxy::{Peer, Proxy};
use self::report::{Measured, Series};
use self::row::{Kind, Row};
use self::sample::Sample;
use crate::command::{cargo, find_program, shown, succeeds};
use crate::workspace::Workspace;

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these rows.
    #[arg(long, value_delimiter = ',', value_enum)]
    rows: Vec<Row>,
    /// How many rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds that each peer runs in a round.
    #[arg(long, default_value_t = 1000)]
    millis: u64,
    /// Requests that each peer answers in a round, if that is less than the time allows.
    #[arg(long)]
    requests: Option<u64>,
    /// Keep-alive connections of the load.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Idle connections of the memory row.
    #[arg(long, default_value_t = 4000)]
    idle: usize,
    /// The core on which everything runs (default: the last one).
    #[arg(long)]
    core: Option<usize>,
    /// Measure this tidegate instead of building one.
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// The reference (default: the haproxy found in PATH).
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// Measure the reference alone.
    #[arg(long)]
    peer_only: bool,
    /// Count user instructions with callgrind, too (slow).
    #[arg(long)]
    callgrind: bool,
    /// Print the table as Markdown.
    #[arg(long)]
    markdown: bool,
}

/// Everything a measurement needs.
struct Bench<'a> {
    options: &'a Options,
    peers: Vec<Peer>,
    backstage: Backstage,
    counters: bool,
}

/// Measures and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let core = measured_core(options.core)?;
    let peers = peers(workspace, options.bin.as_deref(), options.haproxy.as_deref(), options.peer_only)?;
    let counters = meter::counters_work();
    if !counters {
        eprintln!("no hardware counters here: ratios are of run time; --callgrind counts user instructions");
    }
    let backstage = Backstage::start(core, workspace.root.join("xtask/bench"))?;
    let bench = Bench { options, peers, backstage, counters };
    let rows = if options.rows.is_empty() { Row::value_variants().to_vec() } else { options.rows.clone() };
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for row in rows {
        eprintln!("{}", row.title());
        match bench.measure(row) {
            Ok(row) => measured.push(row),
            // The other rows are worth their time all the same.
            Err(error) => {
                eprintln!("{}: {error:#}", row.title());
                failed.push(row.title());
            }
        }
    }
    println!("{}", heading(workspace, options, &bench));
    print!("{}", report::table(&measured, options.markdown));
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// The core asked for, or the last one.
fn measured_core(asked: Option<usize>) -> Result<usize> {
    Ok(match asked {
        Some(core) => core,
        None => std::thread::available_parallelism()?.get() - 1,
    })
}

/// The programs compared; the reference comes last.
fn peers(
    workspace: &Workspace,
    bin: Option<&Path>,
    haproxy: Option<&Path>,
    peer_only: bool,
) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    if !peer_only {
        let program = match bin {
            Some(bin) => bin.canonicalize().with_context(|| format!("no program at {}", bin.display()))?,
            None => built(workspace)?,
        };
        peers.push(Peer { name: "tidegate", program });
    }
    let reference = haproxy.map(Path::to_owned).or_else(|| find_program("haproxy"));
    let program =
        reference.context("no haproxy to compare with (Debian package haproxy, or --haproxy FILE)")?;
    peers.push(Peer { name: "haproxy", program });
    Ok(peers)
}

fn built(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = cargo(workspace, &["build", "--release", "--package", "tidegate"]);
    ensure!(succeeds(&mut build)?, "failed: {}", shown(&build));
    Ok(workspace.target().join("release/tidegate"))
}

impl Bench<'_> {
    fn measure(&self, row: Row) -> Result<Measured> {
        let mut samples: Vec<Vec<Sample>> = self.peers.iter().map(|_| Vec::new()).collect();
        let mut running: Vec<Proxy> = Vec::new();
        if row.kind() != Kind::Memory {
            for peer in &self.peers {
                running.push(self.start(peer, row)?);
            }
            for proxy in &running {
                self.load(row, proxy, 200)?;
            }
        }
        for round in 0..self.options.rounds {
            for turn in 0..self.peers.len() {
                let which = (round + turn) % self.peers.len();
                let sample = match row.kind() {
                    Kind::Memory => self.memory(row, &self.peers[which])?,
                    Kind::Requests | Kind::Bulk => self.load(row, &running[which], self.options.millis)?,
                };
                samples[which].push(sample);
            }
        }
        for proxy in &mut running {
            proxy.stop()?;
        }
        let series = self.peers.iter().zip(samples).map(|(peer, samples)| {
            let callgrind = self.options.callgrind && row.kind() == Kind::Requests;
            let count = || callgrind::instructions(peer, &row.setup(), &self.backstage);
            Ok(Series { peer: peer.name, samples, callgrind: callgrind.then(count).transpose()? })
        });
        Ok(Measured { row, series: series.collect::<Result<_>>()? })
    }

    fn start(&self, peer: &Peer, row: Row) -> Result<Proxy> {
        peer.start(&row.setup(), &self.backstage, &[])
    }

    /// One run of the load against one proxy.
    fn load(&self, row: Row, proxy: &Proxy, millis: u64) -> Result<Sample> {
        let tmp = tempfile::tempdir()?;
        let report = tmp.path().join("perf");
        let mut load = batch(self.backstage.core, "bench-load")?;
        load.args(["--addr", &proxy.addr.to_string(), "--millis", &millis.to_string()]);
        let bulk = row.kind() == Kind::Bulk;
        if bulk {
            load.args(["--bulk", "--connections", "4"]);
        } else {
            load.args(["--connections", &self.options.connections.to_string()]);
            load.args(self.options.requests.map(|requests| format!("--requests={requests}")));
        }
        let command = if self.counters { meter::counting(proxy.pid(), &report, &load) } else { load };
        let (cpu, began) = (meter::cpu_ns(proxy.pid())?, Instant::now());
        let done = finished(command)? as f64;
        let seconds = began.elapsed().as_secs_f64();
        let cpu_ns = (meter::cpu_ns(proxy.pid())? - cpu) as f64;
        let counters = if self.counters { meter::counted(&report)? } else { Counters::default() };
        let resident_bytes = meter::resident_bytes(proxy.pid())? as f64;
        let work = if bulk { done / 1e9 } else { done };
        Ok(Sample { work, seconds, cpu_ns, counters, resident_bytes })
    }

    /// What a fresh proxy grows by while it holds idle connections.
    fn memory(&self, row: Row, peer: &Peer) -> Result<Sample> {
        let proxy = self.start(peer, row)?;
        self.load(row, &proxy, 200)?;
        let before = meter::resident_bytes(proxy.pid())?;
        let mut hold = batch(self.backstage.core, "bench-load")?;
        let connections = self.options.idle.to_string();
        hold.args(["--addr", &proxy.addr.to_string(), "--idle", "--connections", &connections]);
        let mut holding = Aide::start(hold)?;
        let work = holding.numbers()?[0] as f64;
        let grown = meter::resident_bytes(proxy.pid())?.saturating_sub(before) as f64;
        Ok(Sample { work, resident_bytes: grown, ..Sample::default() })
    }
}

/// Runs a load to its end; what it has done.
fn finished(mut command: Command) -> Result<u64> {
    let output = command.stderr(std::process::Stdio::inherit()).output().context("starting the load")?;
    if !output.status.success() {
        bail!("the load failed: {}", output.status);
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().context("what the load printed")
}

/// One line on where the figures come from, without naming the machine.
fn heading(workspace: &Workspace, options: &Options, bench: &Bench<'_>) -> String {
    let git =
        Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&workspace.root).output();
    let commit =
        git.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let reference = bench.peers.last().map_or(String::new(), |peer| version(&peer.program));
    let judged = if bench.counters { "cycles" } else { "run time (no hardware counters)" };
    format!(
        "commit {commit}, {reference}, one core of {}, {} rounds of {} ms, {} connections; ratio of {judged}\n",
        machine(),
        options.rounds,
        options.millis,
        options.connections
    )
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("-v").output();
    let text = output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.lines().next().unwrap_or_default().split(" - ").next().unwrap_or_default().to_owned()
}

/// The kind of machine: architecture, and whether a hypervisor is below.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let guest = cpu.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    format!("{} {}", if guest { "a virtual" } else { "a physical" }, std::env::consts::ARCH)
}
