//! `show stat`: counters of proxies and servers, as rows of named fields.
//!
//! A row holds the fields that this proxy has; the CSV leaves the others empty. Scripts read the
//! same rows.

mod row;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

pub use row::{backend_row, frontend_row, listener_row, server_row};

use super::{AdminContext, Answer};
use crate::{
    backend::server::{OpState, Server},
    config::{AccessLevel, Proxy},
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
