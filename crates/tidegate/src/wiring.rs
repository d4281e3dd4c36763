//! The object graph: from keyword tables to running workers. The one place that sees all crates.
//!
//! ```text
//!   Preparation ──(configuration read with its tables)──► Process (shared by all threads)
//!                                                            │ one for each thread
//!                                                            ▼
//!                                          Node: proxy-core's Worker + VMs + engines + tasks
//! ```
//!
//! It takes its time, sockets and tasks from the [`Host`] and [`Handle`] it is given, so that the
//! simulation starts the very same graph on virtual time.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hlua::{Interrupter, Runtime};
use parking_lot::Mutex;
use proxy_core::{
    backend::pool::Pools,
    channel::BufferPool,
    config::{Bind, Config, Proxy},
    host::{BoxIo, Host},
    registry::Registry,
    txn::{Direction, Txn},
    worker::{Shared, Worker},
};
use scheduler::Handle;

use crate::adapters::{
    Extension,
    hlua_event_hdl::LuaEvents,
    hlua_proxy_core::{Catalog, LuaCertificates, LuaHttpClient},
    hlua_scheduler::WorkerCore,
    proxy_core_event_hdl::{PatternEvents, ServerEvents},
    proxy_core_hlua::{
        Sites,
        keywords::{self, LuaPlan, LuaSetup},
    },
    proxy_core_spoe::{self, EnginePlan, Engines},
};
use crate::{
    certificates::Certificates,
    facts::Facts,
    server_tls::ServerTlsConfigs,
    services::http_client::{self, HttpClientPlan},
};

/// The clocks of one world, real or simulated.
#[derive(Clone)]
pub struct Clocks {
    /// Monotonic.
    pub instant: Arc<dyn Fn() -> Instant + Send + Sync>,
    /// Since the Unix epoch.
    pub wall: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clocks {
    /// The machine's.
    #[must_use]
    pub fn real() -> Self {
        Self { instant: Arc::new(crate::clock::instant), wall: Arc::new(crate::clock::wall) }
    }
}

/// Everything that must exist before a configuration is read.
pub struct Preparation {
    /// The keyword tables, for the parser.
    pub registry: Registry,
    clocks: Clocks,
    core: Rc<WorkerCore>,
    lua: Rc<RefCell<LuaSetup>>,
    sites: Arc<Sites>,
    engines: Arc<EnginePlan>,
    http_client: Rc<RefCell<HttpClientPlan>>,
    certificates: Arc<Certificates>,
    server_tls: RefCell<Arc<ServerTlsConfigs>>,
    private_slot: usize,
}

impl Preparation {
    /// The tables with Lua's and SPOE's keywords in them.
    #[must_use]
    pub fn new(clocks: Clocks) -> Self {
        let mut registry = Registry::builtin();
        let private_slot = registry.private_slot();
        let sites = Arc::new(Sites::default());
        let core = WorkerCore::new(clocks.instant.clone(), clocks.wall.clone(), registry.patterns.clone());
        let lua = Rc::new(RefCell::new(LuaSetup::new(core.clone(), sites.clone())));
        keywords::register(&mut registry, &lua);
        let engines = Arc::new(EnginePlan::default());
        proxy_core_spoe::register(&mut registry, &engines);
        let http_client = Rc::default();
        http_client::register(&mut registry, &http_client);
        Self {
            registry,
            clocks,
            core,
            lua,
            sites,
            engines,
            http_client,
            certificates: Arc::default(),
            server_tls: RefCell::default(),
            private_slot,
        }
    }

    /// Lets scripts run without counting instructions: whoever starts the process then watches
    /// [`Process::interrupters`]. Before a configuration is read.
    pub fn watch_scripts(&self) {
        self.lua.borrow_mut().watch();
    }

    /// The scripts that were loaded while the configuration was read, or should have been, and whether into the VM of
    /// all threads.
    #[must_use]
    pub fn scripts(&self) -> Vec<(std::path::PathBuf, bool)> {
        self.lua.borrow().loaded_files()
    }

    /// Where scripts find modules by `lua-prepend-path`, in the order of search.
    #[must_use]
    pub fn module_paths(&self) -> Vec<String> {
        self.lua.borrow().module_paths()
    }

    /// What extensions find wrong with a configuration that was read.
    #[must_use]
    pub fn check(&self, config: &Config) -> Vec<String> {
        let mut faults = self.engines.check(config);
        faults.extend(self.load_certificates(config));
        let (server_tls, wrong) = ServerTlsConfigs::prepare(config);
        *self.server_tls.borrow_mut() = Arc::new(server_tls);
        faults.extend(wrong);
        faults
    }

    /// Reads the certificates of every listener, and says which cannot be.
    fn load_certificates(&self, config: &Config) -> Vec<String> {
        let mut faults = Vec::new();
        for proxy in config.proxies.iter().filter(|proxy| !proxy.disabled) {
            for bind in proxy.binds.iter().filter(|bind| bind.ssl) {
                let place = format!("{}:{}", bind.place.file, bind.place.line);
                let section = if proxy.capabilities.backend { "listen" } else { "frontend" };
                if bind.crts.is_empty() {
                    faults.push(format!(
                        "Proxy '{}': no SSL certificate specified for bind '{}' at [{place}] (use 'crt').",
                        proxy.name, bind.written
                    ));
                }
                for file in &bind.crts {
                    if let Err(why) = self.certificates.load(file) {
                        faults.push(format!(
                            "parsing [{place}] : 'bind {}' in section '{}' : {why}",
                            bind.written, section
                        ));
                    }
                }
                if let Err(why) = self.certificates.prepare(bind) {
                    let (proxy, addr) = (&proxy.name, &bind.written);
                    faults.push(format!("Proxy '{proxy}': {why} for bind '{addr}' at [{place}]."));
                }
            }
        }
        faults
    }

    /// The process, once the configuration was read with these tables, and what its first worker
    /// takes over: it must be started on this thread.
    #[must_use]
    pub fn finish(
        self,
        registry: &Registry,
        mut config: Config,
        facts: Arc<Facts>,
    ) -> (Arc<Process>, FirstWorker) {
        config.env = registry.env.clone();
        let loaded = self.lua.borrow().finish();
        let http_client = self.http_client.take();
        if config.global.chroot.is_some() {
            http_client.prepare();
        }
        let wall = self.clocks.wall.clone();
        let events = ServerEvents::new(move || wall());
        let wall = self.clocks.wall.clone();
        let pattern_events = PatternEvents::new(config.patterns.clone(), move || wall());
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            observer: events.clone(),
            stopping: AtomicBool::new(false),
            next_stream: AtomicU64::new(0),
            counters: Default::default(),
            roll_call: Default::default(),
            proc_vars: Default::default(),
        });
        let process = Process {
            shared,
            events,
            pattern_events,
            lua: loaded.plan,
            sites: self.sites,
            engines: self.engines,
            catalog: Arc::new(Catalog::new(registry)),
            private_slot: self.private_slot,
            clocks: self.clocks,
            facts,
            http_client: Arc::new(http_client),
            certificates: self.certificates,
            server_tls: self.server_tls.into_inner(),
            interrupters: Mutex::default(),
        };
        (Arc::new(process), FirstWorker { core: self.core, runtimes: loaded.runtimes })
    }
}

/// What the thread that read the configuration hands to its own worker.
pub struct FirstWorker {
    core: Rc<WorkerCore>,
    runtimes: [Option<Runtime>; 2],
}

/// What all threads share.
pub struct Process {
    /// proxy-core's part: configuration, counters, observer.
    pub shared: Arc<Shared>,
    /// The event bus.
    pub events: Arc<ServerEvents>,
    /// The same for pattern references.
    pub pattern_events: Arc<PatternEvents>,
    /// What the process knows about itself.
    pub facts: Arc<Facts>,
    lua: LuaPlan,
    sites: Arc<Sites>,
    engines: Arc<EnginePlan>,
    catalog: Arc<Catalog>,
    private_slot: usize,
    clocks: Clocks,
    http_client: Arc<HttpClientPlan>,
    /// What frontends serve TLS by.
    pub certificates: Arc<Certificates>,
    /// How servers are spoken to over TLS.
    pub server_tls: Arc<ServerTlsConfigs>,
    interrupters: Mutex<Vec<Interrupter>>,
}

impl Process {
    /// What watches the runs of each worker made so far; none where the start did not ask for it.
    #[must_use]
    pub fn interrupters(&self) -> Vec<Interrupter> {
        self.interrupters.lock().clone()
    }
}

/// One thread's part of the graph.
pub struct Node {
    /// proxy-core's context of this thread.
    pub worker: Rc<Worker>,
    handle: Handle,
    events: Arc<ServerEvents>,
    pattern_events: Arc<PatternEvents>,
}

impl Node {
    /// Builds the part of the thread number `thread`. The thread that read the configuration gives
    /// what it has as `first`; others load their scripts now.
    ///
    /// # Errors
    /// A script fails to load or to initialise.
    pub fn new(
        process: &Arc<Process>,
        thread: usize,
        host: Box<dyn Host>,
        handle: Handle,
        first: Option<FirstWorker>,
    ) -> Result<Self, hlua::Error> {
        let FirstWorker { core, runtimes } = match first {
            Some(first) => first,
            None => {
                let clocks = &process.clocks;
                let patterns = process.shared.config.patterns.clone();
                let core = WorkerCore::new(clocks.instant.clone(), clocks.wall.clone(), patterns);
                core.set_env(process.shared.config.env.clone());
                let runtimes = process.lua.runtimes(&core, thread)?;
                FirstWorker { core, runtimes }
            }
        };
        core.set_routes(process.lua.routes);
        if process.lua.watched() {
            process.interrupters.lock().extend(runtimes.iter().flatten().map(Runtime::interrupter));
        }
        runtimes.iter().flatten().for_each(|runtime| process.facts.scripts.add(runtime.usage()));
        let extension = Extension::new(
            process.catalog.clone(),
            process.private_slot,
            process.facts.clone(),
            process.lua.routes,
            process.sites.clone(),
            Engines::new(process.engines.clone()),
            runtimes,
        );
        let worker = Rc::new(Worker {
            thread,
            host,
            shared: process.shared.clone(),
            buffers: BufferPool::new(process.shared.config.global.bufsize),
            pools: Pools::default(),
            extension,
        });
        let events = LuaEvents { servers: process.events.clone(), patterns: process.pattern_events.clone() };
        let http = LuaHttpClient::new(&worker, process.http_client.client(&worker));
        core.link(&worker, handle.clone(), events, http, LuaCertificates(process.certificates.clone()));
        if thread == 0 {
            set_process_variables(&worker);
        }
        let (events, pattern_events) = (process.events.clone(), process.pattern_events.clone());
        Ok(Self { worker, handle, events, pattern_events })
    }

    /// Runs what scripts asked to run once the configuration is read. On every thread, before any
    /// connection is served.
    ///
    /// # Errors
    /// A function of `core.register_init` fails.
    pub fn run_init(&self) -> Result<(), hlua::Error> {
        let extension = Extension::of(&self.worker);
        extension.runtimes().try_for_each(|runtime| self.owns(runtime).map_or(Ok(()), Runtime::run_init))?;
        extension.declare_filters()
    }

    /// Starts this thread's tasks: scripts' own, and on the first thread the health checks.
    ///
    /// # Errors
    /// The host cannot run tasks.
    pub fn start(&self) -> Result<(), hlua::Error> {
        let extension = Extension::of(&self.worker);
        for runtime in extension.runtimes() {
            runtime.start_tasks()?;
        }
        let plan = extension.engines.plan.clone();
        if !plan.is_empty() {
            self.handle
                .spawn("spoe report", proxy_core_spoe::report::report(plan, Rc::downgrade(&self.worker)));
        }
        if self.worker.thread == 0 {
            self.worker.shared.config.patterns.seal();
            self.start_checks();
        }
        Ok(())
    }

    /// The shared VM's init functions run once, on the first thread.
    fn owns<'a>(&self, runtime: &'a Runtime) -> Option<&'a Runtime> {
        (self.worker.thread == 0 || runtime.kind() == hlua::VmKind::PerThread).then_some(runtime)
    }

    fn start_checks(&self) {
        for proxy in &self.worker.shared.config.proxies {
            for server in proxy.servers.iter().filter(|server| server.config.check) {
                let check = proxy_core::check::run(self.worker.clone(), server.clone(), proxy.clone());
                self.handle.spawn("check", check);
            }
        }
    }

    /// Begins a soft stop on this thread: engines finish what runs, and on the first thread event
    /// subscriptions end.
    pub fn stop_softly(&self) {
        self.worker.shared.stopping.store(true, Ordering::Release);
        Extension::of(&self.worker).engines.stop();
        if self.worker.thread == 0 {
            self.events.close();
            self.pattern_events.close();
        }
    }

    /// Ends what this thread still has open, once its tasks are gone.
    pub fn close(&self) {
        Extension::of(&self.worker).engines.close();
    }

    /// Serves one accepted connection to its end.
    pub fn serve(
        &self,
        frontend: Arc<Proxy>,
        bind: Arc<Bind>,
        io: BoxIo,
    ) -> impl Future<Output = ()> + use<> {
        proxy_core::session::serve(self.worker.clone(), frontend, bind, io)
    }
}

/// `set-var` of the `global` section.
fn set_process_variables(worker: &Rc<Worker>) {
    let config = worker.shared.config.clone();
    if config.proc_vars.is_empty() {
        return;
    }
    let Some(mut txn) = Txn::detached(worker) else { return };
    for variable in &config.proc_vars {
        if let Some(value) = variable.value.eval(&mut txn, Direction::Request) {
            txn.set_var(&variable.name, value);
        }
    }
}
