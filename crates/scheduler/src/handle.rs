//! The [`Handle`]: what tasks and the owner may ask of a scheduler on its own thread.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::core::{Core, PROFILING};
use crate::panics::TaskPanic;
use crate::process::{Process, Processing};
use crate::remote::Remote;
use crate::slot::{SlotRef, TASKLET};
use crate::stats::{Activity, Snapshot};
use crate::task::{TaskId, TaskRef};
use crate::timer::{Sleep, Timer};
use crate::unbound::{SharedTask, Unbound};
use crate::woken::Woken;

/// A scheduler as its own thread sees it: spawns tasks and makes timers, also from inside tasks.
///
/// # Thread affinity
/// `!Send`, cheap to clone. It may outlive its [`Scheduler`](crate::Scheduler): tasks spawned then are dropped at once.
#[derive(Clone)]
pub struct Handle(pub(crate) Rc<Core>);

impl Handle {
    /// Starts a task: it has a nice and runs in the NORMAL class. Its first run comes with [`Woken::INIT`].
    ///
    /// `name` is what the statistics and the liveness watch show.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> TaskRef {
        self.0.spawn(name, future, 0)
    }

    /// Starts a tasklet: no nice; URGENT when woken from outside the pass, NORMAL when woken by another
    /// object, BULK when it wakes itself for no reason.
    ///
    /// # Source
    /// Classes of woken tasklets in HAProxy's scheduler.
    pub fn spawn_tasklet(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> TaskRef {
        self.0.spawn(name, future, TASKLET)
    }

    /// Starts a task that is a function called at each run, with the reasons for it and the time.
    ///
    /// # Source
    /// `task_new_here()` of HAProxy's scheduler API.
    pub fn spawn_process(&self, name: &'static str, process: impl Process + 'static) -> TaskRef {
        self.0.spawn(name, Processing::new(Rc::clone(&self.0), process), 0)
    }

    /// Starts a task that is bound to no thread: each run takes place on the thread that woke it.
    ///
    /// # Source
    /// `task_new_anywhere()` of HAProxy's scheduler API.
    pub fn spawn_shared(&self, name: &'static str, process: impl Process + Send + 'static) -> SharedTask {
        let task = Unbound::new(name, Box::new(process), Arc::clone(&self.0.shared));
        let task = SharedTask(Arc::new(task));
        task.wake(Woken::INIT);
        task
    }

    /// Makes a disarmed timer.
    #[must_use]
    pub fn timer(&self) -> Timer {
        Timer::new(Rc::clone(&self.0))
    }

    /// A future that is ready when `deadline` has come.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        let timer = self.timer();
        timer.set(Some(deadline));
        Sleep(timer)
    }

    /// The latest `now` given to [`Scheduler::run`](crate::Scheduler::run), or to its constructor.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// When the next timer expires, or a little before: what [`Outcome::next_expiry`](crate::Outcome::next_expiry)
    /// would say now. Ask again if a timer may have been set since the last pass from outside of it.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        let next = self.0.waits.borrow_mut().next_expiry();
        next.and_then(|next| self.0.instant(next))
    }

    /// Why the running task was woken; [`Woken::NONE`] outside of tasks.
    #[must_use]
    pub fn woken(&self) -> Woken {
        self.0.woken()
    }

    /// The task that is running.
    #[must_use]
    pub fn current(&self) -> Option<TaskId> {
        self.0.current.get().map(SlotRef::id)
    }

    /// Sets the nice of the task that is running; see [`TaskRef::set_nice`](crate::TaskRef::set_nice). Nothing outside
    /// of tasks.
    pub fn set_nice(&self, nice: i32) {
        if let Some(slot) = self.0.current.get() {
            slot.set_nice(nice);
        }
    }

    /// Whether nothing waits to be run: a task that gave way now would be the next to run.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.batch.len() == 0 && self.0.queue.borrow().is_empty() && !self.0.shared.has_work()
    }

    /// The part that other threads may hold.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote(Arc::clone(&self.0.shared))
    }

    /// Sets what is told of every panic caught. Without a hook only the counts tell.
    pub fn on_panic(&self, hook: impl Fn(&TaskPanic<'_>) + 'static) {
        self.0.panics.set_hook(Rc::new(hook));
    }

    /// Measures runs and waits with this clock from now on, and from nothing, or with `None` no more: what
    /// was measured then stays in the statistics.
    ///
    /// The clock is called three times a run: at the wake, before it and after it. Without one, time is
    /// not looked at.
    pub fn set_profiler(&self, clock: Option<Rc<dyn Fn() -> Instant>>) {
        if clock.is_some() {
            self.0.sites.borrow_mut().list.iter_mut().for_each(|site| site.profile = None);
        }
        self.0.set_alert(PROFILING, clock.is_some());
        self.0.profiler.set(clock);
    }

    /// Whether runs are being measured.
    #[must_use]
    pub fn is_profiling(&self) -> bool {
        self.0.profiler.is_on()
    }

    /// The figures of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (sites, queue) = (self.0.sites.borrow(), self.0.queue.borrow());
        let mut queued = vec![0; sites.list.len()];
        queue.slots().for_each(|slot| queued[usize::from(slot.site.get())] += 1);
        self.0.batch.slots().for_each(|slot| queued[usize::from(slot.site.get())] += 1);
        let mut waiting = queue.waiting();
        waiting[self.0.batch_class.get().index()] += self.0.batch.len();
        let names = sites.stats(&*self.0.hot, &queued);
        Snapshot {
            calls: names.iter().map(|stats| stats.calls).sum(),
            names,
            live: self.0.live.get(),
            waiting,
            timers: self.0.waits.borrow().armed(),
            activity: Activity { by_nice: queue.by_nice, ..self.0.activity.get() },
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("scheduler", &self.0.id).finish_non_exhaustive()
    }
}
