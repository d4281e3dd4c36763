//! The command line: what `cargo xtask` understands, and which module answers.

use std::process::exit;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::workspace::Workspace;
use crate::{bench, check, ci, lua_api, sim, soak, test};

/// The repository's task runner.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must be green: fmt, lints, deps, tidy, docs, tests, the Lua API.
    Ci,
    /// One of the checks that need no running program.
    Check {
        /// Which one.
        what: Check,
    },
    /// Installs the peers that the tests need, builds `tidegate`, runs every test.
    Test(test::Options),
    /// Holds the Lua API against HAProxy's: implemented, tested, missing, differing.
    LuaApi(lua_api::Options),
    /// The long forms of the tests, loom, the thread sanitizer, many simulated worlds.
    Soak(soak::Options),
    /// Lives simulated worlds, each from a seed, and prints what happens in them.
    Sim(sim::Options),
    /// Measures tidegate against Debian's haproxy, and single operations against public crates.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// The origin behind a measured proxy (used by `bench`).
    #[command(hide = true)]
    BenchOrigin(bench::origin::Options),
    /// The client before a measured proxy (used by `bench`).
    #[command(hide = true)]
    BenchLoad(bench::load::Options),
    /// The SPOE agent beside a measured proxy (used by `bench`).
    #[command(hide = true)]
    BenchAgent(bench::agent::Options),
}

/// The checks, in the order in which `ci` runs them.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Check {
    /// `cargo fmt --check`.
    Fmt,
    /// Clippy over every target, warnings denied.
    Lints,
    /// Each library crate by itself, without features and with all of its own.
    Features,
    /// Who may depend on whom.
    Deps,
    /// What the compiler does not see: module docs, reasons, words.
    Tidy,
    /// Documentation, broken links denied.
    Docs,
}

#[derive(Subcommand)]
enum Bench {
    /// HTTP, Lua, SPOE, TCP and memory, on one core, one peer after the other.
    Proxy(bench::Options),
    /// What Lua costs, beside HAProxy and a plain interpreter.
    Lua(bench::lua::Options),
    /// What SPOE costs: its codec, a proxy that asks, an agent that answers.
    Spoe(bench::spoe::Options),
    /// Publishing, subscribing and delivering, beside public crates.
    Events(bench::micro::Options),
    /// Waking, running, spawning and timers, beside public crates.
    Scheduler(bench::micro::Options),
    /// Compares the instruction counts of single operations with the committed ones.
    Count(bench::micro::CountOptions),
}

impl Bench {
    fn run(&self, workspace: &Workspace) -> Result<bool> {
        match self {
            Bench::Proxy(options) => bench::run(workspace, options).map(|()| true),
            Bench::Lua(options) => bench::lua::run(workspace, options).map(|()| true),
            Bench::Spoe(options) => bench::spoe::run(workspace, options).map(|()| true),
            Bench::Events(options) => bench::micro::run(workspace, "events", options).map(|()| true),
            Bench::Scheduler(options) => bench::micro::run(workspace, "scheduler", options).map(|()| true),
            Bench::Count(options) => bench::micro::count(workspace, options),
        }
    }
}

/// Runs the task, and ends the process with 1 if a check or a test is red.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let workspace = Workspace::find()?;
    let green = match cli.task {
        Task::Ci => ci::run(&workspace)?,
        Task::Check { what } => check::run(&workspace, what)?,
        Task::Test(options) => test::run(&workspace, &options)?.report(),
        Task::LuaApi(options) => lua_api::run(&workspace, &options)?,
        Task::Soak(options) => soak::run(&workspace, &options)?,
        Task::Sim(options) => sim::run(&workspace, &options)?,
        Task::Bench { what } => what.run(&workspace)?,
        Task::BenchOrigin(options) => bench::origin::run(&options).map(|()| true)?,
        Task::BenchLoad(options) => bench::load::run(&options).map(|()| true)?,
        Task::BenchAgent(options) => bench::agent::run(&options).map(|()| true)?,
    };
    if !green {
        exit(1);
    }
    Ok(())
}
