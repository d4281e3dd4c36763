//! `cargo xtask bench spoe`: what SPOE costs a proxy, here and in Debian's haproxy, and what frames cost an agent.
//!
//! A proxy's row is a difference: CPU time of a request with one NOTIFY less that of the same request without. An
//! agent's row is the CPU time of the agent for a frame, with Debian's haproxy asking. The codec's rows are those of
//! the program `spoe` of the package `benches`, which runs first.

mod agents;
mod engine;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;

use self::agents::agents;
use self::engine::engine;
use super::aide::{Backstage, batch};
use super::proxy::{Peer, Proxy};
use super::report::laid_out;
use super::sample::median;
use super::{finished, measured_core, meter, micro, peers};
use crate::workspace::Workspace;

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Only what is named: codec, engine, agents.
    #[arg(long, value_delimiter = ',', default_values = ["codec", "engine", "agents"])]
    parts: Vec<String>,
    /// How many rounds; a difference of two near figures wants many.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Milliseconds of load of each contestant in a round.
    #[arg(long, default_value_t = 400)]
    millis: u64,
    /// The core on which everything runs (default: the last one).
    #[arg(long)]
    core: Option<usize>,
    /// Measure this tidegate instead of building one.
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// The reference (default: the haproxy found in PATH).
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// Count user instructions of the engine's rows with callgrind, too (slow).
    #[arg(long)]
    callgrind: bool,
    /// Print the table as Markdown.
    #[arg(long)]
    markdown: bool,
}

/// Everything a measurement needs.
struct Stage<'a> {
    options: &'a Options,
    workspace: &'a Workspace,
    backstage: Backstage,
    /// Ours, then the reference.
    peers: Vec<Peer>,
}

/// One line of the table: a contestant, its cost in microseconds each round, and whom it is held against.
struct Line {
    row: String,
    contestant: &'static str,
    micros: Vec<f64>,
    against: Option<Ratio>,
    goal: &'static str,
}

/// How the contestant stands to another one.
struct Ratio {
    to: &'static str,
    /// The median of the rounds' own ratios.
    ratio: f64,
}

/// Measures and prints the tables.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let wants = |part: &str| options.parts.iter().any(|wanted| wanted == part);
    if let Some(strange) = options.parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
        anyhow::bail!("there is no part {strange:?}; there are {}", PARTS.join(", "));
    }
    if wants("codec") {
        micro::run_all(workspace, "spoe", options.markdown)?;
    }
    if !wants("engine") && !wants("agents") {
        return Ok(());
    }
    let stage = Stage {
        options,
        workspace,
        backstage: Backstage::start(measured_core(options.core)?, workspace.root.join("xtask/bench"))?,
        peers: peers(workspace, options.bin.as_deref(), options.haproxy.as_deref(), false)?,
    };
    let mut lines = Vec::new();
    if wants("engine") {
        lines.extend(engine(&stage)?);
    }
    if wants("agents") {
        lines.extend(agents(&stage)?);
    }
    let cells: Vec<_> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(lines.iter().map(Line::cells)).collect();
    print!("{}", laid_out(&cells, options.markdown));
    Ok(())
}

impl Stage<'_> {
    /// Loads `proxy`; microseconds of CPU that `measured` used for one request.
    fn load(&self, proxy: &Proxy, measured: u32, connections: usize, millis: u64) -> Result<f64> {
        let mut load = batch(self.backstage.core, "bench-load")?;
        load.args(["--addr", &proxy.addr.to_string(), "--millis", &millis.to_string()]);
        load.args(["--connections", &connections.to_string()]);
        let (before, began) = (meter::cpu_ns(measured)?, Instant::now());
        let done = finished(load)? as f64;
        let took = began.elapsed();
        ensure!(done > 0.0, "no request was answered in {} ms", took.as_millis());
        Ok((meter::cpu_ns(measured)? - before) as f64 / done / 1e3)
    }
}

impl Line {
    fn cells(&self) -> [String; HEADINGS.len()] {
        let least = self.micros.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.micros.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let against = self.against.as_ref();
        [
            self.row.clone(),
            self.contestant.to_owned(),
            format!("{:.2} ({least:.2} to {most:.2})", median(self.micros.iter().copied())),
            against.map_or(String::new(), |ratio| format!("{:.2} of {}'s", ratio.ratio, ratio.to)),
            self.goal.to_owned(),
        ]
    }
}

/// The median of each round's own ratio.
fn ratio(to: &'static str, ours: &[f64], theirs: &[f64]) -> Option<Ratio> {
    Some(Ratio { to, ratio: median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs)) })
}

const PARTS: [&str; 3] = ["codec", "engine", "agents"];
const HEADINGS: [&str; 5] = ["row", "who", "cost (range)", "ratio", "goal"];
