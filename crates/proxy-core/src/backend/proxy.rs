//! What changes about a proxy while it runs.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    counters::{Gauge, Traffic},
    lb::Balancer,
    listening::Listening,
    queue::Queue,
};
use crate::config::Proxy;

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
    /// Whether the frontend accepts connections.
    pub listening: Listening,
    /// Log lines of the frontend's exchanges.
    pub log_lines: AtomicU64,
    pub(crate) availability: Mutex<Availability>,
}

/// Whether a backend has servers to choose from, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// When it lost its last server; `None` while it has some.
    pub empty_since: Option<Instant>,
    /// When it last lost its last or got its first server; `None` for not since the start.
    pub changed: Option<Instant>,
    /// Time without servers, up to the last change.
    pub down_time: Duration,
    /// How often it lost its last server.
    pub downs: u64,
}

impl Availability {
    /// A server can be chosen.
    pub(crate) fn filled(&mut self, now: Instant) {
        if let Some(since) = self.empty_since.take() {
            self.down_time += now.saturating_duration_since(since);
            self.changed = Some(now);
        }
    }

    /// None can be chosen; whether that is news.
    pub(crate) fn emptied(&mut self, now: Instant) -> bool {
        let news = self.empty_since.is_none();
        if news {
            self.empty_since = Some(now);
            self.changed = Some(now);
            self.downs += 1;
        }
        news
    }
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

    /// Whether there are servers to choose from, and since when.
    #[must_use]
    pub fn availability(&self) -> Availability {
        *self.availability.lock()
    }

    /// How many requests wait for a slot, in the backend's queue and in its servers'.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

/// Counts a session of a backend while it lives.
pub(crate) struct InBackend(Arc<Proxy>);

impl InBackend {
    pub(crate) fn new(backend: &Arc<Proxy>) -> Self {
        backend.state.be_sessions.enter();
        Self(backend.clone())
    }
}

impl Drop for InBackend {
    fn drop(&mut self) {
        self.0.state.be_sessions.leave();
    }
}
