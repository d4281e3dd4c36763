//! The scheduler of one thread, as its owner steps it.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;
use std::time::Instant;

use crate::budget::{Budget, Outcome};
use crate::core::{ASLEEP, Core};
use crate::handle::Handle;
use crate::here;
use crate::pass::Pass;
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
        let shared = Arc::new(Shared::new(config.remote_jobs_max));
        let core = Rc::new(Core::new(id, now, shared));
        here::set(&core);
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
        self.handle.is_alone()
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
        here::set(&core);
        core.set_now(now);
        core.count(|activity| activity.loops += 1);
        if core.shared.is_sleeping() && self.has_nothing_to_do() {
            return self.outcome(0, 0, 0);
        }
        core.set_alert(ASLEEP, false);
        core.shared.stay_awake();
        let panicked = core.panics.count();
        let expired = core.expire(budget.objects());
        core.run_jobs(budget.objects());
        core.take_all_in();
        let ran = Pass::new(&core, budget, self.config.low_latency).run();
        self.account(ran, expired);
        self.outcome(ran, expired, core.panics.count() - panicked)
    }

    /// Nothing queued, nothing due, nothing from other threads.
    fn has_nothing_to_do(&self) -> bool {
        let core = self.core();
        let next = core.waits.borrow_mut().next_expiry();
        self.is_idle() && next.is_none_or(|next| next > core.now_ticks())
    }

    fn account(&self, ran: usize, expired: usize) {
        let left = !self.core().queue.borrow().is_empty();
        self.core().count(|activity| {
            activity.passes += 1;
            activity.empty += u64::from(ran == 0);
            activity.long += u64::from(left);
            activity.expired += expired as u64;
        });
    }

    fn outcome(&self, ran: usize, expired: usize, panicked: usize) -> Outcome {
        let core = self.core();
        let next = core.waits.borrow_mut().next_expiry();
        let local = !core.queue.borrow().is_empty() || next.is_some_and(|next| next <= core.now_ticks());
        let more = local || !core.shared.fall_asleep();
        if !more && !core.set_alert(ASLEEP, true) {
            core.count(|activity| activity.sleeps += 1);
        }
        let next_expiry = next.and_then(|next| core.instant(next));
        Outcome { ran, expired, panicked, more, next_expiry }
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
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("id", &self.core().id).finish_non_exhaustive()
    }
}
