//! What bounds a script: the `tune.lua.*` settings, run-time accounting, preemption and the memory cap.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::raw::preempt;
use crate::usage::VmUsage;

pub use crate::raw::preempt::install_preemption;

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
    /// `tune.lua.maxmem`: the budget shared by all VMs that are given the same value.
    pub memory: Option<MemoryPool>,
    /// `tune.lua.openlibs`; None for all.
    pub open_libs: Option<Vec<String>>,
    /// `tune.lua.bool-sample-conversion`
    pub bool_samples: BoolSamples,
    /// `lua-prepend-path`: `(type, path)` with type `path` or `cpath`, in the order given.
    pub prepend_paths: Vec<(String, String)>,
}

impl Default for Config {
    /// HAProxy's defaults, with the count hook of `lua-load-per-thread`.
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
    /// A hook every so many instructions (`tune.lua.forced-yield`). Slows every loop two to three times.
    Count(u32),
    /// No hook until [`Interrupter::interrupt`] asks for one: full speed, but the host must watch the clock, and
    /// must have called [`install_preemption`].
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
pub struct MemoryPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

impl MemoryPool {
    /// A budget of `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        MemoryPool(Arc::new(Pool { limit_bytes, used_bytes: AtomicUsize::new(0) }))
    }

    /// The budget.
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes
    }

    /// What all VMs held when each last stopped running.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }
}

/// One VM's part of the budget.
pub(crate) struct MemoryShare {
    pool: MemoryPool,
    published: Cell<usize>,
}

impl MemoryShare {
    pub(crate) fn new(pool: &MemoryPool) -> Self {
        MemoryShare { pool: pool.clone(), published: Cell::new(0) }
    }

    /// What this VM may hold: all that the others do not. At least a byte, since 0 means no limit to mlua.
    pub(crate) fn allowance(&self) -> usize {
        let others = self.pool.used_bytes().saturating_sub(self.published.get());
        self.pool.limit_bytes().saturating_sub(others).max(1)
    }

    pub(crate) fn publish(&self, used: usize) {
        let before = self.published.replace(used);
        let total = &self.pool.0.used_bytes;
        if used >= before {
            total.fetch_add(used - before, Ordering::Relaxed);
        } else {
            total.fetch_sub(before - used, Ordering::Relaxed);
        }
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.publish(0);
    }
}

/// Asks a running script to stop at the next safe point. `Send`: meant for a watchdog thread.
///
/// The watchdog wakes about every slice (10 ms, say), compares [`epoch`](Self::epoch) with what it saw last, and
/// interrupts a run that it sees twice. A script that may yield then yields once; one that may not has its limits
/// checked. Interrupting a run that has just ended does nothing.
#[derive(Debug, Clone)]
pub struct Interrupter {
    pub(crate) beat: Arc<Beat>,
    pub(crate) thread: i32,
    /// Runs are stopped on demand; else they are only looked at.
    pub(crate) preempts: bool,
    pub(crate) usage: VmUsage,
}

/// A worker's count of runs: odd while one goes on.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    epoch: AtomicU64,
}

impl Beat {
    /// A run begins or ends: only this worker writes, so no read-modify-write is needed.
    pub(crate) fn tick(&self) {
        self.epoch.store(self.epoch.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Interrupter {
    /// For runs of the calling thread.
    pub(crate) fn here(beat: Arc<Beat>, preempts: bool, usage: VmUsage) -> Interrupter {
        Interrupter { beat, thread: preempt::thread_id(), preempts, usage }
    }

    /// How often this worker began or ended a run. Odd while a run goes on.
    pub fn epoch(&self) -> u64 {
        self.beat.epoch.load(Ordering::Relaxed)
    }

    /// Whether a run goes on.
    pub fn is_running(&self) -> bool {
        self.epoch() % 2 == 1
    }

    /// Adds `time`, as passed since the last look, to the function that runs now, if any.
    pub fn sample(&self, time: Duration) {
        if self.is_running() {
            self.usage.sample(time);
        }
    }

    /// Interrupts the run of that epoch if it still goes on. Does nothing where instructions are counted
    /// ([`Preemption::Count`]).
    pub fn interrupt(&self, epoch: u64) {
        if self.preempts && epoch % 2 == 1 && self.epoch() == epoch {
            preempt::signal(self.thread);
        }
    }
}
