//! A `frontend`, `backend` or `listen` section.

use std::sync::Arc;
use std::time::Duration;

use super::{Bind, EmailAlert, LogTarget, Place};
use crate::{
    backend::lb::Balance, backend::proxy::ProxyState, backend::server::Server, check::CheckSpec,
    error_pages::ErrorPages, filter::FilterMaker, rules::Rule, rules::acl::Cond,
    sample::logformat::LogFormat,
};

/// A `frontend`, `backend` or `listen` section.
pub struct Proxy {
    /// Index in [`Config::proxies`](super::Config::proxies).
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

/// Requests that ask for the proxy's own health.
pub struct Monitor {
    /// `monitor-uri`
    pub uri: String,
    /// `monitor fail`: one of them is enough for a 503.
    pub fail: Vec<Cond>,
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
