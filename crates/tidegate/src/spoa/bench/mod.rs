//! `tidegate spoa bench`: loads an agent and tells rate and latency.
//!
//! A closed loop: each connection asks again as soon as it is answered, so that the rate is what the agent can do
//! and the latency is that under this load. Both run on one thread.

mod histogram;
mod load;

use std::{
    cell::{Cell, RefCell},
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

use self::{
    histogram::Histogram,
    load::{Plan, Tally},
};
use super::{address::Address, question::Question};
use crate::clock;

/// Load an agent, and tell its rate and latency
///
/// Opens connections to the agent at ADDR, asks on each of them as fast as it is answered, and prints how many
/// answers came in a second and what part of them took how long. The exit status is 0 if every question was
/// answered, else 1.
///
/// Example: tidegate spoa bench 127.0.0.1:12345 --connections 16 --depth 20 --duration 10s
#[derive(Args, Clone, Debug)]
pub(super) struct BenchArgs {
    /// Where the agent listens: host:port, or the path of a unix socket
    #[arg(value_name = "ADDR")]
    address: Address,
    /// Connections at once
    #[arg(long, short, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Questions that wait at once on a connection, if the agent offers pipelining
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    depth: u16,
    /// How long to ask, with a unit (500ms, 10s, 1m); at most an hour
    #[arg(long, short = 't', value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    duration: Duration,
    /// Stop after so many questions, if that is sooner
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    count: Option<u64>,
    #[command(flatten)]
    question: Question,
    /// How long any answer may take, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout: u64,
    /// The largest frame offered to the agent, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16_380, value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    max_frame_size: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Words)]
    format: Format,
    /// Show no progress bar (there is none either if the standard error is no terminal)
    #[arg(long)]
    no_progress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A few lines
    Words,
    /// One object; times in microseconds
    Json,
}

/// Loads, and prints.
pub(super) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let mut payload = Vec::new();
    args.question.write(&mut payload);
    let plan = Rc::new(Plan {
        address: args.address.clone(),
        depth: usize::from(args.depth),
        patience: Duration::from_millis(args.timeout),
        frame_size_bytes_max: args.max_frame_size,
        payload,
    });
    let tally = Rc::new(Tally {
        latency: RefCell::new(Histogram::new()),
        left: Cell::new(args.count.unwrap_or(u64::MAX)),
        until: Cell::new(None),
        failures: RefCell::default(),
        pipelined: Cell::new(false),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let took = local.block_on(&runtime, loaded(args, &plan, &tally));
    let result = Summary { args, tally: &tally, took };
    match args.format {
        Format::Words => print!("{}", result.words()),
        Format::Json => println!("{:#}", result.json()),
    }
    let clean = tally.failures.borrow().is_empty();
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the load to its end; how long it took.
async fn loaded(args: &BenchArgs, plan: &Rc<Plan>, tally: &Rc<Tally>) -> Duration {
    let bar = progress_bar(args);
    let began = clock::instant();
    tally.until.set(Some(began + args.duration));
    let mut connections = JoinSet::new();
    for _ in 0..args.connections {
        connections.spawn_local(load::connection(plan.clone(), tally.clone()));
    }
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = connections.join_next() => if done.is_none() { break },
            _ = tick.tick() => show(&bar, args, tally, clock::instant().duration_since(began)),
        }
    }
    bar.finish_and_clear();
    clock::instant().duration_since(began)
}

fn progress_bar(args: &BenchArgs) -> ProgressBar {
    if args.no_progress {
        return ProgressBar::hidden();
    }
    // Drawn on the standard error, and only if that is a terminal.
    let length = args.count.unwrap_or(args.duration.as_millis() as u64);
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {percent}% {msg}");
    ProgressBar::new(length).with_style(style.expect("invariant: the template is well-formed"))
}

fn show(bar: &ProgressBar, args: &BenchArgs, tally: &Tally, elapsed: Duration) {
    let answers = tally.latency.borrow().count();
    let by_time = elapsed.as_secs_f64() / args.duration.as_secs_f64();
    let position = match args.count {
        Some(count) => ((count as f64 * by_time) as u64).max(answers),
        None => elapsed.as_millis() as u64,
    };
    bar.set_position(position);
    bar.set_message(format!("{answers} answers"));
}

struct Summary<'a> {
    args: &'a BenchArgs,
    tally: &'a Tally,
    took: Duration,
}

impl Summary<'_> {
    fn rate(&self) -> f64 {
        self.tally.latency.borrow().count() as f64 / self.took.as_secs_f64()
    }

    fn words(&self) -> String {
        let latency = self.tally.latency.borrow();
        let BenchArgs { address, connections, depth, .. } = self.args;
        let at_once = match (self.tally.pipelined.get(), depth) {
            (_, 1) => "one question at a time".to_owned(),
            (true, depth) => format!("{depth} questions at once"),
            (false, _) => "one question at a time (the agent offers no pipelining)".to_owned(),
        };
        let mut out = format!("{address}: {connections} connections, {at_once} on each\n");
        out += &format!(
            "  {} answers in {:.2} s: {:.0} a second\n",
            latency.count(),
            self.took.as_secs_f64(),
            self.rate()
        );
        let parts = QUANTILES.map(|(name, part)| format!("{name} {}", shown(latency.quantile(part))));
        out += &format!("  latency: {}, max {}\n", parts.join(", "), shown(latency.max()));
        let failures = self.tally.failures.borrow();
        if let Some(first) = failures.first() {
            out += &format!("  {} connections failed; the first: {first}\n", failures.len());
        }
        out
    }

    fn json(&self) -> serde_json::Value {
        let latency = self.tally.latency.borrow();
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let mut times: serde_json::Map<_, _> = QUANTILES
            .iter()
            .map(|(name, part)| ((*name).to_owned(), json!(micros(latency.quantile(*part)))))
            .collect();
        times.insert("max".to_owned(), json!(micros(latency.max())));
        json!({
            "agent": self.args.address.to_string(),
            "connections": self.args.connections,
            "depth": self.args.depth,
            "pipelining": self.tally.pipelined.get(),
            "seconds": self.took.as_secs_f64(),
            "answers": latency.count(),
            "answers_per_second": self.rate(),
            "latency_microseconds": times,
            "failures": &*self.tally.failures.borrow(),
        })
    }
}

fn shown(time: Duration) -> String {
    let micros = time.as_nanos() as f64 / 1e3;
    match micros {
        micros if micros < 1e3 => format!("{micros:.0} us"),
        micros if micros < 1e6 => format!("{:.2} ms", micros / 1e3),
        micros => format!("{:.2} s", micros / 1e6),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = proxy_core::cfgparse::parse_duration(text, Duration::from_secs(1));
    let time = time.map_err(|_| "expected a time such as 500ms or 10s".to_owned())?;
    if time.is_zero() || time > LONGEST {
        Err("expected more than nothing, at most an hour".to_owned())
    } else {
        Ok(time)
    }
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
const LONGEST: Duration = Duration::from_secs(3600);
/// How often progress is shown.
const TICK: Duration = Duration::from_millis(100);
