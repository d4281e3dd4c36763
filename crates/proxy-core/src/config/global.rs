//! The `global` section.

use std::time::Duration;

use super::LogTarget;
use crate::{host::Addr, sample::expr::Expr, tls::TlsSettings, vars::VarName};

/// A process-wide variable and what it starts with.
pub struct ProcVar {
    /// The variable; its scope is [`Scope::Proc`](crate::vars::Scope::Proc).
    pub name: VarName,
    /// Its value.
    pub value: Expr,
}

/// The `global` section.
#[derive(Clone, Debug)]
pub struct Global {
    /// `nbthread`; 0 when not given.
    pub nbthread: usize,
    /// `maxconn`; 0 when not given.
    pub maxconn: usize,
    /// `tune.bufsize` in bytes.
    pub bufsize: usize,
    /// `tune.maxrewrite` in bytes.
    pub maxrewrite: usize,
    /// `tune.http.maxhdr`: header fields accepted in a message.
    pub maxhdr: usize,
    /// `log` lines.
    pub logs: Vec<LogTarget>,
    /// `log-tag`.
    pub log_tag: Option<String>,
    /// `stats socket` lines.
    pub stats_sockets: Vec<StatsSocket>,
    /// `stats timeout`.
    pub stats_timeout: Duration,
    /// `pidfile`.
    pub pidfile: Option<String>,
    /// `user` or `uid`.
    pub user: Option<String>,
    /// `group` or `gid`.
    pub group: Option<String>,
    /// `ca-base`: where the names of authorities' files start.
    pub ca_base: Option<String>,
    /// `crt-base`: where the names of certificates start.
    pub crt_base: Option<String>,
    /// `ssl-default-bind-…`: what listeners start from.
    pub bind_tls: TlsSettings,
    /// `ssl-default-server-…`: what servers start from.
    pub server_tls: TlsSettings,
    /// `ssl-server-verify none`: servers that do not say otherwise need no good certificate.
    pub trusts_servers: bool,
    /// `chroot`.
    pub chroot: Option<String>,
    /// `daemon`.
    pub daemon: bool,
    /// `node`; the host name when absent.
    pub node: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `hard-stop-after`.
    pub hard_stop_after: Option<Duration>,
    /// `thread-groups`; 0 when not given.
    pub thread_groups: usize,
    /// `ulimit-n`; 0 when not given.
    pub ulimit_n: usize,
    /// `localpeer`.
    pub localpeer: Option<String>,
    /// `quiet`.
    pub quiet: bool,
    /// `zero-warning`: a warning keeps the process from starting.
    pub zero_warning: bool,
    /// Settings that belong to extensions, in order (`tune.x.y` and its words), already checked by them.
    pub extra: Vec<(String, Vec<String>)>,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            nbthread: 0,
            maxconn: 0,
            bufsize: 16384,
            maxrewrite: 1024,
            maxhdr: 101,
            logs: Vec::new(),
            log_tag: None,
            stats_sockets: Vec::new(),
            stats_timeout: Duration::from_secs(10),
            pidfile: None,
            user: None,
            group: None,
            ca_base: None,
            crt_base: None,
            bind_tls: TlsSettings::default(),
            server_tls: TlsSettings::default(),
            trusts_servers: false,
            chroot: None,
            daemon: false,
            node: None,
            description: None,
            hard_stop_after: None,
            thread_groups: 0,
            ulimit_n: 0,
            localpeer: None,
            quiet: false,
            zero_warning: false,
            extra: Vec::new(),
        }
    }
}

/// A `stats socket` line.
#[derive(Clone, Debug)]
pub struct StatsSocket {
    /// Where it listens.
    pub addr: Addr,
    /// What its users may do.
    pub level: AccessLevel,
    /// File mode for unix sockets (`mode 660`).
    pub mode: Option<u32>,
}

/// What a runtime API user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    /// Read what is not sensitive.
    User,
    /// Read all, change what is harmless.
    #[default]
    Operator,
    /// Everything.
    Admin,
}
