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
use std::time::{Duration, Instant};

use crate::handle::Handle;
use crate::slot::{Chunks, SharedSlot};
use crate::sync::{ArrayQueue, AtomicBool, AtomicU64, Mutex, Ordering, SegQueue, fence};
use crate::unbound::Unbound;

/// A closure to be run on a scheduler's thread.
pub(crate) type Job = Box<dyn FnOnce(&Handle) + Send>;

pub(crate) struct Shared {
    wakes: SegQueue<SharedSlot>,
    unbound: SegQueue<Arc<Unbound>>,
    jobs: ArrayQueue<Job>,
    sleeping: AtomicBool,
    closed: AtomicBool,
    /// What is appended to the queues from now on, whoever appends it takes out again.
    abandoned: AtomicBool,
    pender: Mutex<Option<Waker>>,
    /// Runs so far, above the site of the one running plus one (0: none) in 16 bits: one store a run tells both.
    progress: AtomicU64,
    names: Mutex<Vec<&'static str>>,
    chunks: Mutex<Chunks>,
}

const SITE_BITS: u32 = 16;
const SITE_MASK: u64 = (1 << SITE_BITS) - 1;

impl Shared {
    pub(crate) fn new(job_capacity: usize) -> Self {
        Self {
            wakes: SegQueue::new(),
            unbound: SegQueue::new(),
            jobs: ArrayQueue::new(job_capacity.max(1)),
            sleeping: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            pender: Mutex::new(None),
            progress: AtomicU64::new(0),
            names: Mutex::new(Vec::new()),
            chunks: Mutex::new(Chunks::default()),
        }
    }

    pub(crate) fn push(&self, slot: SharedSlot) {
        self.wakes.push(slot);
        self.notify();
    }

    /// Appends a slot whose entry owns a count. The owner need not hurry.
    pub(crate) fn reclaim(&self, slot: SharedSlot) {
        self.wakes.push(slot);
        if self.is_abandoned() {
            self.abandon();
        }
    }

    pub(crate) fn push_unbound(&self, task: Arc<Unbound>) {
        self.unbound.push(task);
        if self.is_abandoned() {
            self.abandon_unbound();
        }
        self.notify();
    }

    fn is_abandoned(&self) -> bool {
        // Of this fence and the one in `close_queues` one comes first: either the owner finds the entry, or
        // we find the flag.
        fence(Ordering::SeqCst);
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(crate) fn close_queues(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.abandon();
        self.abandon_unbound();
    }

    fn abandon_unbound(&self) {
        while let Some(task) = self.unbound.pop() {
            task.abandon();
        }
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

    pub(crate) fn pop_wake(&self) -> Option<SharedSlot> {
        self.wakes.pop()
    }

    pub(crate) fn has_wakes(&self) -> bool {
        !self.wakes.is_empty()
    }

    pub(crate) fn pop_unbound(&self) -> Option<Arc<Unbound>> {
        self.unbound.pop()
    }

    pub(crate) fn pop_job(&self) -> Option<Job> {
        self.jobs.pop()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.wakes.is_empty() || !self.jobs.is_empty() || !self.unbound.is_empty()
    }

    /// The owner is awake: nobody needs to call the pender.
    pub(crate) fn stay_awake(&self) {
        if self.is_sleeping() {
            self.sleeping.swap(false, Ordering::AcqRel);
        }
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
            self.sleeping.swap(false, Ordering::AcqRel);
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

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// An object of a site starts its run. Called by the owner only.
    #[inline]
    pub(crate) fn begin(&self, site: u16) {
        let last = self.progress.load(Ordering::Relaxed) | SITE_MASK;
        // The first one carries into the count.
        self.progress.store(last.wrapping_add(2 + u64::from(site)), Ordering::Relaxed);
    }

    /// Nothing runs. Called by the owner only.
    pub(crate) fn rest(&self) {
        self.progress.store(self.progress.load(Ordering::Relaxed) & !SITE_MASK, Ordering::Relaxed);
    }

    pub(crate) fn add_name(&self, name: &'static str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    /// Keeps a new chunk as long as this lives.
    pub(crate) fn keep(&self, add: impl FnOnce(&mut Chunks)) {
        add(&mut self.chunks.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn lock_pender(&self) -> impl std::ops::DerefMut<Target = Option<Waker>> + '_ {
        self.pender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> Progress {
        let word = self.progress.load(Ordering::Relaxed);
        let site = (word & SITE_MASK).checked_sub(1);
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        Progress {
            ended: (word >> SITE_BITS).wrapping_sub(u64::from(site.is_some())),
            running: site.and_then(|site| names.get(site as usize).copied()),
        }
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
    /// Runs of bound objects that ended so far, modulo 2^48. If it stands still while `running` names something, that
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
        self.0.progress()
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("progress", &self.progress()).finish()
    }
}

/// Who has been running for how long: a liveness watch that its host drives.
///
/// The host calls [`look`](Self::look) now and then, from any thread but the watched one. What to do about
/// an object that does not return is the host's to decide.
#[derive(Debug)]
pub struct Watch {
    remote: Remote,
    seen: Progress,
    since: Instant,
}

/// An object that was found running twice, with nothing ended in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The name it was spawned under.
    pub name: &'static str,
    /// For at least this long: since it was first seen.
    pub lasted: Duration,
}

impl Watch {
    /// Begins to watch a scheduler.
    #[must_use]
    pub fn new(remote: Remote, now: Instant) -> Self {
        let seen = remote.progress();
        Self { remote, seen, since: now }
    }

    /// Looks; `Some` if an object is running that was already running at the last look.
    ///
    /// # Source
    /// The intent of `warn-blocked-traffic-after`, configuration.txt.
    pub fn look(&mut self, now: Instant) -> Option<Running> {
        let seen = self.remote.progress();
        if seen != self.seen || seen.running.is_none() {
            (self.seen, self.since) = (seen, now);
            return None;
        }
        let lasted = now.saturating_duration_since(self.since);
        seen.running.map(|name| Running { name, lasted })
    }
}
