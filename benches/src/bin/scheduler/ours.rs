//! A scheduler to be measured, and tasks that do nothing in it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use scheduler::{Budget, Scheduler, TaskRef};

/// A scheduler and the one time it is ever told.
pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) start: Instant,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "some instant to start from")]
    pub(crate) fn new() -> World {
        let start = Instant::now();
        World { scheduler: Scheduler::new(start), start }
    }

    /// Runs passes until nothing is left.
    pub(crate) fn settle(&mut self) {
        self.settle_at(self.start);
    }

    pub(crate) fn settle_at(&mut self, now: Instant) {
        while self.scheduler.run(now, Budget::new(1000)).more {}
    }
}

/// What a sleeper is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Tasklet,
    Task,
}

/// Objects that do nothing when they run, and their wakers.
pub(crate) fn sleepers(count: usize, kind: Kind) -> (World, Vec<TaskRef>, Vec<Waker>) {
    let mut world = World::new();
    let wakers = Rc::new(RefCell::new(Vec::new()));
    let spawn = |_| {
        let future = poll_fn(|_| Poll::<()>::Pending);
        match kind {
            Kind::Tasklet => world.scheduler.spawn_tasklet("sleeper", future),
            Kind::Task => world.scheduler.spawn("sleeper", future),
        }
    };
    let tasks: Vec<TaskRef> = (0..count).map(spawn).collect();
    wakers.borrow_mut().extend(tasks.iter().map(TaskRef::waker));
    world.settle();
    (world, tasks, wakers.take())
}
