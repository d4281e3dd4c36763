//! The scheduler of one thread and its pass.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;
use std::time::Instant;

use crate::budget::{Budget, Class, Outcome, shares};
use crate::core::{Core, Handle, Ran};
use crate::registry;
use crate::remote::Shared;
use crate::sync::Ordering;

/// How a scheduler is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many jobs of other threads may wait, default 1024; more are refused with
    /// [`Rejected::Full`](crate::Rejected::Full).
    pub remote_jobs_max: usize,
    /// After each object go back to the most urgent class that has work. Every class with work still
    /// runs at least one object a pass. Default off.
    ///
    /// # Source
    /// `tune.sched.low-latency` in configuration.txt.
    pub low_latency: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { remote_jobs_max: 1024, low_latency: false }
    }
}

/// The scheduler of one thread: owns its tasks, and is stepped by its owner.
///
/// Everything a task may ask of it is on [`Handle`], to which this dereferences. Dropping it drops all
/// its tasks on this thread.
///
/// # Thread affinity
/// `!Send`. Several may live on one thread, as in a simulation.
pub struct Scheduler {
    handle: Handle,
    config: Config,
}

impl Scheduler {
    /// A scheduler whose time starts at `now`; earlier instants count as `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self::with_config(now, Config::default())
    }

    /// As [`new`](Self::new), with settings.
    #[must_use]
    pub fn with_config(now: Instant, config: Config) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let seat = registry::free_seat();
        let shared = Arc::new(Shared::new(config.remote_jobs_max));
        let core = Rc::new(Core::new(id, seat, now, shared));
        registry::sit(seat, Rc::clone(&core));
        Self { handle: Handle(core), config }
    }

    /// A handle to keep inside tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Sets whom to wake when there is work again after a pass that left none.
    ///
    /// One wake a sleep, from whichever thread brings the work. If work has come in since the last pass,
    /// a new pender is woken at once. Setting the same waker again costs next to nothing.
    pub fn set_pender(&self, pender: &Waker) {
        self.core().shared.set_pender(pender);
    }

    /// Whether nothing can be run at this moment.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.core().queue.borrow().is_empty() && !self.core().shared.has_work()
    }

    /// One pass: expires the timers that are due, takes in what other threads asked for, then runs
    /// objects class by class until the budget is spent or nothing is left. Every object runs at most
    /// once; what it wakes anew waits for the next pass.
    ///
    /// `now` may repeat; one that goes back counts as the latest seen. If [`Outcome::more`] is set call
    /// again without sleeping; else sleep until [`Outcome::next_expiry`] or the pender's wake.
    ///
    /// # Source
    /// The order of HAProxy's poll loop: expired timers, then one scheduling pass.
    pub fn run(&mut self, now: Instant, budget: Budget) -> Outcome {
        let core = Rc::clone(self.core());
        core.set_now(now);
        if core.shared.is_sleeping() && self.has_nothing_to_do() {
            return self.outcome(0, 0, 0);
        }
        core.shared.stay_awake();
        let expired = core.expire(budget.objects());
        let jobs_panicked = core.run_jobs(budget.objects());
        while let Some(id) = core.shared.pop_wake() {
            core.wake_from_afar(id);
        }
        let mut pass = Pass { core: &core, ran: 0, panicked: jobs_panicked, number: core.passes.get() + 1 };
        core.passes.set(pass.number);
        pass.run(budget, self.config.low_latency);
        let (ran, panicked) = (pass.ran, pass.panicked);
        self.outcome(ran, expired, panicked)
    }

    /// Nothing queued, nothing due, nothing from other threads.
    fn has_nothing_to_do(&self) -> bool {
        let core = self.core();
        let next = core.waits.borrow_mut().next_expiry();
        self.is_idle() && next.is_none_or(|next| next > core.now_ticks())
    }

    fn outcome(&self, ran: usize, expired: usize, panicked: usize) -> Outcome {
        let core = self.core();
        let next = core.waits.borrow_mut().next_expiry();
        let local = !core.queue.borrow().is_empty() || next.is_some_and(|next| next <= core.now_ticks());
        Outcome {
            ran,
            expired,
            panicked,
            more: local || !core.shared.fall_asleep(),
            next_expiry: next.and_then(|next| core.instant(next)),
        }
    }

    fn core(&self) -> &Rc<Core> {
        &self.handle.0
    }
}

impl Deref for Scheduler {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.core().close();
        registry::leave(self.core().seat);
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("id", &self.core().id).finish_non_exhaustive()
    }
}

struct Pass<'a> {
    core: &'a Rc<Core>,
    ran: usize,
    panicked: usize,
    number: u64,
}

impl Pass<'_> {
    fn run(&mut self, budget: Budget, low_latency: bool) {
        self.core.in_pass.set(true);
        self.core.queue.borrow_mut().begin_pass(budget.objects());
        let backlog = self.core.queue.borrow().waiting().iter().sum();
        let limit = budget.smoothed(backlog);
        let mut heavy = true;
        while self.ran < limit {
            let waiting = self.core.queue.borrow().waiting();
            let mut left = shares(limit - self.ran, waiting, low_latency);
            if !std::mem::take(&mut heavy) {
                // HEAVY is not refilled within a pass.
                left[Class::Heavy.index()] = 0;
            }
            let before = self.ran;
            self.round(&mut left, low_latency);
            if self.ran == before {
                break;
            }
        }
        self.core.queue.borrow_mut().end_pass();
        self.core.in_pass.set(false);
    }

    /// Visits the classes in order, each with its share.
    fn round(&mut self, left: &mut [usize; 4], low_latency: bool) {
        if low_latency {
            self.first_of_each(left);
        }
        while let Some(class) = Class::ALL.into_iter().find(|class| left[class.index()] > 0) {
            if low_latency {
                // Whatever has come in for a more urgent class goes first; its share bounds it.
                if self.step(class) {
                    left[class.index()] -= 1
                } else {
                    left[class.index()] = 0
                }
                continue;
            }
            while left[class.index()] > 0 && self.step(class) {
                left[class.index()] -= 1;
            }
            left[class.index()] = 0;
        }
    }

    /// Low latency starves nobody: one object of each class, whatever comes in meanwhile.
    fn first_of_each(&mut self, left: &mut [usize; 4]) {
        for class in Class::ALL {
            if left[class.index()] > 0 && self.step(class) {
                left[class.index()] -= 1;
            }
        }
    }

    /// Runs one object of a class; false if it has none that may run.
    fn step(&mut self, class: Class) -> bool {
        loop {
            let Some((task, source)) = self.core.queue.borrow_mut().pop(class) else { return false };
            match self.core.run_one(task, self.number) {
                Ran::Freed => {}
                Ran::Twice => self.core.queue.borrow_mut().put_back(task, source),
                Ran::Yes { panicked } => {
                    self.ran += 1;
                    self.panicked += usize::from(panicked);
                    return true;
                }
            }
        }
    }
}
