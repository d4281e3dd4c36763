//! From a configuration to a running process, and to its end.
//!
//! The thread that reads the configuration becomes worker 0; the others start once everything that
//! can fail has not.

use std::{
    cell::RefCell,
    io,
    process::ExitCode,
    rc::Rc,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use proxy_core::{
    cfgparse::{Env, Outcome, Parser, Severity, Source, condition},
    config::{Bind, Config, Proxy},
    host::BoxIo,
    log::Level,
};

use crate::{
    accept::{Limit, Place, Surroundings, accept_loop},
    adapters::proxy_core_scheduler::WorkerHost,
    cli::Options,
    console,
    control::Stop,
    facts::{COMPATIBLE_WITH, Facts},
    net::Listening,
    process,
    services::runtime_api,
    watchdog::Watchdog,
    wiring::{Clocks, FirstWorker, Node, Preparation, Process},
    worker::{Handle, Sessions, TaskHandle, Worker},
};

/// What `feature(…)` and `-vv` tell of.
pub const FEATURES: &[&str] = &["ACCEPT4", "EPOLL", "GETADDRINFO", "LUA", "POLL", "PRCTL", "RT", "THREAD"];

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
    let faults = preparation.check(&config);
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

/// A frontend's address with its listening socket.
struct Front {
    proxy: Arc<Proxy>,
    bind: Arc<Bind>,
    listening: Listening,
    limit: Arc<Limit>,
}

fn run(options: &Options, read: Read, on_ready: Box<dyn FnOnce()>) -> Result<(), Refused> {
    let Read { process, first, warned: _ } = read;
    let config = process.shared.config.clone();
    process::raise_descriptor_limit();
    if let Some(mib) = options.memory_mib {
        process::limit_memory(mib)
            .map_err(|error| refuse(format_args!("cannot limit the memory: {error}")))?;
    }
    let fronts = open_fronts(&config)?;
    if fronts.is_empty() && config.global.stats_sockets.is_empty() {
        return Err(refuse("No enabled listener found (check for 'bind' directives) ! Exiting."));
    }
    let stats = open_stats(&config)?;
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
    run_workers(&process, first, fronts, stats, on_ready)
}

fn open_fronts(config: &Config) -> Result<Vec<Front>, Refused> {
    let mut fronts = Vec::new();
    let mut failed = false;
    for proxy in config.proxies.iter().filter(|proxy| !proxy.disabled) {
        let limit = Limit::new(proxy.maxconn);
        for bind in &proxy.binds {
            match Listening::open(bind) {
                Ok(listening) => fronts.push(Front {
                    proxy: proxy.clone(),
                    bind: bind.clone(),
                    listening,
                    limit: limit.clone(),
                }),
                Err(error) => {
                    let text = format!(
                        "Starting {} {}: cannot bind socket ({}) [{}]",
                        if proxy.capabilities.backend { "proxy" } else { "frontend" },
                        proxy.name,
                        process::describe(&error),
                        bind.addr,
                    );
                    console::print(Level::Alert, &text);
                    failed = true;
                }
            }
        }
    }
    if failed {
        return Err(refuse("Some protocols failed to start their listeners! Exiting."));
    }
    Ok(fronts)
}

type StatsListening = (Listening, proxy_core::config::AccessLevel);

fn open_stats(config: &Config) -> Result<Vec<StatsListening>, Refused> {
    let open = |socket: &proxy_core::config::StatsSocket| {
        let listening = Listening::open_addr(&socket.addr, 10, false, socket.mode).map_err(|error| {
            refuse(format_args!(
                "stats socket: cannot bind socket ({}) [{}]",
                process::describe(&error),
                socket.addr
            ))
        })?;
        Ok((listening, socket.level))
    };
    config.global.stats_sockets.iter().map(open).collect()
}

fn run_workers(
    process: &Arc<Process>,
    first: FirstWorker,
    fronts: Vec<Front>,
    stats: Vec<StatsListening>,
    on_ready: Box<dyn FnOnce()>,
) -> Result<(), Refused> {
    let threads = process.facts.threads;
    let main = WorkerThread::new(process, 0, Some(first)).map_err(refuse)?;
    let (tell, told) = mpsc::channel();
    let mut others = Vec::new();
    for thread in 1..threads {
        let process = process.clone();
        let fronts = fronts.iter().map(Front::another).collect::<io::Result<Vec<_>>>();
        let fronts =
            fronts.map_err(|error| refuse(format_args!("cannot listen on every thread: {error}")))?;
        let (start, started) = mpsc::channel::<()>();
        let tell = tell.clone();
        let handle = std::thread::Builder::new()
            .name(format!("worker-{thread}"))
            .spawn(move || {
                let worker = match WorkerThread::new(&process, thread, None) {
                    Ok(worker) => worker,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                // The first thread has gone away: so do we.
                if tell.send(Ok(())).is_err() || started.recv().is_err() {
                    return;
                }
                worker.run(fronts, Vec::new(), || {});
            })
            .map_err(|error| refuse(format_args!("cannot start a thread: {error}")))?;
        others.push((handle, start));
    }
    for _ in 1..threads {
        told.recv().unwrap_or_else(|_| Err("a worker did not start".to_owned())).map_err(refuse)?;
    }
    let interrupters = process.interrupters();
    let _watchdog = if interrupters.is_empty() {
        None
    } else {
        let started = Watchdog::start(interrupters);
        Some(started.map_err(|error| refuse(format_args!("cannot watch the scripts: {error}")))?)
    };
    let (handles, starts): (Vec<_>, Vec<_>) = others.into_iter().unzip();
    for start in starts {
        // A worker that has gone was reported by its panic.
        let _ = start.send(());
    }
    main.run(fronts, stats, on_ready);
    process.facts.stop.ask(Stop::Now);
    for handle in handles {
        if handle.join().is_err() {
            console::print(Level::Alert, "a worker thread panicked");
        }
    }
    Ok(())
}

impl Front {
    fn another(&self) -> io::Result<Self> {
        Ok(Self {
            proxy: self.proxy.clone(),
            bind: self.bind.clone(),
            listening: self.listening.another()?,
            limit: self.limit.clone(),
        })
    }
}

/// One worker with its part of the graph, on its thread.
struct WorkerThread {
    worker: Worker,
    node: Rc<Node>,
    process: Arc<Process>,
    sessions: Rc<Sessions>,
}

impl WorkerThread {
    fn new(process: &Arc<Process>, thread: usize, first: Option<FirstWorker>) -> Result<Self, String> {
        let worker =
            Worker::new(process.facts.threads).map_err(|error| format!("cannot start a worker: {error}"))?;
        let host = Box::new(WorkerHost::new(worker.turn(), worker.handle()));
        let node =
            Node::new(process, thread, host, worker.handle(), first).map_err(|error| error.to_string())?;
        node.run_init().map_err(|error| error.to_string())?;
        Ok(Self { worker, node: Rc::new(node), process: process.clone(), sessions: Rc::default() })
    }

    /// Accepts and serves until the process stops.
    fn run(self, fronts: Vec<Front>, stats: Vec<StatsListening>, on_ready: impl FnOnce()) {
        let guard = self.worker.enter();
        let mut accepting = Vec::new();
        for front in fronts {
            match self.accept(front) {
                Ok(task) => accepting.push(task),
                Err(error) => console::print(Level::Alert, &format!("cannot accept connections: {error}")),
            }
        }
        for (listening, level) in stats {
            if let Err(error) = self.accept_stats(listening, level) {
                console::print(Level::Alert, &format!("cannot serve the runtime API: {error}"));
            }
        }
        if let Err(error) = self.node.start() {
            console::print(Level::Alert, &error.to_string());
        }
        self.stop_when_asked(accepting);
        if self.node.worker.thread == 0 {
            process::handle_signals(&self.worker.handle(), &self.process, &self.node);
            on_ready();
        }
        drop(guard);
        self.worker.run();
        self.node.close();
    }

    fn accept(&self, front: Front) -> io::Result<TaskHandle> {
        let acceptor = front.listening.register()?;
        let around = Accepted {
            node: self.node.clone(),
            sessions: self.sessions.clone(),
            handle: self.worker.handle(),
            proxy: front.proxy,
            bind: front.bind,
        };
        let limits = [front.limit, self.process.facts.connections.clone()];
        Ok(self.worker.handle().spawn_tasklet("accept", accept_loop(acceptor, limits, around)))
    }

    fn accept_stats(&self, listening: Listening, level: proxy_core::config::AccessLevel) -> io::Result<()> {
        let acceptor = listening.register()?;
        let handle = self.worker.handle();
        let (worker, events) = (self.node.worker.clone(), self.process.events.clone());
        self.worker.handle().spawn("runtime api", async move {
            loop {
                match acceptor.accept().await {
                    Ok(io) => {
                        let client = runtime_api::serve(worker.clone(), events.clone(), io, level);
                        handle.spawn("runtime api client", client);
                    }
                    Err(_) => handle.sleep_until(worker.host.now() + Duration::from_millis(100)).await,
                }
            }
        });
        Ok(())
    }

    /// Soft stop: closes the listeners, lets sessions finish. Stop now: ends the loop.
    fn stop_when_asked(&self, accepting: Vec<TaskHandle>) {
        let flag = self.worker.stop_flag();
        let process = self.process.clone();
        let now = flag.clone();
        self.worker.handle().spawn("stop", async move {
            process.facts.stop.reached(Stop::Now).await;
            now.set(true);
        });
        let (process, sessions, node) = (self.process.clone(), self.sessions.clone(), self.node.clone());
        let handle = self.worker.handle();
        let accepting = RefCell::new(accepting);
        self.worker.handle().spawn("soft stop", async move {
            process.facts.stop.reached(Stop::Soft).await;
            for task in accepting.take() {
                task.kill();
            }
            node.stop_softly();
            sessions.wake_all();
            let limit = process.shared.config.global.hard_stop_after;
            let mut hard = limit.map(|limit| Box::pin(handle.sleep_until(node.worker.host.now() + limit)));
            std::future::poll_fn(|cx| {
                if let Some(hard) = &mut hard
                    && hard.as_mut().poll(cx).is_ready()
                {
                    return std::task::Poll::Ready(());
                }
                sessions.poll_empty(cx)
            })
            .await;
            process.facts.stop.finish(process.facts.threads).await;
            flag.set(true);
        });
    }
}

/// What accepted connections are handed to.
struct Accepted {
    node: Rc<Node>,
    sessions: Rc<Sessions>,
    handle: Handle,
    proxy: Arc<Proxy>,
    bind: Arc<Bind>,
}

impl Surroundings for Accepted {
    async fn pause(&self, time: Duration) {
        self.handle.sleep_until(self.node.worker.host.now() + time).await;
    }

    fn on_error(&self, error: &io::Error) {
        let text = format!("Proxy {} cannot accept: {error}", self.proxy.name);
        proxy_core::log::send(&self.node.worker, &self.proxy.logs, Level::Emerg, text.as_bytes());
    }

    fn serve(&self, io: BoxIo, places: [Place; 2]) {
        let session = self.node.serve(self.proxy.clone(), self.bind.clone(), io);
        self.sessions.spawn(&self.handle, session, places);
    }
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
