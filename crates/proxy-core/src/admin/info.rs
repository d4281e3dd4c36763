//! `show info`: facts about the process, as pairs of a name and a value.

use std::{
    fmt::Write as _,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::{AdminContext, Answer, stat::Value};

/// What only the embedder knows about the process. Fill in what there is.
#[derive(Clone, Debug)]
pub struct ProcessInfo {
    /// Product name.
    pub name: String,
    /// Product version.
    pub version: String,
    /// Date of the version, `2026/11/22`.
    pub release_date: String,
    /// Process id.
    pub pid: u32,
    /// Worker threads.
    pub nbthread: usize,
    /// When the process began.
    pub started: Instant,
    /// The same since the Unix epoch.
    pub started_wall: Duration,
    /// Present limit of client connections.
    pub maxconn: usize,
    /// Limit of client connections that the system allows.
    pub hard_maxconn: usize,
    /// Limit of open descriptors.
    pub ulimit_n: usize,
    /// Client connections.
    pub connections: usize,
    /// Tasks.
    pub tasks: usize,
    /// Tasks about to run.
    pub run_queue: usize,
    /// Idle time in percent.
    pub idle_percent: u32,
    /// Node name.
    pub node: String,
    /// `description`.
    pub description: Option<String>,
    /// Whether a soft stop is under way.
    pub stopping: bool,
    /// What keeps the process from ending.
    pub jobs: usize,
    /// Listening sockets.
    pub listeners: usize,
    /// Log lines that could not be sent.
    pub dropped_logs: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Warnings printed since the start.
    pub warnings: u64,
    /// Streams under way.
    pub streams: usize,
}

impl ProcessInfo {
    /// Facts of a process that began then; everything else is empty.
    #[must_use]
    pub fn new(started: Instant, started_wall: Duration) -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            release_date: String::new(),
            pid: 0,
            nbthread: 1,
            started,
            started_wall,
            maxconn: 0,
            hard_maxconn: 0,
            ulimit_n: 0,
            connections: 0,
            tasks: 0,
            run_queue: 0,
            idle_percent: 0,
            node: String::new(),
            description: None,
            stopping: false,
            jobs: 0,
            listeners: 0,
            dropped_logs: 0,
            bytes_out: 0,
            warnings: 0,
            streams: 0,
        }
    }
}

/// The fields in HAProxy's order. What this proxy has nothing of (pipes, TLS, compression, peers)
/// is left out.
#[must_use]
pub fn fields(cx: &AdminContext<'_>) -> Vec<(&'static str, Value)> {
    let p = cx.process;
    let up = cx.now.saturating_duration_since(p.started).as_secs();
    let counters = &cx.shared.counters;
    let uptime = format!("{}d {}h{:02}m{:02}s", up / 86_400, up / 3600 % 24, up / 60 % 60, up % 60);
    let mut out = vec![
        ("Name", Value::from(&*p.name)),
        ("Version", Value::from(&*p.version)),
        ("Release_date", Value::from(&*p.release_date)),
        ("Nbthread", Value::from(p.nbthread)),
        ("Nbproc", Value::from(1_u64)),
        ("Process_num", Value::from(1_u64)),
        ("Pid", Value::from(u64::from(p.pid))),
        ("Uptime", Value::from(&*uptime)),
        ("Uptime_sec", Value::from(up)),
        ("Ulimit-n", Value::from(p.ulimit_n)),
        ("Maxsock", Value::from(p.ulimit_n)),
        ("Maxconn", Value::from(p.maxconn)),
        ("Hard_maxconn", Value::from(p.hard_maxconn)),
        ("CurrConns", Value::from(p.connections)),
        ("CumConns", Value::from(counters.connections.load(Relaxed))),
        ("CumReq", Value::from(counters.requests.load(Relaxed))),
        ("Tasks", Value::from(p.tasks)),
        ("Run_queue", Value::from(p.run_queue)),
        ("Idle_pct", Value::from(u64::from(p.idle_percent))),
        ("node", Value::from(&*p.node)),
    ];
    out.extend(p.description.as_deref().map(|text| ("description", Value::from(text))));
    out.extend([
        ("Stopping", Value::from(u64::from(p.stopping))),
        ("Jobs", Value::from(p.jobs)),
        ("Listeners", Value::from(p.listeners)),
        ("DroppedLogs", Value::from(p.dropped_logs)),
        ("TotalBytesOut", Value::from(p.bytes_out)),
        ("Build info", Value::from(&*p.version)),
        ("Start_time_sec", Value::from(p.started_wall.as_secs())),
        ("TotalWarnings", Value::from(p.warnings)),
        ("CurrStreams", Value::from(p.streams)),
    ]);
    out
}

pub(super) fn show(options: &[&str], cx: &AdminContext<'_>) -> Answer {
    if let Some(format) = options.iter().find(|o| matches!(**o, "typed" | "json" | "desc")) {
        return Answer::error(format!("'show info {format}' is not supported yet."));
    }
    let mut out = String::new();
    for (name, value) in fields(cx) {
        let _ = writeln!(out, "{name}: {value}");
    }
    Answer::text(out)
}
