//! `cargo xtask ci`: every step, then the closing line.
//!
//! A later step runs even if an earlier one is red, so one run shows everything that is wrong. The
//! closing line `N passed, N failed` counts each check as one and each test as one; a test run that
//! does not build counts as one failure.

use anyhow::Result;
use clap::ValueEnum;

use crate::bench::micro;
use crate::check;
use crate::cli::Check;
use crate::lua_api;
use crate::lua_types;
use crate::test::{self, Tally};
use crate::workspace::Workspace;

/// Runs all steps; true if all are green.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let mut tally = Tally::default();
    for what in Check::value_variants() {
        tally.count(check::run(workspace, *what)?);
    }
    tally.count(micro::count(workspace, &micro::CountOptions::default())?);
    lua_api::forget(workspace)?;
    tally += test::run(workspace, &test::Options::default())?;
    tally.count(lua_types::run(workspace)?);
    tally.count(lua_api::run(workspace, &lua_api::Options::of_last_run())?);
    Ok(tally.report())
}
