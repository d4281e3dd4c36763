//! What script authors get beside the proxy: `tidegate lua`, `tidegate test`, `tidegate check`.

pub mod check;
mod finding;
mod junit;
mod pretty;
mod scan;
mod scripts;
mod tap;
pub mod test;
mod types;
mod watch;

use std::process::ExitCode;

use crate::wiring::{Clocks, Preparation};

/// `tidegate lua …`
#[derive(Clone, Debug, clap::Subcommand)]
pub enum LuaCommand {
    /// Print the API that scripts have here: class, name, kind, signature, contexts, whether it waits
    Api,
    /// Print definitions for Lua language servers: put them beside your scripts as `haproxy.lua`
    Types {
        /// Print those of a built-in module instead, to be put beside it under its name
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
    },
}

/// Runs it.
#[must_use]
pub fn run(command: LuaCommand) -> ExitCode {
    match command {
        LuaCommand::Api => print!("{}", hlua::reference::table()),
        LuaCommand::Types { module: None } => print!("{}", types()),
        LuaCommand::Types { module: Some(name) } => match types::module(&name) {
            Some(text) => print!("{text}"),
            None => {
                eprintln!("tidegate: no built-in module '{name}'; there is json");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

/// The definitions, with the samples that this program has.
fn types() -> String {
    let registry = Preparation::new(Clocks::real()).registry;
    let fetches: Vec<String> = registry.fetches.keys().cloned().collect();
    let converters: Vec<String> = registry.converters.keys().cloned().collect();
    types::render(&fetches, &converters)
}
