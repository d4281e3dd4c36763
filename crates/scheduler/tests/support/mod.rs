//! What the tests share: a virtual clock, a log that tasks write to, a waker that counts.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use scheduler::{Budget, Outcome, Scheduler};

/// Some instant to start from.
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A scheduler and the time it is told.
pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
}

impl World {
    pub(crate) fn new() -> Self {
        let start = start();
        Self { scheduler: Scheduler::new(start), start, now: start }
    }

    pub(crate) fn pass(&mut self) -> Outcome {
        self.scheduler.run(self.now, Budget::default())
    }

    pub(crate) fn pass_of(&mut self, objects: usize) -> Outcome {
        self.scheduler.run(self.now, Budget::new(objects))
    }

    /// Runs passes until nothing is left to do at this moment.
    pub(crate) fn settle(&mut self) -> usize {
        let mut ran = 0;
        loop {
            let outcome = self.pass();
            ran += outcome.ran;
            if !outcome.more {
                return ran;
            }
        }
    }

    /// Moves time on, and runs.
    pub(crate) fn advance(&mut self, by: Duration) -> usize {
        self.now += by;
        self.settle()
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log<T>(pub(crate) Rc<RefCell<Vec<T>>>);

impl<T> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::default())
    }
    pub(crate) fn add(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

/// A waker that counts its calls.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        (Arc::clone(&bell), Waker::from(bell))
    }
    pub(crate) fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
