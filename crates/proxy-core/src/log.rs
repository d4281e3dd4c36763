//! Log levels, facilities, headers, and what a stream's log line says.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

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

/// Syslog facility, 0 to 23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(pub u8);

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
}

/// Process-wide counters (`show info`).
#[derive(Default, Debug)]
pub struct ProcessCounters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// HTTP requests.
    pub requests: AtomicU64,
}

/// Writes the log line of a finished exchange.
pub fn log_exchange(txn: &mut crate::txn::Txn) {
    let _ = txn;
}
