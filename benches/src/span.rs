//! One measured stretch of work.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What a contestant is asked for, and where it says what that took.
#[derive(Debug)]
pub struct Span {
    /// How many operations to do. Doing a few more is fine when [`Span::did`] says so.
    pub operations: u64,
    pub(crate) done: u64,
    pub(crate) taken: Duration,
}

impl Span {
    pub(crate) fn new(operations: u64) -> Span {
        Span { operations, done: operations, taken: Duration::ZERO }
    }

    /// Runs `work`; its CPU time, on this thread, counts. May be called several times in a span.
    ///
    /// Never inlined: callgrind finds the counted code by this function's name.
    #[inline(never)]
    pub fn measure<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let start = thread_cpu();
        let result = work();
        self.taken += thread_cpu() - start;
        result
    }

    /// Adds time that was measured otherwise: other threads' CPU time, or the time on the clock of a hand-over.
    pub fn charge(&mut self, taken: Duration) {
        self.taken += taken;
    }

    /// Says how many operations there were, where it is not what was asked for.
    pub fn did(&mut self, operations: u64) {
        self.done = operations;
    }

    pub(crate) fn nanos(&self) -> f64 {
        self.taken.as_nanos() as f64 / self.done.max(1) as f64
    }
}

/// CPU time that this thread has used.
pub fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("invariant: Linux has this clock").into()
}
