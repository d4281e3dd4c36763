//! `show stat`: counters of proxies and servers, as rows of named fields.
//!
//! A row holds the fields that this proxy has; the CSV leaves the others empty. Scripts read the
//! same rows.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Instant,
};

use super::{AdminContext, Answer};
use crate::{
    backend::{
        counters::Traffic,
        notice::usable_servers,
        server::{OpState, Server, Status},
    },
    config::{AccessLevel, Mode, Proxy},
    host::Addr,
};

/// The static columns in HAProxy's order (management.txt §9.1).
pub const COLUMNS: &[&str] = &[
    "pxname",
    "svname",
    "qcur",
    "qmax",
    "scur",
    "smax",
    "slim",
    "stot",
    "bin",
    "bout",
    "dreq",
    "dresp",
    "ereq",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "status",
    "weight",
    "act",
    "bck",
    "chkfail",
    "chkdown",
    "lastchg",
    "downtime",
    "qlimit",
    "pid",
    "iid",
    "sid",
    "throttle",
    "lbtot",
    "tracked",
    "type",
    "rate",
    "rate_lim",
    "rate_max",
    "check_status",
    "check_code",
    "check_duration",
    "hrsp_1xx",
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "hrsp_other",
    "hanafail",
    "req_rate",
    "req_rate_max",
    "req_tot",
    "cli_abrt",
    "srv_abrt",
    "comp_in",
    "comp_out",
    "comp_byp",
    "comp_rsp",
    "lastsess",
    "last_chk",
    "last_agt",
    "qtime",
    "ctime",
    "rtime",
    "ttime",
    "agent_status",
    "agent_code",
    "agent_duration",
    "check_desc",
    "agent_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "agent_rise",
    "agent_fall",
    "agent_health",
    "addr",
    "cookie",
    "mode",
    "algo",
    "conn_rate",
    "conn_rate_max",
    "conn_tot",
    "intercepted",
    "dcon",
    "dses",
    "wrew",
    "connect",
    "reuse",
    "cache_lookups",
    "cache_hits",
    "srv_icur",
    "src_ilim",
    "qtime_max",
    "ctime_max",
    "rtime_max",
    "ttime_max",
    "eint",
    "idle_conn_cur",
    "safe_conn_cur",
    "used_conn_cur",
    "need_conn_est",
    "uweight",
    "agg_server_status",
    "agg_server_check_status",
    "agg_check_status",
    "srid",
    "sess_other",
    "h1_sess",
    "h2_sess",
    "h3_sess",
    "req_other",
    "h1req",
    "h2req",
    "h3req",
    "proto",
    "priv_idle_cur",
    "-",
];

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Int(u64),
    /// Text.
    Text(String),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(value as u64)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&AtomicU64> for Value {
    fn from(value: &AtomicU64) -> Self {
        Self::Int(value.load(Relaxed))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Fields by their column names, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(Vec<(&'static str, Value)>);

impl Row {
    fn set(&mut self, column: &'static str, value: impl Into<Value>) {
        debug_assert!(COLUMNS.contains(&column), "{column} is a column");
        self.0.push((column, value.into()));
    }

    /// The fields it has.
    pub fn fields(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.0.iter()
    }

    /// A field, if it has it.
    #[must_use]
    pub fn field(&self, column: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    }

    fn write_csv(&self, out: &mut String) {
        for column in COLUMNS {
            match self.field(column) {
                Some(Value::Text(text)) if text.contains(['"', ',', '\n']) => {
                    out.push('"');
                    out.push_str(&text.replace('"', "\"\""));
                    out.push('"');
                }
                Some(value) => out.push_str(&value.to_string()),
                // The column that ends the static ones is its own value.
                None if *column == "-" => out.push('-'),
                None => {}
            }
            out.push(',');
        }
        out.push('\n');
    }

    fn identity(proxy: &Proxy, name: &str, sid: u32, kind: u64) -> Self {
        let mut row = Self::default();
        row.set("pxname", &*proxy.name);
        row.set("svname", name);
        row.set("pid", 1_u64);
        row.set("iid", u64::from(proxy.uuid));
        row.set("sid", u64::from(sid));
        row.set("type", kind);
        row.set("mode", mode(proxy.mode));
        row
    }

    fn traffic(&mut self, traffic: &Traffic) {
        self.set("bin", &traffic.bytes_in);
        self.set("bout", &traffic.bytes_out);
        self.set("dresp", &traffic.denied_responses);
        self.set("eint", &traffic.internal_errors);
        const CLASSES: [&str; 6] = ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"];
        for (class, column) in CLASSES.into_iter().enumerate() {
            self.set(column, traffic.responses(class));
        }
    }

    /// What only the server side counts.
    fn server_traffic(&mut self, traffic: &Traffic) {
        self.set("econ", &traffic.connect_errors);
        self.set("eresp", &traffic.response_errors);
        self.set("wretr", &traffic.retries);
        self.set("wredis", &traffic.redispatches);
        self.set("lbtot", &traffic.chosen);
        self.set("cli_abrt", &traffic.client_aborts);
        self.set("srv_abrt", &traffic.server_aborts);
        self.set("connect", &traffic.connects);
        self.set("reuse", &traffic.reuses);
    }
}

/// The row of a frontend.
#[must_use]
pub fn frontend_row(proxy: &Proxy, cx: &AdminContext<'_>) -> Row {
    let (state, traffic) = (&proxy.state, &proxy.state.fe);
    let mut row = Row::identity(proxy, "FRONTEND", 0, 0);
    row.traffic(traffic);
    row.set("scur", state.fe_sessions.cur());
    row.set("smax", state.fe_sessions.max());
    row.set("slim", frontend_limit(proxy, cx));
    row.set("stot", state.fe_sessions.total());
    row.set("dreq", &traffic.denied_requests);
    row.set("ereq", &traffic.request_errors);
    row.set("status", if cx.shared.stopping.load(Relaxed) { "STOP" } else { "OPEN" });
    row.set("req_tot", &traffic.requests);
    row.set("conn_tot", state.fe_connections.total());
    row.set("intercepted", &traffic.intercepted);
    row.set("dcon", &traffic.denied_connections);
    row.set("dses", &traffic.denied_sessions);
    row
}

/// The row of a server. Its address is shown to operators and above.
#[must_use]
pub fn server_row(proxy: &Proxy, server: &Server, level: AccessLevel, cx: &AdminContext<'_>) -> Row {
    let status = server.status(cx.now);
    let checked = server.checks_enabled();
    let mut row = Row::identity(proxy, server.name(), server.puid, 2);
    row.traffic(&server.traffic);
    row.server_traffic(&server.traffic);
    row.set("qcur", server.queued.cur());
    row.set("qmax", server.queued.max());
    row.set("scur", server.sessions.cur());
    row.set("smax", server.sessions.max());
    if server.maxconn() > 0 {
        row.set("slim", server.maxconn());
    }
    row.set("stot", server.sessions.total());
    row.set("status", &*server_status(server, &status));
    row.set("weight", u64::from(server.effective_weight()));
    row.set("uweight", u64::from(status.user_weight));
    row.set("act", u64::from(!server.config.backup));
    row.set("bck", u64::from(server.config.backup));
    row.set("lastchg", seconds_since(status.last_change, cx));
    if server.config.maxqueue > 0 {
        row.set("qlimit", server.config.maxqueue);
    }
    row.set("used_conn_cur", server.served());
    row.set("srid", u64::from(server.rid));
    if let (Some(since), Some(ramp)) = (status.warming_since, server.config.slowstart) {
        let gone = cx.now.saturating_duration_since(since).as_millis();
        let percent = u64::try_from(gone * 100 / ramp.as_millis().max(1)).unwrap_or(100);
        row.set("throttle", percent.clamp(1, 100));
    }
    if checked {
        set_check(&mut row, &status);
    }
    if level >= AccessLevel::Operator {
        let addr = server.addr();
        row.set(
            "addr",
            &*match &*addr {
                Addr::Unix(_) | Addr::Abstract(_) => "unix".to_owned(),
                other => other.to_string(),
            },
        );
    }
    row
}

/// The columns that only a checked server has.
fn set_check(row: &mut Row, status: &Status) {
    row.set("chkfail", status.failed_checks);
    row.set("chkdown", status.downs);
    row.set("downtime", status.down_time.as_secs());
    row.set("check_rise", u64::from(status.health.rise));
    row.set("check_fall", u64::from(status.health.fall));
    row.set("check_health", u64::from(status.health.cur));
    let Some(check) = &status.last_check else {
        row.set("check_status", "INI");
        row.set("check_desc", "Initializing");
        return;
    };
    row.set("check_status", check.status.short());
    if check.status.has_code() {
        row.set("check_code", u64::from(check.code));
    }
    row.set("check_duration", u64::try_from(check.duration.as_millis()).unwrap_or(u64::MAX));
    row.set("check_desc", check.status.description());
    row.set("last_chk", &*check.info);
}

/// The row of a backend. Its algorithm is shown to operators and above.
#[must_use]
pub fn backend_row(proxy: &Proxy, level: AccessLevel, cx: &AdminContext<'_>) -> Row {
    let (state, traffic) = (&proxy.state, &proxy.state.be);
    let available = state.availability();
    let (active, backup) = usable_servers(proxy);
    let usable = || proxy.servers.iter().filter(|s| s.is_usable() && s.config.backup == (active == 0));
    let mut row = Row::identity(proxy, "BACKEND", 0, 1);
    row.traffic(traffic);
    row.server_traffic(traffic);
    row.set("qcur", state.queued.cur());
    row.set("qmax", state.queued.max());
    row.set("scur", state.be_sessions.cur());
    row.set("smax", state.be_sessions.max());
    row.set("slim", fullconn(proxy, cx));
    row.set("stot", state.be_sessions.total());
    row.set("dreq", &traffic.denied_requests);
    row.set("status", backend_status(proxy, active + backup));
    row.set("weight", usable().map(|s| u64::from(s.effective_weight())).sum::<u64>());
    row.set("uweight", usable().map(|s| u64::from(s.status(cx.now).user_weight)).sum::<u64>());
    row.set("act", active);
    row.set("bck", backup);
    row.set("chkdown", available.downs);
    row.set("lastchg", seconds_since(available.changed, cx));
    if !proxy.servers.is_empty() {
        let empty = available.empty_since.map(|since| cx.now.saturating_duration_since(since));
        row.set("downtime", (available.down_time + empty.unwrap_or_default()).as_secs());
    }
    row.set("req_tot", &traffic.requests);
    row.set("intercepted", &traffic.intercepted);
    if level >= AccessLevel::Operator {
        row.set("algo", proxy.balance.name());
    }
    row
}

/// `show stat [{<iid>|<proxy>} <type> <sid>] [no-maint] [up]`.
pub(super) fn show(words: &[&str], level: AccessLevel, cx: &AdminContext<'_>) -> Answer {
    if let Some(format) = words.iter().find(|w| matches!(**w, "typed" | "json" | "desc" | "domain")) {
        return Answer::error(format!("'show stat {format}' is not supported yet."));
    }
    let wanted = match Wanted::parse(words, cx) {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    let mut out = format!("# {},\n", COLUMNS.join(","));
    for proxy in cx.shared.config.proxies.iter().filter(|p| !p.disabled && wanted.proxy(p)) {
        if proxy.capabilities.frontend && wanted.kind(0) && wanted.sid(0) {
            frontend_row(proxy, cx).write_csv(&mut out);
        }
        if !proxy.capabilities.backend {
            continue;
        }
        for server in
            proxy.servers.iter().filter(|s| wanted.kind(2) && wanted.sid(s.puid) && wanted.server(s))
        {
            server_row(proxy, server, level, cx).write_csv(&mut out);
        }
        if wanted.kind(1) && wanted.sid(0) {
            backend_row(proxy, level, cx).write_csv(&mut out);
        }
    }
    Answer::text(out)
}

/// Which rows are asked for.
struct Wanted {
    iid: Option<u32>,
    kinds: u32,
    sid: Option<u32>,
    no_maint: bool,
    up: bool,
}

impl Wanted {
    fn parse(words: &[&str], cx: &AdminContext<'_>) -> Result<Self, Answer> {
        let mut wanted = Self { iid: None, kinds: u32::MAX, sid: None, no_maint: false, up: false };
        let mut rest = words;
        if let [proxy, kinds, sid, more @ ..] = words
            && let (Ok(kinds), Ok(sid)) = (kinds.parse::<i64>(), sid.parse::<i64>())
        {
            wanted.iid = match proxy.parse::<i64>() {
                Ok(iid) => u32::try_from(iid).ok(),
                Err(_) => {
                    let found = cx.shared.config.proxies.iter().find(|p| p.name == *proxy);
                    Some(found.ok_or_else(|| Answer::error("No such proxy."))?.uuid)
                }
            };
            wanted.kinds = u32::try_from(kinds).unwrap_or(u32::MAX);
            wanted.sid = u32::try_from(sid).ok();
            rest = more;
        }
        wanted.no_maint = rest.contains(&"no-maint");
        wanted.up = rest.contains(&"up");
        Ok(wanted)
    }

    fn proxy(&self, proxy: &Proxy) -> bool {
        self.iid.is_none_or(|iid| iid == proxy.uuid)
    }

    /// Kinds are bits: 1 frontends, 2 backends, 4 servers.
    fn kind(&self, kind: u32) -> bool {
        self.kinds & (1 << kind) != 0
    }

    fn sid(&self, sid: u32) -> bool {
        self.sid.is_none_or(|wanted| wanted == sid)
    }

    fn server(&self, server: &Arc<Server>) -> bool {
        let maint = server.admin_flags().is_maint();
        !(self.no_maint && maint || self.up && (maint || server.op_state() == OpState::Stopped))
    }
}

/// What a server's status column says.
fn server_status(server: &Server, status: &Status) -> String {
    let health = status.health;
    let checked = server.checks_enabled();
    let progress = |word: &str| {
        let (n, of) = if health.is_up() {
            (health.cur - health.rise + 1, health.fall)
        } else {
            (health.cur, health.rise)
        };
        let settled = health.cur == 0 || health.cur == health.max() || !checked;
        if settled { word.to_owned() } else { format!("{word} {n}/{of}") }
    };
    if status.admin.is_maint() {
        return "MAINT".to_owned();
    }
    match status.op {
        OpState::Stopped => progress("DOWN"),
        _ if status.admin.is_drain() || status.user_weight == 0 => "DRAIN".to_owned(),
        OpState::Stopping => progress("NOLB"),
        _ if !checked => "no check".to_owned(),
        _ => progress("UP"),
    }
}

fn backend_status(proxy: &Proxy, usable: usize) -> &'static str {
    if usable > 0 || proxy.servers.is_empty() { "UP" } else { "DOWN" }
}

/// The connection limit of a frontend.
fn frontend_limit(proxy: &Proxy, cx: &AdminContext<'_>) -> usize {
    if proxy.maxconn > 0 { proxy.maxconn } else { cx.process.maxconn }
}

/// `fullconn`, or a tenth of what the frontends that lead here may bring.
fn fullconn(proxy: &Proxy, cx: &AdminContext<'_>) -> usize {
    if proxy.fullconn > 0 {
        return proxy.fullconn;
    }
    let leads_here = |from: &&Arc<Proxy>| {
        from.capabilities.frontend
            && (from.id == proxy.id
                || from.default_backend.get().is_some_and(|b| b.id == proxy.id)
                || from.use_backend.get().is_some_and(|rules| {
                    rules.iter().any(|rule| rule.backend.as_ref().is_some_and(|b| b.id == proxy.id))
                }))
    };
    let sum: usize =
        cx.shared.config.proxies.iter().filter(leads_here).map(|from| frontend_limit(from, cx)).sum();
    sum.div_ceil(10).max(1)
}

fn seconds_since(since: Option<Instant>, cx: &AdminContext<'_>) -> u64 {
    cx.now.saturating_duration_since(since.unwrap_or(cx.process.started)).as_secs()
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::Spop => "spop",
    }
}
