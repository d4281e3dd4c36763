//! The repository's task runner, started as `cargo xtask`.
//!
//! Every step of `ci` is a command of its own ([`cli`] lists them), so that a red step can be repeated
//! alone; the line that repeats it is printed when it fails. Nothing here is shipped.

#![expect(clippy::disallowed_methods, reason = "a task runner lives in real time: it waits for processes")]

mod bench;
mod check;
mod ci;
mod cli;
mod command;
mod lua_api;
mod provision;
mod sim;
mod soak;
mod test;
mod workspace;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    cli::run(cli::Cli::parse())
}
