//! `tidegate spoa`: tools for those who write or debug SPOE agents of any make.
//!
//! `check` holds an agent against the protocol, `bench` loads it, `decode` explains captured frames. They
//! speak the wire format by means of the crate `spoe`, and start no proxy.

mod address;
mod annotate;
mod bench;
mod check;
mod decode;
mod hex;
mod question;
mod wire;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Tools for authors of SPOE agents.
#[derive(Args, Clone, Debug)]
pub struct SpoaArgs {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand, Clone, Debug)]
enum Tool {
    Check(check::CheckArgs),
    Bench(bench::BenchArgs),
    Decode(decode::DecodeArgs),
}

/// Runs one tool to its end.
///
/// # Errors
/// The tool could not do its work at all: no such file, nobody listens.
pub fn run(args: &SpoaArgs) -> anyhow::Result<ExitCode> {
    match &args.tool {
        Tool::Check(args) => check::run(args),
        Tool::Bench(args) => bench::run(args),
        Tool::Decode(args) => decode::run(args),
    }
}
