//! From a configuration to a running process, and to its end.

mod front;
mod threads;

use std::{
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
};

use proxy_core::{
    cfgparse::{Env, Outcome, Parser, Severity, Source, condition},
    config::Config,
    log::Level,
};

use crate::{
    cli::Options,
    console,
    facts::{COMPATIBLE_WITH, Facts},
    process,
    wiring::{Clocks, FirstWorker, Preparation, Process},
};

/// What `feature(…)` and `-vv` tell of.
pub const FEATURES: &[&str] =
    &["ACCEPT4", "EPOLL", "GETADDRINFO", "LUA", "POLL", "PRCTL", "RT", "RUSTLS", "THREAD"];

/// Everything a start needs.
pub struct Startup {
    /// The command line.
    pub options: Options,
    /// Configuration that is not in files.
    pub sources: Vec<Source>,
    /// The environment variables that it may use.
    pub env: Env,
    /// Called once connections are accepted.
    pub on_ready: Box<dyn FnOnce()>,
}

impl Default for Startup {
    fn default() -> Self {
        Self {
            options: Options::default(),
            sources: Vec::new(),
            env: Env::default(),
            on_ready: Box::new(|| {}),
        }
    }
}

/// Runs a proxy to its end, or with `-c` only checks that it could.
///
/// Everything there is to say is printed on standard error.
pub fn serve(startup: Startup) -> ExitCode {
    match start(startup) {
        Ok(code) => code,
        Err(Refused) => ExitCode::FAILURE,
    }
}

/// The process does not start; why was printed.
struct Refused;

fn refuse(message: impl std::fmt::Display) -> Refused {
    console::print(Level::Alert, &message.to_string());
    Refused
}

fn start(startup: Startup) -> Result<ExitCode, Refused> {
    let Startup { options, sources, env, on_ready } = startup;
    console::set_quiet(options.quiet && !options.verbose);
    if let Some(directory) = &options.directory {
        std::env::set_current_dir(directory).map_err(|error| {
            refuse(format_args!("Could not change to directory {}: {error}", directory.display()))
        })?;
    }
    let read = read_configuration(&options, sources, env)?;
    if options.check {
        return Ok(checked(&options, &read));
    }
    run(&options, read, on_ready)?;
    Ok(ExitCode::SUCCESS)
}

/// What `-c` says of a configuration without errors; one that listens nowhere would not start.
fn checked(options: &Options, read: &Read) -> ExitCode {
    let config = &read.process.shared.config;
    let listens = config.proxies.iter().any(|proxy| !proxy.disabled && !proxy.binds.is_empty());
    let starts = listens || !config.global.stats_sockets.is_empty();
    if !options.quiet {
        if read.warned {
            println!("Warnings were found.");
        }
        println!(
            "{}",
            match starts {
                true => "Configuration file is valid",
                false => "Configuration file has no error but will not start (no listener) => exit(2).",
            }
        );
    }
    if starts { ExitCode::SUCCESS } else { ExitCode::from(NO_LISTENER) }
}

/// The status of `-c` for a configuration that listens nowhere.
const NO_LISTENER: u8 = 2;

/// A configuration with what reading it has built.
struct Read {
    process: Arc<Process>,
    first: FirstWorker,
    /// There were warnings.
    warned: bool,
}

fn read_configuration(options: &Options, sources: Vec<Source>, env: Env) -> Result<Read, Refused> {
    let preparation = Preparation::new(Clocks::real());
    preparation.watch_scripts();
    let mut parser = Parser::new(preparation.registry.clone())
        .env(env)
        .build(build())
        .resolver(|host: &str| process::resolve(host));
    for source in sources {
        parser = parser.source(source);
    }
    for path in &options.files {
        parser = parser.path(path);
    }
    let Outcome { config, diagnostics, registry } = parser.parse();
    let mut warnings = 0;
    let mut alerts = 0;
    for diagnostic in &diagnostics {
        match diagnostic.severity {
            Severity::Diag if !options.diagnostics => continue,
            Severity::Warning => warnings += 1,
            Severity::Alert => alerts += 1,
            _ => {}
        }
        if !(options.quiet && diagnostic.severity < Severity::Alert) {
            eprintln!("{}", diagnostic.render(std::process::id()));
        }
    }
    let mut config = match config {
        Some(config) if alerts == 0 => config,
        _ => return Err(Refused),
    };
    let mut faults = preparation.check(&config);
    faults.extend(process::unknown_accounts(&config.global));
    if !faults.is_empty() {
        for fault in faults {
            console::print(Level::Alert, &format!("config : {fault}"));
        }
        return Err(refuse("config : Fatal errors found in configuration."));
    }
    if (options.strict_warnings || config.global.zero_warning) && warnings > 0 {
        return Err(refuse("config : Some warnings were found and 'zero-warning' is set. Aborting."));
    }
    apply_command_line(options, &mut config);
    if config.global.maxconn == 0 {
        config.global.maxconn = process::default_maxconn();
    }
    let threads = if config.global.nbthread == 0 { process::cores() } else { config.global.nbthread };
    let facts = Facts::new(crate::clock::instant(), crate::clock::wall(), threads, config.global.maxconn);
    let (process, first) = preparation.finish(&registry, config, facts);
    Ok(Read { process, first, warned: warnings > 0 })
}

/// What conditions can ask about this program.
#[must_use]
pub fn build() -> condition::Build {
    condition::Build {
        version: COMPATIBLE_WITH.to_owned(),
        features: FEATURES.iter().map(|&feature| feature.to_owned()).collect(),
        ..condition::Build::default()
    }
}

fn apply_command_line(options: &Options, config: &mut Config) {
    let global = &mut config.global;
    if let Some(maxconn) = options.maxconn {
        global.maxconn = maxconn;
    }
    if let Some(pidfile) = &options.pidfile {
        global.pidfile = Some(pidfile.display().to_string());
    }
    global.daemon |= options.daemon;
    global.daemon &= !options.foreground && !options.debug;
}

fn run(options: &Options, read: Read, on_ready: Box<dyn FnOnce()>) -> Result<(), Refused> {
    let Read { process, first, warned: _ } = read;
    let config = process.shared.config.clone();
    process::raise_descriptor_limit();
    if let Some(mib) = options.memory_mib {
        process::limit_memory(mib)
            .map_err(|error| refuse(format_args!("cannot limit the memory: {error}")))?;
    }
    let fronts = front::open_all(&config)?;
    if fronts.is_empty() && config.global.stats_sockets.is_empty() {
        return Err(refuse("No enabled listener found (check for 'bind' directives) ! Exiting."));
    }
    let stats = front::open_stats(&config)?;
    process.facts.listeners.store(fronts.len() + stats.len(), Ordering::Relaxed);
    process::tell(&options.finish, nix::sys::signal::Signal::SIGUSR1);
    process::tell(&options.terminate, nix::sys::signal::Signal::SIGTERM);
    if config.global.daemon {
        nix::unistd::daemon(true, false)
            .map_err(|error| refuse(format_args!("cannot go to the background: {error}")))?;
    }
    if let Some(pidfile) = &config.global.pidfile {
        std::fs::write(pidfile, format!("{}\n", std::process::id()))
            .map_err(|error| refuse(format_args!("Cannot create pidfile {pidfile}: {error}")))?;
    }
    process::drop_privileges(&config.global).map_err(refuse)?;
    threads::run(&process, first, fronts, stats, on_ready)
}

/// The process's environment, for the configuration.
#[must_use]
pub fn environment() -> Env {
    let mut env = Env::default();
    for (name, value) in std::env::vars_os() {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
            env.set(name, value);
        }
    }
    env
}

/// Evaluates `-cc`: 0 for true, 1 for false, 2 for a condition that cannot be read.
#[must_use]
pub fn check_condition(expr: &str) -> ExitCode {
    let (env, build) = (environment(), build());
    match condition::evaluate_argument(expr, &condition::Facts { env: &env, build: &build }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            console::print(Level::Alert, &format!("config : Failed to evaluate condition: {error}"));
            ExitCode::from(2)
        }
    }
}
