//! The configuration as the running proxy sees it: checked, resolved, immutable.
//!
//! [`cfgparse`](crate::cfgparse) makes it. What changes while running (server states, counters,
//! queues) hangs off the same structures behind atomics and small locks, as in `backend`.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use crate::{
    backend::{lb::Balance, proxy::ProxyState, server::Server},
    cfgparse::Env,
    check::CheckSpec,
    error_pages::ErrorPages,
    filter::FilterMaker,
    host::Addr,
    log::{Facility, Level},
    pattern_ref::PatternRefs,
    rules::{Rule, acl::Cond},
    sample::{expr::Expr, logformat::LogFormat},
    stick_table::StickTables,
    tls::{ServerTls, TlsSettings},
    vars::VarName,
};

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

/// Requests that ask for the proxy's own health.
pub struct Monitor {
    /// `monitor-uri`
    pub uri: String,
    /// `monitor fail`: one of them is enough for a 503.
    pub fail: Vec<Cond>,
}

/// A `mailers` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailers {
    /// Its name.
    pub name: String,
    /// Where it was declared.
    pub place: Place,
    /// `timeout mail`
    pub timeout: Duration,
    /// `mailer` lines: names and addresses, as written.
    pub servers: Vec<(String, String)>,
}

/// `email-alert …` lines. For scripts: nothing here sends mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailAlert {
    /// `mailers`: a key of [`Config::mailers`]. With it `from` and `to` are there, too.
    pub mailers: Option<String>,
    /// `from`
    pub from: Option<String>,
    /// `to`
    pub to: Option<String>,
    /// `myhostname`
    pub myhostname: Option<String>,
    /// `level`; `alert` when absent.
    pub level: Option<Level>,
}

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

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Address, or one of the standard streams.
    pub to: LogAddr,
    /// `format`.
    pub format: LogHeader,
    /// `facility`.
    pub facility: Facility,
    /// Lines less urgent than this are dropped.
    pub max_level: Level,
    /// Lines more urgent than this are sent with this level.
    pub min_level: Option<Level>,
    /// `len`: longest line in bytes.
    pub max_len: usize,
}

/// A log target's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAddr {
    /// Syslog over UDP or a unix datagram socket.
    Socket(Addr),
    /// `stdout`.
    Stdout,
    /// `stderr`.
    Stderr,
}

/// The header that log lines get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogHeader {
    /// RFC 3164 (default for sockets).
    #[default]
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
    /// `<PRI>` only.
    Priority,
    /// `<N>` level only, as systemd likes.
    Short,
    /// ISO time stamp.
    Iso,
    /// Level and time stamp.
    Timed,
    /// No header.
    Raw,
}

/// `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Bytes.
    #[default]
    Tcp,
    /// HTTP/1.
    Http,
    /// An agent's backend.
    Spop,
}

/// What a proxy can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Accepts connections.
    pub frontend: bool,
    /// Has servers.
    pub backend: bool,
}

/// A `frontend`, `backend` or `listen` section.
pub struct Proxy {
    /// Index in [`Config::proxies`].
    pub id: usize,
    /// HAProxy's `uuid`: counts from 2 as there.
    pub uuid: u32,
    /// Section name.
    pub name: String,
    /// Where it was declared.
    pub place: Place,
    /// frontend, backend or both.
    pub capabilities: Capabilities,
    /// `mode`.
    pub mode: Mode,
    /// `bind` lines; a range makes several.
    pub binds: Vec<Arc<Bind>>,
    /// Servers in file order.
    pub servers: Vec<Arc<Server>>,
    /// `balance`.
    pub balance: Balance,
    /// `default_backend`, resolved; empty for none.
    pub default_backend: std::sync::OnceLock<Arc<Proxy>>,
    /// `use_backend` lines in order, resolved after all sections were read.
    pub use_backend: std::sync::OnceLock<Vec<UseBackend>>,
    /// `timeout …`.
    pub timeouts: Timeouts,
    /// `retries`.
    pub retries: u32,
    /// `option redispatch`: at every Pth retry, or where negative at that one from the end; 0 for never.
    pub redispatch: i32,
    /// `maxconn` of a frontend; 0 means the global one.
    pub maxconn: usize,
    /// `fullconn`; 0 when not given.
    pub fullconn: usize,
    /// Further options.
    pub options: Options,
    /// How servers are checked (`option httpchk` and so on).
    pub check: CheckSpec,
    /// Rule sets.
    pub rules: RuleSets,
    /// `tcp-request inspect-delay`.
    pub tcp_request_inspect_delay: Option<Duration>,
    /// `tcp-response inspect-delay`.
    pub tcp_response_inspect_delay: Option<Duration>,
    /// Attached filters in order.
    pub filters: Vec<Arc<dyn FilterMaker>>,
    /// Log targets (after `log global` was resolved).
    pub logs: Vec<LogTarget>,
    /// The format of traffic lines; `None` for the short default format.
    pub log_format: Option<LogFormat>,
    /// `monitor-uri` and `monitor fail`.
    pub monitor: Option<Monitor>,
    /// What it answers instead of the pages that are built in.
    pub pages: ErrorPages,
    /// `disabled`.
    pub disabled: bool,
    /// Counters and queue.
    pub state: ProxyState,
}

/// Where something stands in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// File name as given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

/// A `use_backend` line.
pub struct UseBackend {
    /// The target; `None` when its name is computed per request.
    pub backend: Option<Arc<Proxy>>,
    /// The computed name.
    pub name: Option<LogFormat>,
    /// `if`/`unless`.
    pub cond: Option<Cond>,
}

/// The rule sets of one proxy, each in file order.
#[derive(Default)]
pub struct RuleSets {
    /// `tcp-request connection`.
    pub tcp_connection: Vec<Rule>,
    /// `tcp-request session`.
    pub tcp_session: Vec<Rule>,
    /// `tcp-request content`.
    pub tcp_request: Vec<Rule>,
    /// `tcp-response content`.
    pub tcp_response: Vec<Rule>,
    /// `http-request`.
    pub http_request: Vec<Rule>,
    /// `http-response`.
    pub http_response: Vec<Rule>,
    /// `http-after-response`.
    pub http_after_response: Vec<Rule>,
}

impl RuleSets {
    /// Whether a response meets any rule.
    #[must_use]
    pub fn look_at_responses(&self) -> bool {
        let sets = [&self.tcp_response, &self.http_response, &self.http_after_response];
        sets.into_iter().any(|set| !set.is_empty())
    }
}

/// `timeout …` lines; `None` waits for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// `client`.
    pub client: Option<Duration>,
    /// `client-fin`.
    pub client_fin: Option<Duration>,
    /// `server`.
    pub server: Option<Duration>,
    /// `server-fin`.
    pub server_fin: Option<Duration>,
    /// `connect`.
    pub connect: Option<Duration>,
    /// `queue`.
    pub queue: Option<Duration>,
    /// `check`.
    pub check: Option<Duration>,
    /// `http-request`.
    pub http_request: Option<Duration>,
    /// `http-keep-alive`.
    pub http_keep_alive: Option<Duration>,
    /// `tunnel`.
    pub tunnel: Option<Duration>,
    /// `tarpit`.
    pub tarpit: Option<Duration>,
}

/// `option …` lines that are plain switches, and `http-reuse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `option httplog`.
    pub httplog: bool,
    /// `option tcplog`.
    pub tcplog: bool,
    /// `option dontlognull`.
    pub dontlognull: bool,
    /// `option dontlog-normal`.
    pub dontlog_normal: bool,
    /// `option forwardfor`.
    pub forwardfor: Option<ForwardFor>,
    /// `option http-server-close`.
    pub http_server_close: bool,
    /// `option httpclose`.
    pub httpclose: bool,
    /// `option log-health-checks`.
    pub log_health_checks: bool,
    /// `option http-ignore-probes`.
    pub http_ignore_probes: bool,
    /// `option http-buffer-request`.
    pub http_buffer_request: bool,
    /// `option allbackups`.
    pub allbackups: bool,
    /// `option abortonclose`; `None` for what the mode has: on in HTTP, off elsewhere.
    pub abortonclose: Option<bool>,
    /// `http-reuse`.
    pub http_reuse: HttpReuse,
    /// `log-tag`; the one of `global` when absent.
    pub log_tag: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `email-alert`.
    pub email_alert: EmailAlert,
}

/// `option forwardfor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardFor {
    /// Header name.
    pub header: String,
    /// `if-none`.
    pub if_none: bool,
    /// `except`: network and prefix length.
    pub except: Option<ipnet::IpNet>,
}

/// `http-reuse`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpReuse {
    /// Idle connections only of this session.
    Never,
    /// Others' for requests after a connection's first (default).
    #[default]
    Safe,
    /// Others' if they were reused before.
    Aggressive,
    /// Always.
    Always,
}

/// One listening address.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Where it listens.
    pub addr: Addr,
    /// The same as the line has it, for messages: a list or a range is several addresses.
    pub written: Arc<str>,
    /// `name`.
    pub name: Option<String>,
    /// HAProxy's socket id.
    pub id: u32,
    /// Where it was declared.
    pub place: Place,
    /// `mode` of a unix socket.
    pub unix_mode: Option<u32>,
    /// `maxconn`.
    pub maxconn: usize,
    /// `backlog`.
    pub backlog: u32,
    /// `nice`: -1024 to 1024.
    pub nice: i32,
    /// `v4v6`/`v6only`: true for v6 only.
    pub v6only: bool,
    /// `interface`.
    pub interface: Option<String>,
    /// `ssl`: whoever accepts speaks TLS.
    pub ssl: bool,
    /// `crt` files, in order.
    pub crts: Vec<String>,
    /// `alpn`: protocol names.
    pub alpn: Vec<String>,
    /// The other words about TLS, with the defaults of `global`.
    pub tls: TlsSettings,
}

/// `source` of a server or backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAddr {
    /// Address to bind to.
    pub ip: IpAddr,
    /// Port; 0 for any.
    pub port: u16,
}

/// The static settings of a `server` line.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// `server NAME`.
    pub name: String,
    /// Where it was declared.
    pub place: Place,
    /// Address; its port 0 means the client's destination port.
    pub addr: Addr,
    /// `check`.
    pub check: bool,
    /// `inter` (2 s).
    pub inter: Duration,
    /// `fastinter`; `inter` when absent.
    pub fastinter: Option<Duration>,
    /// `downinter`; `inter` when absent.
    pub downinter: Option<Duration>,
    /// `rise` (2).
    pub rise: u32,
    /// `fall` (3).
    pub fall: u32,
    /// `weight` (1), 0 to 256.
    pub weight: u32,
    /// `backup`.
    pub backup: bool,
    /// `disabled`.
    pub disabled: bool,
    /// `maxconn`; 0 for no limit.
    pub maxconn: usize,
    /// `maxqueue`; 0 for no limit.
    pub maxqueue: usize,
    /// `port` for checks.
    pub check_port: Option<u16>,
    /// `addr` for checks.
    pub check_addr: Option<IpAddr>,
    /// `pool-max-conn`; `None` for no limit.
    pub pool_max_conn: Option<usize>,
    /// `source`.
    pub source: Option<SourceAddr>,
    /// `id`; 0 when not given.
    pub puid: u32,
    /// `slowstart`.
    pub slowstart: Option<Duration>,
    /// `ssl` and the words about it.
    pub tls: Option<Box<ServerTls>>,
}

impl ServerConfig {
    /// A `server` line with nothing but name and address: HAProxy's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, addr: Addr) -> Self {
        Self {
            name: name.into(),
            addr,
            place: Place::default(),
            check: false,
            inter: Duration::from_secs(2),
            fastinter: None,
            downinter: None,
            rise: 2,
            fall: 3,
            weight: 1,
            backup: false,
            disabled: false,
            maxconn: 0,
            maxqueue: 0,
            check_port: None,
            check_addr: None,
            pool_max_conn: None,
            source: None,
            puid: 0,
            slowstart: None,
            tls: None,
        }
    }
}
