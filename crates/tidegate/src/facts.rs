//! What the process knows about itself and proxy-core does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    accept::Limit,
    adapters::proxy_core_scheduler::DROPPED_LOGS,
    control::{Stop, StopSignal},
    services::scripts::Scripts,
    worker::Schedulers,
};

/// The version of HAProxy whose behaviour and configuration this follows.
pub const COMPATIBLE_WITH: &str = "3.4.0";

/// Facts about the process. Shared by all threads.
#[derive(Debug)]
pub struct Facts {
    /// When it began.
    pub started: Instant,
    /// The same since the Unix epoch.
    pub started_wall: Duration,
    /// Worker threads.
    pub threads: usize,
    /// Its client connections.
    pub connections: Arc<Limit>,
    /// Its stop signal.
    pub stop: StopSignal,
    /// Sockets it listens on.
    pub listeners: AtomicUsize,
    /// What scripts cost, and how they failed.
    pub scripts: Scripts,
    /// The schedulers of its workers.
    pub schedulers: Schedulers,
    /// Warnings printed while the configuration was read.
    pub warnings: u64,
}

impl Facts {
    /// The facts of a process that begins now, of `threads` workers and at most `maxconn` clients.
    #[must_use]
    pub fn new(started: Instant, started_wall: Duration, threads: usize, maxconn: usize) -> Arc<Self> {
        Arc::new(Self {
            started,
            started_wall,
            threads,
            connections: Limit::new(maxconn),
            stop: StopSignal::default(),
            listeners: AtomicUsize::new(0),
            scripts: Scripts::default(),
            schedulers: Schedulers::default(),
            warnings: 0,
        })
    }

    /// What `show info` says of them.
    #[must_use]
    pub fn info(&self, global: &proxy_core::config::Global) -> proxy_core::admin::ProcessInfo {
        let mut info = proxy_core::admin::ProcessInfo::new(self.started, self.started_wall);
        info.name = "tidegate".to_owned();
        info.version = version();
        info.pid = std::process::id();
        info.nbthread = self.threads;
        info.maxconn = self.connections.max();
        info.hard_maxconn = info.maxconn;
        info.ulimit_n = usize::try_from(crate::process::descriptors()).unwrap_or(usize::MAX);
        info.connections = self.connections.used();
        info.streams = info.connections;
        info.node = global.node.clone().unwrap_or_else(node);
        info.description = global.description.clone();
        info.stopping = self.stop.state() != Stop::No;
        info.listeners = self.listeners.load(Relaxed);
        info.jobs = info.listeners + info.connections;
        info.dropped_logs = DROPPED_LOGS.load(Relaxed);
        info.warnings = self.warnings;
        info
    }
}

/// The host's name.
fn node() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `3.4.0-tidegate-0.1.0`: what programs compare first, then what people want to know.
#[must_use]
pub fn version() -> String {
    format!("{COMPATIBLE_WITH}-tidegate-{}", env!("CARGO_PKG_VERSION"))
}
