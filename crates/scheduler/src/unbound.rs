//! Tasks that are bound to no thread: each run takes place on the thread that woke them.
//!
//! ```text
//!   asleep ──wake──▶ QUEUED in one thread's run queue ──▶ RUNNING there ──▶ asleep, or QUEUED there again
//! ```
//!
//! The state word decides who queues it: the one who sets QUEUED while it is neither QUEUED nor RUNNING. A
//! wake of one that is RUNNING is seen by the runner when the run is over. So it stands in at most one queue
//! and runs on at most one thread.
//!
//! Its timer is armed in the wait queue of the thread that ran it. When it has moved on, the timer left behind
//! finds that another deadline counts, and does nothing: there is no wait queue that threads share.

use std::sync::{Arc, PoisonError};
use std::task::Wake;
use std::time::Instant;

use crate::core::Core;
use crate::here;
use crate::process::{Next, Process};
use crate::remote::{Remote, Shared};
use crate::slot::{DONE, KILLED, QUEUED, RUNNING};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use crate::wait_queue::{Listener, NEVER};
use crate::woken::Woken;

pub(crate) struct Unbound {
    pub(crate) name: &'static str,
    state: AtomicU32,
    /// Locked by the runner, and by nobody else at the same time.
    inner: Mutex<Inner>,
    targets: Mutex<Targets>,
    deadline: Mutex<Option<Instant>>,
    /// Scheduler and pass of the last run.
    ran_in: AtomicU64,
}

struct Inner {
    process: Option<Box<dyn Process + Send>>,
    /// Timers left in wait queues: scheduler and number.
    timers: Vec<(u64, u32)>,
}

struct Targets {
    /// Where it runs if it is woken on a thread without scheduler.
    home: Arc<Shared>,
    /// Where it runs whoever wakes it.
    bound: Option<Arc<Shared>>,
    /// Where the next run is to be.
    next: Option<Arc<Shared>>,
}

/// What came of running one.
pub(crate) enum UnboundRun {
    Yes,
    /// It ran in this pass before.
    Twice,
    /// Killed.
    Freed,
}

impl Unbound {
    pub(crate) fn new(name: &'static str, process: Box<dyn Process + Send>, home: Arc<Shared>) -> Self {
        Self {
            name,
            state: AtomicU32::new(0),
            inner: Mutex::new(Inner { process: Some(process), timers: Vec::new() }),
            targets: Mutex::new(Targets { home, bound: None, next: None }),
            deadline: Mutex::new(None),
            ran_in: AtomicU64::new(0),
        }
    }

    fn rouse(self: &Arc<Self>, reasons: Woken) {
        let before = self.state.fetch_or(reasons.recorded().bits() | QUEUED, Ordering::AcqRel);
        if before & (QUEUED | RUNNING | DONE) == 0 {
            self.enqueue();
        }
    }

    /// Puts it into the queue of the thread it is to run on. Called by who set QUEUED.
    fn enqueue(self: &Arc<Self>) {
        let mut targets = lock(&self.targets);
        let target = targets.next.take().or_else(|| targets.bound.clone());
        let home = Arc::clone(&targets.home);
        drop(targets);
        let left = here::with(|core| {
            let mine = target.as_ref().is_none_or(|target| Arc::ptr_eq(target, &core.shared));
            if mine && !core.shared.is_closed() {
                core.push_unbound(Arc::clone(self));
            }
            !mine || core.shared.is_closed()
        });
        if left.unwrap_or(true) {
            target.unwrap_or(home).push_unbound(Arc::clone(self));
        }
    }

    /// Runs it on this thread.
    pub(crate) fn run(self: &Arc<Self>, core: &Core, pass: u64) -> UnboundRun {
        let stamp = core.id << 40 ^ pass;
        if self.ran_in.load(Ordering::Relaxed) == stamp {
            return UnboundRun::Twice;
        }
        self.ran_in.store(stamp, Ordering::Relaxed);
        // Wakes from now on are for the next run.
        let mut state = self.state.fetch_or(RUNNING, Ordering::AcqRel);
        state |= self.state.fetch_and(!(QUEUED | Woken::MASK), Ordering::AcqRel);
        let mut inner = lock(&self.inner);
        let next = match (&mut inner.process, state & KILLED) {
            (Some(process), 0) => core.panics.catch(|| process.run(Woken::from_state(state), core.now())),
            _ => {
                self.end(&mut inner, core);
                return UnboundRun::Freed;
            }
        };
        match next {
            Ok(Next::Done) => self.end(&mut inner, core),
            Ok(Next::Wait) => *lock(&self.deadline) = None,
            Ok(Next::At(at)) => self.arm(&mut inner, core, at),
            Err(payload) => {
                core.panics.report(self.name, None, &*payload);
                self.end(&mut inner, core);
            }
        }
        drop(inner);
        let state = self.state.fetch_and(!RUNNING, Ordering::AcqRel);
        if state & DONE == 0 && state & (QUEUED | KILLED) != 0 {
            self.state.fetch_or(QUEUED, Ordering::Relaxed);
            if lock(&self.targets).next.is_some() {
                self.enqueue();
            } else {
                core.push_unbound(Arc::clone(self));
            }
        }
        UnboundRun::Yes
    }

    fn arm(self: &Arc<Self>, inner: &mut Inner, core: &Core, at: Instant) {
        *lock(&self.deadline) = Some(at);
        let mut waits = core.waits.borrow_mut();
        let known = inner.timers.iter().find(|(scheduler, _)| *scheduler == core.id).map(|(_, timer)| *timer);
        let timer = known.unwrap_or_else(|| {
            let timer = waits.insert();
            *waits.listener(timer) = Listener::Unbound(Arc::clone(self));
            inner.timers.push((core.id, timer));
            timer
        });
        waits.set(timer, core.ticks(at).min(NEVER - 1));
    }

    /// One of its timers has expired; true if the timer may be needed again.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant) -> bool {
        if self.state.load(Ordering::Acquire) & DONE != 0 {
            return false;
        }
        let mut deadline = lock(&self.deadline);
        if deadline.is_some_and(|at| at <= now) {
            *deadline = None;
            drop(deadline);
            self.rouse(Woken::TIMER);
        }
        true
    }

    fn end(&self, inner: &mut Inner, core: &Core) {
        self.state.fetch_or(DONE, Ordering::AcqRel);
        *lock(&self.deadline) = None;
        let process = inner.process.take();
        if let Err(payload) = core.panics.catch(|| drop(process)) {
            core.panics.report(self.name, None, &*payload);
        }
        // Those of other threads go when they expire.
        let ours = inner.timers.iter().find(|(scheduler, _)| *scheduler == core.id);
        if let Some((_, timer)) = ours {
            core.waits.borrow_mut().set(*timer, 0);
        }
    }

    /// The scheduler whose queue it stood in has gone.
    pub(crate) fn abandon(&self) {
        self.state.fetch_or(DONE, Ordering::AcqRel);
        let process = lock(&self.inner).process.take();
        drop(process);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) & DONE != 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> + '_ {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A task that is bound to no thread; made by [`Handle::spawn_shared`](crate::Handle::spawn_shared).
///
/// A wake queues it on the scheduler of the calling thread (the one that ran last, if there are several),
/// or where it was spawned if the thread has none. It never runs on two threads at once. Wakes during a run
/// are one more run, on the thread of that run.
///
/// # Thread affinity
/// `Send`, `Sync` and counted. Every call may be made from any thread at any time.
#[derive(Clone)]
pub struct SharedTask(pub(crate) Arc<Unbound>);

impl SharedTask {
    /// Makes the task run at least once after this call, and tells it why.
    pub fn wake(&self, reasons: Woken) {
        self.0.rouse(reasons);
    }

    /// As [`wake`](Self::wake), on that thread, if it is not queued already.
    ///
    /// # Source
    /// `tasklet_wakeup_on()` of HAProxy's scheduler API.
    pub fn wake_on(&self, thread: &Remote, reasons: Woken) {
        lock(&self.0.targets).next = Some(Arc::clone(&thread.0));
        self.0.rouse(reasons);
    }

    /// Binds the task to a thread from its next wake on, or with `None` to none again.
    ///
    /// If that thread's scheduler goes, the task ends with its next wake.
    ///
    /// # Source
    /// `task_set_thread()` of HAProxy's scheduler API, at any time and from any thread.
    pub fn set_thread(&self, thread: Option<&Remote>) {
        lock(&self.0.targets).bound = thread.map(|thread| Arc::clone(&thread.0));
    }

    /// Ends the task: its process is dropped on the thread of its next run, which does not happen. True for
    /// exactly one caller, and false once the task has ended.
    pub fn kill(&self) -> bool {
        let before = self.0.state.fetch_or(KILLED, Ordering::AcqRel);
        if before & (KILLED | DONE) != 0 {
            return false;
        }
        self.0.rouse(Woken::OTHER);
        true
    }

    /// Whether the task has finished, panicked or been freed after a kill.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_done()
    }

    /// Wakes it, with no reason.
    #[must_use]
    pub fn waker(&self) -> std::task::Waker {
        std::task::Waker::from(Arc::clone(&self.0))
    }
}

impl Wake for Unbound {
    fn wake(self: Arc<Self>) {
        self.rouse(Woken::NONE);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rouse(Woken::NONE);
    }
}

impl std::fmt::Debug for SharedTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedTask").field("name", &self.0.name).finish_non_exhaustive()
    }
}
