//! Counters of servers and proxies: relaxed atomics, read by `show stat` and scripts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A number with its present value, its highest, and how often it went up.
#[derive(Default, Debug)]
pub struct Gauge {
    cur: AtomicUsize,
    max: AtomicUsize,
    total: AtomicU64,
}

impl Gauge {
    /// One more.
    pub fn enter(&self) {
        let now = self.cur.fetch_add(1, Relaxed) + 1;
        self.total.fetch_add(1, Relaxed);
        self.raise_max(now);
    }

    /// One less.
    pub fn leave(&self) {
        self.cur.fetch_sub(1, Relaxed);
    }

    /// How many there are.
    #[must_use]
    pub fn cur(&self) -> usize {
        self.cur.load(Relaxed)
    }

    /// The most there were at one time.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    /// How many came in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    fn raise_max(&self, now: usize) {
        if now > self.max.load(Relaxed) {
            self.max.fetch_max(now, Relaxed);
        }
    }

    /// Forgets the highest value.
    pub fn reset_max(&self) {
        self.max.store(self.cur(), Relaxed);
    }
}

/// Adds one to a counter.
pub fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// What is counted about traffic, for a server and for each side of a proxy alike.
#[derive(Default, Debug)]
pub struct Traffic {
    /// Bytes from clients.
    pub bytes_in: AtomicU64,
    /// Bytes to clients.
    pub bytes_out: AtomicU64,
    /// Requests refused by a rule.
    pub denied_requests: AtomicU64,
    /// Responses refused by a rule.
    pub denied_responses: AtomicU64,
    /// Connections refused by a `tcp-request connection` rule.
    pub denied_connections: AtomicU64,
    /// Connections refused by a `tcp-request session` rule.
    pub denied_sessions: AtomicU64,
    /// Requests that could not be read.
    pub request_errors: AtomicU64,
    /// Server connections that failed.
    pub connect_errors: AtomicU64,
    /// Responses that could not be read or were cut.
    pub response_errors: AtomicU64,
    /// Connections tried again.
    pub retries: AtomicU64,
    /// Requests moved to another server.
    pub redispatches: AtomicU64,
    /// Transfers ended by the client.
    pub client_aborts: AtomicU64,
    /// Transfers ended by the server.
    pub server_aborts: AtomicU64,
    /// Internal failures.
    pub internal_errors: AtomicU64,
    /// Requests answered without a server.
    pub intercepted: AtomicU64,
    /// HTTP requests.
    pub requests: AtomicU64,
    /// Times a server was chosen by load balancing.
    pub chosen: AtomicU64,
    /// Server connections established.
    pub connects: AtomicU64,
    /// Server connections used again.
    pub reuses: AtomicU64,
    responses: [AtomicU64; 6],
}

impl Traffic {
    /// Counts a response by its status.
    pub fn count_response(&self, status: u16) {
        let class = match status {
            100..=599 => usize::from(status / 100) - 1,
            _ => 5,
        };
        bump(&self.responses[class]);
    }

    /// Responses of a class: 0 for 1xx … 4 for 5xx, 5 for any other.
    #[must_use]
    pub fn responses(&self, class: usize) -> u64 {
        self.responses[class].load(Relaxed)
    }
}
