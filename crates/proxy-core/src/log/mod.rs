//! Log levels, facilities, headers, and what a stream's log line says.

pub mod exchange;
pub mod header;
pub mod time;

use std::{
    sync::{OnceLock, atomic::AtomicU64},
    time::{Duration, Instant},
};

pub use exchange::log_exchange;
pub use header::send;

/// Syslog levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// `emerg`
    Emerg = 0,
    /// `alert`
    Alert,
    /// `crit`
    Crit,
    /// `err`
    Err,
    /// `warning`
    Warning,
    /// `notice`
    Notice,
    /// `info`
    Info,
    /// `debug`
    Debug,
}

impl Level {
    /// The level of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let at = LEVELS.iter().position(|(known, _)| *known == name)?;
        Some(LEVELS[at].1)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        LEVELS[self as usize].0
    }
}

/// Every level by its name, in order.
const LEVELS: [(&str, Level); 8] = [
    ("emerg", Level::Emerg),
    ("alert", Level::Alert),
    ("crit", Level::Crit),
    ("err", Level::Err),
    ("warning", Level::Warning),
    ("notice", Level::Notice),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

/// Syslog facility, 0 to 23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(pub u8);

impl Facility {
    /// The facility of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let at = FACILITIES.iter().position(|known| *known == name)?;
        u8::try_from(at).ok().map(Self)
    }
}

/// Names by number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// The machine's name, as it was at the first call; `None` if it has none.
#[must_use]
pub fn hostname() -> Option<&'static [u8]> {
    static NAME: OnceLock<Vec<u8>> = OnceLock::new();
    let name = NAME.get_or_init(|| {
        std::fs::read("/proc/sys/kernel/hostname").map(|name| name.trim_ascii().to_vec()).unwrap_or_default()
    });
    (!name.is_empty()).then_some(name.as_slice())
}

/// What `set-log-level` asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelOverride {
    /// No line.
    Silent,
    /// This level.
    Level(Level),
}

/// What the log line of an exchange needs and nothing else keeps.
///
/// The stream writes it, [`logformat`](crate::sample::logformat) reads it.
#[derive(Default, Debug)]
pub struct TxnLog {
    /// Start of the exchange: accept for a connection's first request, end of the previous one after.
    pub accepted: Option<Instant>,
    /// First byte of the request.
    pub first_byte: Option<Instant>,
    /// Request head complete.
    pub request_done: Option<Instant>,
    /// Server slot obtained.
    pub dequeued: Option<Instant>,
    /// Server connection established.
    pub connected: Option<Instant>,
    /// Response head complete.
    pub response_done: Option<Instant>,
    /// Last byte of the exchange.
    pub ended: Option<Instant>,
    /// Wall-clock time of `accepted`, since the Unix epoch.
    pub wall: Duration,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Status sent to the client; 0 for none.
    pub status: u16,
    /// The termination state, two letters and two cookie letters (`----`).
    pub termination: [u8; 4],
    /// Connection retries.
    pub retries: u32,
    /// Whether the request was moved to another server.
    pub redispatched: bool,
    /// Requests before this one in the server's queue and in the backend's.
    pub queued_before: (u32, u32),
    /// The request line as it came (kept only where a log line will need it).
    pub request_line: Vec<u8>,
    /// Our end of the server connection.
    pub backend_source: Option<crate::host::Addr>,
    /// The level that a rule chose for the line.
    pub level: Option<LevelOverride>,
    /// The exchange already has its line.
    pub written: bool,
}

/// The intervals of an exchange in milliseconds; -1 where its end was never reached.
///
/// Source: configuration.txt 8.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `%Th`
    pub handshake: i64,
    /// `%Ti`
    pub idle: i64,
    /// `%TR`
    pub header: i64,
    /// `%Tq`
    pub tq: i64,
    /// `%Tw`
    pub queue: i64,
    /// `%Tc`
    pub connect: i64,
    /// `%Tr`
    pub response: i64,
    /// `%Td`
    pub data: i64,
    /// `%Ta`
    pub active: i64,
    /// `%Tt`
    pub total: i64,
    /// `%Tu`
    pub user: i64,
}

impl TxnLog {
    /// The intervals as far as they are known.
    #[must_use]
    pub fn timers(&self) -> Timers {
        let start = self.accepted;
        let is_http = self.first_byte.is_some() || self.request_done.is_some();
        let idle = between(start, self.first_byte);
        let header = between(self.first_byte, self.request_done);
        let queue_from = if is_http { self.request_done } else { start };
        let queue = between(queue_from, self.dequeued);
        let connect = between(self.dequeued, self.connected);
        let response = between(self.connected, self.response_done);
        let total = between(start, self.ended).max(0);
        let active = total - idle.max(0);
        let spent = header.max(0) + queue.max(0) + connect.max(0) + response.max(0);
        let reached = self.response_done.is_some() || (!is_http && self.connected.is_some());
        Timers {
            handshake: 0,
            idle,
            header,
            tq: if idle < 0 || header < 0 { -1 } else { idle + header },
            queue,
            connect,
            response,
            data: if reached { (active - spent).max(0) } else { -1 },
            active,
            total,
            user: total - idle.max(0),
        }
    }

    /// Wall-clock time of the request's first byte, since the Unix epoch.
    #[must_use]
    pub fn request_wall(&self) -> Duration {
        let idle = match (self.accepted, self.first_byte) {
            (Some(from), Some(to)) => to.saturating_duration_since(from),
            _ => Duration::ZERO,
        };
        self.wall + idle
    }

    /// The termination state, dashes where nothing was noted.
    #[must_use]
    pub fn termination_or_dashes(&self) -> [u8; 4] {
        self.termination.map(|letter| if letter == 0 { b'-' } else { letter })
    }
}

fn between(from: Option<Instant>, to: Option<Instant>) -> i64 {
    match (from, to) {
        (Some(from), Some(to)) => {
            i64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(i64::MAX)
        }
        _ => -1,
    }
}

/// Process-wide counters (`show info`).
#[derive(Default, Debug)]
pub struct ProcessCounters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// HTTP requests.
    pub requests: AtomicU64,
}
