//! The composition root: joins the crates into one proxy.
//!
//! [`wiring`] builds the object graph, [`app`] runs it on real threads, clocks and sockets.

pub mod accept;
pub mod adapters;
pub mod alarm;
pub mod app;
pub mod certificates;
pub mod cli;
pub mod clock;
pub mod console;
pub mod control;
pub mod demo;
pub mod facts;
pub mod fd;
pub mod liveness;
pub mod lua;
pub mod net;
pub mod pace;
pub mod process;
pub mod resolver;
pub mod server_tls;
pub mod services;
pub mod spoa;
mod suites;
pub mod tls;
pub mod watchdog;
pub mod wiring;
pub mod worker;

use std::process::ExitCode;

use clap::Parser as _;

/// The native subcommands, beside HAProxy's command line.
#[derive(clap::Parser)]
#[command(name = "tidegate", disable_help_subcommand = true)]
enum Native {
    /// Run the built-in demonstration: three origins, Lua, an SPOE agent
    Demo(demo::DemoArgs),
    /// What script authors need: the API as a table
    #[command(subcommand)]
    Lua(lua::LuaCommand),
    /// Run script tests, without a proxy
    Test(lua::test::TestArgs),
    /// Check a configuration and its scripts
    Check(lua::check::CheckArgs),
    /// Check, load and debug SPOE agents of any make
    Spoa(spoa::SpoaArgs),
}

/// The words that begin one of them.
const NATIVE: &[&str] = &["demo", "lua", "test", "check", "spoa"];

/// Runs the program with the arguments that follow its name.
pub fn run(args: Vec<String>) -> ExitCode {
    if args.first().is_some_and(|word| NATIVE.contains(&word.as_str())) {
        return run_native(args);
    }
    match cli::parse(args) {
        Ok(cli::Command::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Version { long }) => {
            print_version(long);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Condition(expr)) => app::check_condition(&expr),
        Ok(cli::Command::Run(options)) => {
            app::serve(app::Startup { options, env: app::environment(), ..app::Startup::default() })
        }
        Err(error) => {
            eprintln!("tidegate: {error}\nTry 'tidegate -h'.");
            ExitCode::FAILURE
        }
    }
}

fn run_native(args: Vec<String>) -> ExitCode {
    let result = match Native::parse_from(std::iter::once("tidegate".to_owned()).chain(args)) {
        Native::Demo(args) => demo::run(&args),
        Native::Lua(command) => Ok(lua::run(command)),
        Native::Test(args) => lua::test::run(&args),
        Native::Check(args) => lua::check::run(&args),
        Native::Spoa(args) => spoa::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("tidegate: {error:#}");
        ExitCode::FAILURE
    })
}

fn print_version(long: bool) {
    println!("HAProxy version {} compatible; see COMPATIBILITY.md for what differs", facts::version());
    if long {
        println!(
            "Feature list : {}",
            app::FEATURES.iter().map(|f| format!("+{f}")).collect::<Vec<_>>().join(" ")
        );
        println!("Built with Lua version : Lua 5.4 (vendored)");
        println!("Built with multi-threading support (default={}).", process::cores());
        println!("Default settings :\n  bufsize = 16384, maxrewrite = 1024");
        println!("Available services : those of Lua (core.register_service)");
        println!("Available filters :\n\t[SPOE] spoe");
    }
}
