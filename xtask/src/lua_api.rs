//! `cargo xtask lua-api`: the Lua API as it is registered and as tests reach it, held against HAProxy's.
//!
//! Three sources, none of which can be written by hand to look better than the truth. `crates/hlua/lua-api.tsv` is what
//! HAProxy has. `tidegate lua api` prints the tables that the VM is filled from: what is *implemented*. The files in
//! `target/lua-api` are written by the VM while tests run, a line for each entry that a script called without an error:
//! what is *tested*. Tests that call everything with anything (the program `misuse`) do not count.
//!
//! `crates/hlua/lua-api.baseline` holds what was reached, class by class; less is a failure.

mod baseline;
mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::command::{cargo, shown, succeeds};
use crate::workspace::Workspace;
use baseline::Counts;
use compare::Row;

/// Tells tests where to record.
pub(crate) const VARIABLE: &str = "HLUA_REACHED";
const FACTS: &str = "crates/hlua/lua-api.tsv";
/// Their methods are the host's sample fetches and converters, which another table lists.
const ELSEWHERE: [&str; 2] = ["Fetches", "Converters"];
const NOTES: &str = "COMPATIBILITY.md";
const NOTES_HEADING: &str = "## Lua: entries that are not there";
/// Programs that call everything with anything.
const NOT_TESTS: [&str; 1] = ["misuse"];

/// What to do beside reporting.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Report on what the last test run recorded instead of running the tests of hlua and the Lua scenarios.
    #[arg(long)]
    no_run: bool,
    /// Name every row that is missing, untested or differs.
    #[arg(long, short)]
    list: bool,
    /// Write the result down as the new baseline.
    #[arg(long)]
    bless: bool,
}

impl Options {
    /// After a whole test run.
    pub(crate) fn of_last_run() -> Self {
        Self { no_run: true, ..Self::default() }
    }
}

/// Where tests record, made if need be.
pub(crate) fn folder(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("lua-api");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// Forgets what was recorded.
pub(crate) fn forget(workspace: &Workspace) -> Result<()> {
    let folder = folder(workspace)?;
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))
}

/// Reports; true if nothing is worse than the baseline.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    println!("== lua-api");
    let Some(program) = program(workspace)? else { return Ok(false) };
    if !options.no_run && !record(workspace, &program)? {
        return Ok(false);
    }
    let facts = fs::read_to_string(workspace.root.join(FACTS)).with_context(|| format!("reading {FACTS}"))?;
    let registered = registered(&program)?;
    let reached = reached(workspace)?;
    if reached.is_empty() {
        bail!("no test has recorded anything in {}", folder(workspace)?.display());
    }
    let rows: Vec<Row<'_>> = facts.lines().skip(1).filter_map(Row::parse).collect();
    let verdicts = compare::all(&rows, &registered, &reached, &excused(workspace)?);
    let counts = count(&verdicts);
    print(&counts);
    if options.list {
        list(&verdicts);
    }
    print_rest(&rows, &registered);
    if options.bless {
        baseline::write(workspace, &counts)?;
        return Ok(true);
    }
    let worse = baseline::worse(workspace, &counts)?;
    for line in &worse {
        println!("{line}");
    }
    if !worse.is_empty() {
        println!("lua-api failed; see what is meant with: cargo xtask lua-api --no-run --list");
    }
    Ok(worse.is_empty())
}

/// Our program as the tests use it.
fn program(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let mut build = cargo(workspace, &["build", "--quiet", "--package", "tidegate"]);
    if !succeeds(&mut build)? {
        println!("lua-api failed; repeat it with: {}", shown(&build));
        return Ok(None);
    }
    Ok(Some(workspace.target().join("debug/tidegate")))
}

/// Runs what reaches the API, recording.
fn record(workspace: &Workspace, program: &std::path::Path) -> Result<bool> {
    forget(workspace)?;
    let folder = folder(workspace)?;
    let runs: [&[&str]; 2] =
        [&["test", "--quiet", "--package", "hlua"], &["test", "--quiet", "--package", "integration"]];
    for args in runs {
        let mut command = cargo(workspace, args);
        command.env(VARIABLE, &folder).env("TIDEGATE_BIN", program).env("INSTA_UPDATE", "no");
        if !succeeds(&mut command)? {
            println!("lua-api failed; repeat it with: {}", shown(&command));
            return Ok(false);
        }
    }
    Ok(true)
}

/// The registered entries by class and name.
fn registered(program: &std::path::Path) -> Result<BTreeMap<(String, String), String>> {
    let output = std::process::Command::new(program).args(["lua", "api"]).output();
    let output = output.with_context(|| format!("starting {}", program.display()))?;
    let text = String::from_utf8(output.stdout).context("the API is text")?;
    let entry = |line: &str| {
        let mut columns = line.splitn(3, '\t');
        let key = (columns.next()?.to_owned(), columns.next()?.to_owned());
        Some((key, columns.next()?.to_owned()))
    };
    Ok(text.lines().skip(1).filter_map(entry).collect())
}

/// Every entry that a test reached.
fn reached(workspace: &Workspace) -> Result<BTreeSet<(String, String)>> {
    let mut all = BTreeSet::new();
    for file in fs::read_dir(folder(workspace)?)? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if NOT_TESTS.iter().any(|program| name.starts_with(program)) {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        all.extend(pairs.map(|(class, name)| (class.to_owned(), name.to_owned())));
    }
    Ok(all)
}

/// The rows that the compatibility notes name as not there, with their reasons.
fn excused(workspace: &Workspace) -> Result<BTreeSet<(String, String)>> {
    let text = fs::read_to_string(workspace.root.join(NOTES)).with_context(|| format!("reading {NOTES}"))?;
    let table = text.split_once(NOTES_HEADING).map_or("", |(_, rest)| rest);
    let table = table.split("\n## ").next().unwrap_or_default();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let names = cells.flat_map(|(names, _)| names.split(", "));
    let pairs = names.filter_map(|name| name.trim_matches('`').split_once('.'));
    Ok(pairs.map(|(class, name)| (class.to_owned(), name.to_owned())).collect())
}

fn count(verdicts: &[compare::Verdict<'_>]) -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for verdict in verdicts {
        let of_class = counts.entry(verdict.row.class.to_owned()).or_default();
        of_class.rows += 1;
        of_class.excused += usize::from(verdict.excused);
        of_class.implemented += usize::from(verdict.implemented);
        of_class.tested += usize::from(verdict.tested);
        of_class.differing += usize::from(!verdict.differs.is_empty());
    }
    counts
}

fn print(counts: &BTreeMap<String, Counts>) {
    println!(
        "{:<20} {:>5} {:>12} {:>7} {:>8} {:>8} {:>10}",
        "class", "rows", "implemented", "tested", "missing", "excused", "differing"
    );
    let mut total = Counts::default();
    for (class, counts) in counts {
        print_line(class, counts);
        total += *counts;
    }
    print_line("total", &total);
    let wanted = (total.rows - total.excused).max(1);
    let percent = |part: usize| 100.0 * part as f64 / wanted as f64;
    println!("{:.1} % implemented, {:.1} % tested", percent(total.implemented), percent(total.tested));
}

fn print_line(name: &str, counts: &Counts) {
    let Counts { rows, excused, implemented, tested, differing } = counts;
    let missing = rows - excused - implemented;
    println!("{name:<20} {rows:>5} {implemented:>12} {tested:>7} {missing:>8} {excused:>8} {differing:>10}");
}

fn list(verdicts: &[compare::Verdict<'_>]) {
    for verdict in verdicts {
        let Row { class, name, .. } = verdict.row;
        if verdict.excused {
            continue;
        }
        if !verdict.implemented {
            println!("missing    {class}.{name}");
        } else if !verdict.tested {
            println!("untested   {class}.{name}");
        }
        for what in &verdict.differs {
            println!("differing  {class}.{name}: {what}");
        }
    }
}

/// What is not in the comparison.
fn print_rest(rows: &[Row<'_>], registered: &BTreeMap<(String, String), String>) {
    let elsewhere = rows.iter().filter(|row| ELSEWHERE.contains(&row.class)).count();
    let known: BTreeSet<_> = rows.iter().map(|row| (row.class, row.name)).collect();
    let own = registered.keys().filter(|(class, name)| !known.contains(&(class, name)));
    let own: Vec<_> = own.map(|(class, name)| format!("{class}.{name}")).collect();
    println!("not counted: {elsewhere} rows of {}", ELSEWHERE.join(" and "));
    println!("beyond HAProxy: {}", own.join(" "));
}
