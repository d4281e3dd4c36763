//! `cargo xtask bench lua`: what Lua costs here, in Debian's haproxy and in a plain interpreter.
//!
//! Most rows are scripts of `xtask/bench/lua` that measure by themselves and print one figure; the others count the
//! CPU time of requests, as `bench proxy` does. Contestants take turns in each round, every round in a fresh process. Where
//! instructions are counted, a plain interpreter whose hook does nothing shows what counting alone costs.

mod events;
mod measure;
mod row;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use self::measure::Stage;
use self::row::{Better, ROWS, Row};
use super::aide::Backstage;
use super::report::laid_out;
use super::sample::median;
use super::{measured_core, peers};
use crate::command::find_program;
use crate::workspace::Workspace;

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Only rows whose name contains this.
    #[arg(long)]
    rows: Option<String>,
    /// How many rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of load in the rows that count requests.
    #[arg(long, default_value_t = 700)]
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
    /// Print the table as Markdown.
    #[arg(long)]
    markdown: bool,
}

/// What the contestants' rounds of one row came to.
struct Measured {
    row: &'static Row,
    ours: Vec<f64>,
    haproxy: Vec<f64>,
    plain: Vec<f64>,
    hooked: Vec<f64>,
}

/// Measures and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let peers = peers(workspace, options.bin.as_deref(), options.haproxy.as_deref(), false)?;
    let core = measured_core(options.core)?;
    let backstage = Backstage::start(core, workspace.root.join("xtask/bench"))?;
    let plain = find_program("lua5.4");
    if plain.is_none() {
        eprintln!("no lua5.4 (Debian package lua5.4): the plain interpreter is left out");
    }
    let stage = Stage { backstage, millis: options.millis };
    let asked = |row: &&Row| options.rows.as_ref().is_none_or(|part| row.name.contains(part.as_str()));
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for row in ROWS.iter().filter(asked) {
        eprintln!("{}", row.name);
        let mut rounds =
            Measured { row, ours: Vec::new(), haproxy: Vec::new(), plain: Vec::new(), hooked: Vec::new() };
        let result = (0..options.rounds).try_for_each(|round| {
            for turn in 0..2 {
                match (round + turn) % 2 {
                    0 => rounds.ours.push(stage.measure(&peers[0], row)?),
                    _ if row.beside_haproxy() => rounds.haproxy.push(stage.measure(&peers[1], row)?),
                    _ => {}
                }
            }
            if let (Some(interpreter), true) = (&plain, row.plain()) {
                rounds.plain.push(stage.measure_plain(interpreter, row, None)?);
                if row.hook().is_some() {
                    rounds.hooked.push(stage.measure_plain(interpreter, row, row.hook())?);
                }
            }
            Ok::<_, anyhow::Error>(())
        });
        match result {
            Ok(()) => measured.push(rounds),
            Err(error) => {
                eprintln!("{}: {error:#}", row.name);
                failed.push(row.name);
            }
        }
    }
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(measured.iter().map(Measured::cells));
    print!("{}", laid_out(&lines, options.markdown));
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

const HEADINGS: [&str; 10] = [
    "row",
    "unit",
    "tidegate",
    "haproxy",
    "ours / haproxy's",
    "plain Lua",
    "ours / plain",
    "plain with hook",
    "ours / hooked",
    "goal",
];

impl Measured {
    fn cells(&self) -> [String; HEADINGS.len()] {
        let figure = |rounds: &[f64]| match rounds {
            [] => String::new(),
            rounds => shown(median(rounds.iter().copied())),
        };
        let ratio = |others: &[f64]| match others {
            [] => String::new(),
            others => {
                let each = self.ours.iter().zip(others).map(|(ours, theirs)| ours / theirs);
                format!("{:.2}", median(each))
            }
        };
        let better = match self.row.better {
            Better::Less => "less",
            Better::More => "more",
        };
        [
            self.row.name.to_owned(),
            format!("{}, {better} is better", self.row.unit),
            figure(&self.ours),
            figure(&self.haproxy),
            ratio(&self.haproxy),
            figure(&self.plain),
            ratio(&self.plain),
            figure(&self.hooked),
            ratio(&self.hooked),
            self.row.goal.to_owned(),
        ]
    }
}

/// Three digits that count.
fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
