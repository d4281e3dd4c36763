//! hlua's core on a worker: its clock, its scheduler, its sockets, its log.
//!
//! The core exists before its worker does: scripts are loaded while the configuration is read.
//! Until then lines go to standard error, and nothing can sleep or connect.

use std::{
    cell::{Cell, OnceCell, RefCell},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use hlua::host::{self, ConnectError, Connecting, HostError, HostResult, Level, LocalFuture, Target, Value};
use proxy_core::{
    cfgparse::Env,
    config::LogTarget,
    host::{Addr, BoxIo},
    pattern_ref::PatternRefs,
    txn::Txn,
    worker::Worker,
};
use scheduler::Handle;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::{
    Extension,
    hlua_event_hdl::LuaEvents,
    hlua_proxy_core::{Catalog, LuaCertificates, LuaHttpClient, LuaPatterns, LuaProxies, unix_addr},
    level_from_lua, values,
};

/// `tune.lua.log.stderr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStderr {
    /// Always.
    On,
    /// Where no log target would take the line.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Where a script's own lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRoutes {
    /// `tune.lua.log.loggers`.
    pub loggers: bool,
    /// `tune.lua.log.stderr`.
    pub stderr: LogStderr,
}

impl Default for LogRoutes {
    fn default() -> Self {
        Self { loggers: true, stderr: LogStderr::Auto }
    }
}

/// The core of one worker.
pub struct WorkerCore {
    clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    wall: Arc<dyn Fn() -> Duration + Send + Sync>,
    routes: RefCell<LogRoutes>,
    env: RefCell<Env>,
    patterns: LuaPatterns,
    stays: Stays,
    links: OnceCell<Links>,
}

/// How often scripts may still go on in the present turn instead of giving way to nobody.
#[derive(Default)]
struct Stays {
    turn: Cell<Option<Instant>>,
    left: Cell<u32>,
}

/// So many take a few microseconds: no socket waits longer for it.
const STAYS_A_TURN: u32 = 64;

impl Stays {
    fn take(&self, turn: Instant) -> bool {
        if self.turn.replace(Some(turn)) != Some(turn) {
            self.left.set(STAYS_A_TURN);
        }
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

struct Links {
    worker: Weak<Worker>,
    handle: Handle,
    catalog: Arc<Catalog>,
    proxies: LuaProxies,
    events: LuaEvents,
    http: LuaHttpClient,
    certificates: LuaCertificates,
}

impl WorkerCore {
    /// A core without a worker yet. `clock` and `wall` are read whenever a script asks.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Fn() -> Instant + Send + Sync>,
        wall: Arc<dyn Fn() -> Duration + Send + Sync>,
        patterns: Arc<PatternRefs>,
    ) -> Rc<Self> {
        Rc::new(Self {
            patterns: LuaPatterns(patterns),
            stays: Stays::default(),
            clock,
            wall,
            routes: RefCell::default(),
            env: RefCell::default(),
            links: OnceCell::new(),
        })
    }

    /// Decides where lines go.
    pub fn set_routes(&self, routes: LogRoutes) {
        *self.routes.borrow_mut() = routes;
    }

    /// Sets the environment that scripts see.
    pub fn set_env(&self, env: Env) {
        *self.env.borrow_mut() = env;
    }

    /// Joins it to its worker, once.
    pub fn link(
        &self,
        worker: &Rc<Worker>,
        handle: Handle,
        events: LuaEvents,
        http: LuaHttpClient,
        certificates: LuaCertificates,
    ) {
        let links = Links {
            worker: Rc::downgrade(worker),
            handle,
            catalog: Extension::of(worker).catalog.clone(),
            proxies: LuaProxies::new(worker),
            events,
            http,
            certificates,
        };
        assert!(self.links.set(links).is_ok(), "a core belongs to one worker");
    }

    fn worker(&self) -> Option<Rc<Worker>> {
        self.links.get()?.worker.upgrade()
    }
}

/// Says that a script failed: in the log of the proxy it ran for, or the global one, and on
/// standard error where nothing else takes the line.
pub fn report(worker: &Worker, txn: Option<&Txn>, error: &hlua::Error) {
    let global = &worker.shared.config.global.logs;
    let targets = txn.map_or(global, |txn| &txn.frontend.logs);
    let routes = Extension::of(worker).routes;
    send(worker, targets, routes, Level::Alert, &error.to_string());
}

/// Sends a script's line where the routes say.
pub fn send(worker: &Worker, targets: &[LogTarget], routes: LogRoutes, level: Level, message: &str) {
    let level = level_from_lua(level);
    if routes.loggers {
        proxy_core::log::send(worker, targets, level, message.as_bytes());
    }
    if routes.to_stderr(targets) {
        crate::console::print(level, message);
    }
}

impl LogRoutes {
    fn to_stderr(self, targets: &[LogTarget]) -> bool {
        match self.stderr {
            LogStderr::On => true,
            LogStderr::Auto => targets.is_empty() || !self.loggers,
            LogStderr::Off => false,
        }
    }
}

impl host::Core for WorkerCore {
    fn now(&self) -> Instant {
        (self.clock)()
    }

    fn log(&self, level: Level, message: &str) {
        let routes = *self.routes.borrow();
        match self.worker() {
            Some(worker) => send(&worker, &worker.shared.config.global.logs, routes, level, message),
            None if routes.stderr != LogStderr::Off => crate::console::print(level_from_lua(level), message),
            None => {}
        }
    }

    fn failed(&self, failure: &hlua::Failure) {
        if let Some(worker) = self.worker() {
            Extension::of(&worker).facts.scripts.failed((self.wall)(), failure.clone());
        }
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.wall)()
    }

    fn env_var(&self, name: &str) -> Option<Vec<u8>> {
        let value = match self.worker() {
            Some(worker) => worker.shared.config.env.value(name).map(str::to_owned),
            None => self.env.borrow().value(name).map(str::to_owned),
        };
        value.map(String::into_bytes)
    }

    fn sleep_until(&self, at: Instant) -> Option<LocalFuture<()>> {
        let handle = self.links.get()?.handle.clone();
        Some(Box::pin(handle.sleep_until(at)))
    }

    fn spawn(&self, task: LocalFuture<()>) -> HostResult<()> {
        let links = self.links.get().ok_or(HostError::Unsupported("tasks while loading"))?;
        links.handle.spawn("lua", task);
        Ok(())
    }

    fn nothing_else_ready(&self) -> bool {
        let Some(Links { handle, .. }) = self.links.get() else { return false };
        handle.is_alone() && self.stays.take(handle.now())
    }

    fn set_nice(&self, nice: i32) {
        if let Some(Links { handle, .. }) = self.links.get() {
            handle.set_nice(nice);
        }
    }

    fn info(&self) -> Vec<(String, Value<'static>)> {
        let Some(worker) = self.worker() else { return Vec::new() };
        super::with_admin(&worker, &[], proxy_core::admin::info::fields)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), values::from_stat(&value)))
            .collect()
    }

    fn process_var(&self, name: &str) -> Option<Value<'static>> {
        let worker = self.worker()?;
        let name = proxy_core::vars::VarName::parse(name).ok()?;
        let vars = worker.shared.proc_vars.read();
        vars.find(name.id).cloned().map(values::to_lua)
    }

    fn catalog(&self) -> Option<&dyn host::Catalog> {
        Some(&*self.links.get()?.catalog)
    }

    fn proxies(&self) -> Option<&dyn host::Proxies> {
        Some(&self.links.get()?.proxies)
    }

    fn events(&self) -> Option<&dyn host::Events> {
        Some(&self.links.get()?.events)
    }

    fn certificates(&self) -> Option<&dyn host::Certificates> {
        Some(&self.links.get()?.certificates)
    }

    fn http_client(&self) -> Option<&dyn host::HttpClient> {
        Some(&self.links.get()?.http)
    }

    fn regex(&self, pattern: &str, case_sensitive: bool) -> HostResult<Arc<dyn host::Regex>> {
        super::hlua_proxy_core::compile_regex(pattern, case_sensitive)
    }

    fn patterns(&self) -> Option<&dyn host::Patterns> {
        Some(&self.patterns)
    }

    fn sockets(&self) -> Option<&dyn host::Sockets> {
        self.links.get().map(|_| self as &dyn host::Sockets)
    }
}

impl host::Sockets for WorkerCore {
    fn connect(&self, target: Target, tls: bool) -> Connecting {
        let Some(worker) = self.worker() else {
            let error = io::Error::new(io::ErrorKind::Unsupported, "no connections while loading");
            return Box::pin(std::future::ready(Err(error.into())));
        };
        Box::pin(async move {
            let host = tls.then(|| match &target {
                Target::Ip(ip) => ip.ip().to_string(),
                Target::Name(name, _) => name.clone(),
                Target::Unix(_) => LOCAL.to_owned(),
            });
            let mut io = open(&worker, target).await?;
            if let Some(host) = host {
                io = crate::tls::connect(crate::tls::unverified(), io, host).await?;
            }
            let socket: Box<dyn host::Socket> = Box::new(WorkerSocket(io));
            Ok(socket)
        })
    }
}

/// What a server on a unix socket is called; as an address, it is not told.
const LOCAL: &str = "127.0.0.1";

/// Connects to the first of a target's addresses that answers.
async fn open(worker: &Worker, target: Target) -> Result<BoxIo, ConnectError> {
    let addr = match target {
        Target::Ip(ip) => Addr::Ip(ip),
        Target::Unix(path) => unix_addr(&path),
        Target::Name(name, port) => {
            let addresses = worker.host.resolve(&name).await.map_err(|_| ConnectError::Unresolved)?;
            let mut failed = ConnectError::Unresolved;
            for ip in addresses {
                match worker.host.connect(&Addr::Ip((ip, port).into()), None).await {
                    Ok(io) => return Ok(io),
                    Err(error) => failed = error.into(),
                }
            }
            return Err(failed);
        }
    };
    Ok(worker.host.connect(&addr, None).await?)
}

/// A script's socket.
struct WorkerSocket(BoxIo);

impl host::Socket for WorkerSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(into);
        Pin::new(&mut self.0).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        ip(self.0.local_addr())
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        ip(self.0.peer_addr())
    }
}

fn ip(addr: Option<Addr>) -> Option<SocketAddr> {
    match addr {
        Some(Addr::Ip(ip)) => Some(ip),
        _ => None,
    }
}
