//! What script authors get beside the proxy: `tidegate lua`, `tidegate test`, `tidegate check`.

mod junit;
mod pretty;
mod tap;
pub mod test;
mod watch;

use std::process::ExitCode;

/// `tidegate lua …`
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum LuaCommand {
    /// Print the API that scripts have here: class, name, kind, signature, contexts, whether it waits
    Api,
}

/// Runs it.
#[must_use]
pub fn run(command: LuaCommand) -> ExitCode {
    match command {
        LuaCommand::Api => print!("{}", hlua::reference::table()),
    }
    ExitCode::SUCCESS
}
