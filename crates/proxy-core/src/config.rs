//! The configuration as the running proxy sees it: checked, resolved, immutable.
//!
//! [`cfgparse`](crate::cfgparse) makes it. What changes while running (server states, counters,
//! queues) hangs off the same structures behind atomics and small locks, as in `backend`.

mod bind;
mod global;
mod log;
mod mailers;
mod proxy;
mod server;

use std::sync::Arc;

pub use self::{
    bind::Bind,
    global::{AccessLevel, Global, ProcVar, StatsSocket},
    log::{LogAddr, LogHeader, LogTarget},
    mailers::{EmailAlert, Mailers},
    proxy::{
        Capabilities, ForwardFor, HttpReuse, Mode, Monitor, Options, Proxy, RuleSets, Timeouts, UseBackend,
    },
    server::{ServerConfig, SourceAddr},
};
use std::collections::BTreeMap;

use crate::{backend::server::Server, cfgparse::Env, pattern_ref::PatternRefs, stick_table::StickTables};

/// A whole, valid configuration.
#[derive(Default)]
pub struct Config {
    /// The `global` section.
    pub global: Global,
    /// Every proxy (`frontend`, `backend`, `listen`) in file order; an index here is its `id`.
    pub proxies: Vec<Arc<Proxy>>,
    /// Proxies by name; frontends and backends may share one.
    pub frontends: BTreeMap<String, Arc<Proxy>>,
    /// Proxies that can be chosen as a backend, by name.
    pub backends: BTreeMap<String, Arc<Proxy>>,
    /// Servers by their process-wide id (`puid` per proxy is on the server).
    pub servers: Vec<Arc<Server>>,
    /// `set-var` of the `global` section, to be evaluated once at the start.
    pub proc_vars: Vec<ProcVar>,
    /// The environment as the configuration left it, for the fetch `env`.
    pub env: Env,
    /// `mailers` sections that a proxy uses, by name.
    pub mailers: BTreeMap<String, Arc<Mailers>>,
    /// The lists of patterns that ACLs and maps use.
    pub patterns: Arc<PatternRefs>,
    /// Stick tables.
    pub tables: Arc<StickTables>,
}

/// Where something stands in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// File name as given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}
