//! The shared part of a scheduler: what other threads may touch.
//!
//! Sleep protocol, so that no wake is lost and an owner that is awake is never disturbed:
//!
//! ```text
//!   owner, out of work                     another thread
//!   1. swap sleeping to true               1. append to the queue
//!   2. look at the queue again             2. swap sleeping to false; if it was true, wake the pender
//! ```
//!
//! Every change of the flag is a swap, so the changes have one order and each sees what came before the
//! last: a swap of 2. that comes before 1. shows the owner the entry, one that comes after it finds true,
//! or false from somebody who wakes the pender.

use std::sync::{Arc, PoisonError};
use std::task::Waker;

use crate::core::Handle;
use crate::sync::{ArrayQueue, AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, SegQueue};
use crate::task::TaskId;

/// A closure to be run on a scheduler's thread.
pub(crate) type Job = Box<dyn FnOnce(&Handle) + Send>;

pub(crate) struct Shared {
    wakes: SegQueue<TaskId>,
    jobs: ArrayQueue<Job>,
    sleeping: AtomicBool,
    closed: AtomicBool,
    pender: Mutex<Option<Waker>>,
    /// Objects ended so far, and the name of the one running plus one (0: none). Plain stores.
    ended: AtomicU64,
    running: AtomicU32,
    names: Mutex<Vec<&'static str>>,
}

impl Shared {
    pub(crate) fn new(job_capacity: usize) -> Self {
        Self {
            wakes: SegQueue::new(),
            jobs: ArrayQueue::new(job_capacity.max(1)),
            sleeping: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            pender: Mutex::new(None),
            ended: AtomicU64::new(0),
            running: AtomicU32::new(0),
            names: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn push(&self, id: TaskId) {
        self.wakes.push(id);
        self.notify();
    }

    fn push_job(&self, job: Job) -> Result<(), Rejected> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Rejected::Closed);
        }
        self.jobs.push(job).map_err(|_| Rejected::Full)?;
        self.notify();
        Ok(())
    }

    pub(crate) fn is_sleeping(&self) -> bool {
        self.sleeping.load(Ordering::Relaxed)
    }

    /// Wakes the pender unless somebody else has done it since the owner went to sleep.
    pub(crate) fn notify(&self) {
        if self.sleeping.swap(false, Ordering::AcqRel) {
            let pender = self.lock_pender().clone();
            if let Some(pender) = pender {
                pender.wake();
            }
        }
    }

    pub(crate) fn pop_wake(&self) -> Option<TaskId> {
        self.wakes.pop()
    }

    pub(crate) fn pop_job(&self) -> Option<Job> {
        self.jobs.pop()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.wakes.is_empty() || !self.jobs.is_empty()
    }

    /// The owner is awake: nobody needs to call the pender.
    pub(crate) fn stay_awake(&self) {
        self.sleeping.swap(false, Ordering::AcqRel);
    }

    /// Goes to sleep unless there is work from other threads; true if asleep.
    ///
    /// If the flag still stands from the last time, nobody has come in between: whoever is about to
    /// append something will see it and call the pender.
    pub(crate) fn fall_asleep(&self) -> bool {
        if self.is_sleeping() {
            return true;
        }
        self.sleeping.swap(true, Ordering::AcqRel);
        if self.has_work() {
            self.stay_awake();
            return false;
        }
        true
    }

    /// Sets whom to wake. If a wake has come in since the owner last looked, he is woken at once.
    pub(crate) fn set_pender(&self, waker: &Waker) {
        let mut pender = self.lock_pender();
        if pender.as_ref().is_some_and(|old| old.will_wake(waker)) {
            return;
        }
        let old = pender.replace(waker.clone());
        drop(pender);
        drop(old);
        if !self.sleeping.load(Ordering::Acquire) {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let pender = self.lock_pender().take();
        drop(pender);
    }

    pub(crate) fn begin(&self, name: u32) {
        self.running.store(name + 1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.running.store(0, Ordering::Relaxed);
        self.ended.store(self.ended.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Runs ended so far.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn add_name(&self, name: &'static str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    fn lock_pender(&self) -> impl std::ops::DerefMut<Target = Option<Waker>> + '_ {
        self.pender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a job was not taken; it has been dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// As many jobs wait as [`Config::remote_jobs_max`](crate::Config::remote_jobs_max) allows.
    Full,
    /// The scheduler has gone.
    Closed,
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "the scheduler's queue of remote jobs is full",
            Self::Closed => "the scheduler has gone",
        })
    }
}

impl std::error::Error for Rejected {}

/// What the owner is doing, as seen from another thread: the material of a liveness watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Objects that ended their run so far. If it stands still while `running` names something, that
    /// object has been running since.
    pub ended: u64,
    /// The name of the object that is running.
    pub running: Option<&'static str>,
}

/// The part of a scheduler that other threads hold.
///
/// # Thread affinity
/// `Send`, `Sync` and cheap to clone. It outlives its scheduler harmlessly.
#[derive(Clone)]
pub struct Remote(pub(crate) Arc<Shared>);

impl Remote {
    /// Runs a closure on the scheduler's thread, at its next pass: the way to start `!Send` tasks there.
    ///
    /// Jobs run in order, before the objects of the pass, at most a budget's worth a pass. A job that
    /// panics is reported like a task.
    ///
    /// # Errors
    /// [`Rejected::Full`] when too many wait, [`Rejected::Closed`] when the scheduler has gone; the
    /// job is dropped on the calling thread.
    pub fn spawn(&self, job: Box<dyn FnOnce(&Handle) + Send>) -> Result<(), Rejected> {
        self.0.push_job(job)
    }

    /// Wakes the pender if the scheduler sleeps, although there is no new work.
    pub fn nudge(&self) {
        self.0.notify();
    }

    /// What the owner is doing now. Approximate, and never blocks the owner.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let running = self.0.running.load(Ordering::Relaxed).checked_sub(1);
        let names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        Progress {
            ended: self.0.ended.load(Ordering::Relaxed),
            running: running.and_then(|name| names.get(name as usize).copied()),
        }
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("progress", &self.progress()).finish()
    }
}
