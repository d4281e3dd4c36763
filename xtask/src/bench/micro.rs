//! `cargo xtask bench events|scheduler|count`: the programs of the package `benches`.
//!
//! They measure single operations beside public crates; what they can be asked is in `--help` behind `--`.

use anyhow::{Result, ensure};
use clap::Args;

use crate::command::{cargo, shown, succeeds};
use crate::provision::provision_valgrind;
use crate::workspace::Workspace;

/// What is handed to the program.
#[derive(Args)]
pub(crate) struct Options {
    /// `--rows PART`, `--rounds N`, `--callgrind`, `--markdown`, `--core N`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// What `bench count` does with the counts.
#[derive(Args, Default)]
pub(crate) struct CountOptions {
    /// Write the counts down instead of comparing them.
    #[arg(long)]
    bless: bool,
}

/// Builds and runs one of the programs.
pub(crate) fn run(workspace: &Workspace, program: &str, options: &Options) -> Result<()> {
    let args: Vec<&str> = options.args.iter().map(String::as_str).collect();
    ensure!(contest(workspace, program, &args)?, "the measurement failed");
    Ok(())
}

/// The same with every row, as a table.
pub(super) fn run_all(workspace: &Workspace, program: &str, markdown: bool) -> Result<()> {
    let args: &[&str] = if markdown { &["--markdown"] } else { &[] };
    ensure!(contest(workspace, program, args)?, "the measurement failed");
    Ok(())
}

/// Counts the instructions of every program's rows; true if none has crept.
pub(crate) fn count(workspace: &Workspace, options: &CountOptions) -> Result<bool> {
    println!("== bench count");
    provision_valgrind()?;
    let mut kept = true;
    for program in programs(workspace)? {
        let args: &[&str] = if options.bless { &["--count", "--bless"] } else { &["--count"] };
        kept &= contest(workspace, &program, args)?;
    }
    Ok(kept)
}

fn contest(workspace: &Workspace, program: &str, args: &[&str]) -> Result<bool> {
    let mut all =
        vec!["run", "--quiet", "--profile", "bench", "--package", "benches", "--bin", program, "--"];
    all.extend(args);
    let mut command = cargo(workspace, &all);
    let green = succeeds(&mut command)?;
    if !green {
        println!("{program} failed; repeat it with: {}", shown(&command));
    }
    Ok(green)
}

/// The programs of the package: a file or a folder each.
fn programs(workspace: &Workspace) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(workspace.root.join("benches/src/bin"))?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned())
    };
    let mut programs = entries.map(name).collect::<Result<Vec<_>>>()?;
    programs.sort();
    Ok(programs)
}
