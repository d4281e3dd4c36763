//! What changes about a proxy while it runs.

use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::{
    counters::{Gauge, Traffic},
    lb::Balancer,
    queue::Queue,
};

/// Counters, balancing state and queue of one proxy, shared by all threads.
///
/// `Default` is the state at start; the balancing table is built at its first use.
#[derive(Default)]
pub struct ProxyState {
    /// Client sessions of the frontend.
    pub fe_sessions: Gauge,
    /// Client connections of the frontend.
    pub fe_connections: Gauge,
    /// Traffic of the frontend.
    pub fe: Traffic,
    /// Sessions of the backend, queued ones included.
    pub be_sessions: Gauge,
    /// Traffic of the backend.
    pub be: Traffic,
    /// Requests waiting in the backend's queue.
    pub queued: Gauge,
    /// Requests waiting in the queues of this backend's servers too, for a quick look.
    pub(crate) waiting: AtomicUsize,
    pub(crate) queue: Queue,
    pub(crate) balancer: Balancer,
    generation: AtomicU64,
    /// Set while no server can be chosen, so that the loss of the last one is told once.
    pub(crate) empty: AtomicBool,
    /// Log lines of the frontend's exchanges.
    pub log_lines: AtomicU64,
    /// How often the backend lost its last server.
    pub down_transitions: AtomicU64,
}

impl ProxyState {
    /// Counts the changes of servers that matter for balancing.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Makes the balancing table be rebuilt at its next use.
    pub(crate) fn servers_changed(&self) {
        self.generation.fetch_add(1, Release);
    }

    /// How many requests wait for a slot, in the backend's queue and in its servers'.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}
