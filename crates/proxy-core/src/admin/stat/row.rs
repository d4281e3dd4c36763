//! What each column holds, for a frontend, a server, a backend.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use super::Row;
use crate::{
    admin::AdminContext,
    backend::{
        counters::Traffic,
        listening::ListenState,
        notice::usable_servers,
        server::{OpState, Server, Status},
    },
    config::{AccessLevel, Bind, Mode, Proxy},
    host::Addr,
};

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
    row.set("status", frontend_status(proxy, cx));
    row.set("req_tot", &traffic.requests);
    row.set("conn_tot", state.fe_connections.total());
    row.set("intercepted", &traffic.intercepted);
    row.set("dcon", &traffic.denied_connections);
    row.set("dses", &traffic.denied_sessions);
    row
}

fn frontend_status(proxy: &Proxy, cx: &AdminContext<'_>) -> &'static str {
    match proxy.state.listening.state() {
        _ if cx.shared.stopping.load(Relaxed) => "STOP",
        ListenState::Open => "OPEN",
        ListenState::Paused => "PAUSED",
        ListenState::Stopped => "STOP",
    }
}

/// The row of one listening address; there are no counters of its own.
#[must_use]
pub fn listener_row(proxy: &Proxy, name: &str, bind: &Bind, cx: &AdminContext<'_>) -> Row {
    let mut row = Row::identity(proxy, name, bind.id, 3);
    row.set("status", frontend_status(proxy, cx));
    if bind.maxconn > 0 {
        row.set("slim", bind.maxconn);
    }
    row.set("addr", &*bind.addr.to_string());
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

impl Row {
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
