//! Tasks and tasklets: their state bit by bit, their wakers and the handles to them.
//!
//! A task's header has two state words. Its own thread alone writes `local`, with plain loads and
//! stores; other threads write `remote` with atomic read-modify-writes and leave the task's id in the
//! shared queue. The owner folds `remote` into `local` at its next pass. So a wake on the owner's
//! thread costs no atomic read-modify-write, and a wake from elsewhere costs two.
//!
//! INVARIANT: `remote` has QUEUED set exactly while an entry of the task stands in the shared queue,
//! or its task has ended.

use std::sync::Arc;
use std::task::Wake;

use crate::budget::Class;
use crate::registry;
use crate::remote::Shared;
use crate::sync::{AtomicI32, AtomicU8, AtomicU32, Ordering};
use crate::woken::Woken;

/// In a run queue, or in the shared queue: more wakes only add reasons.
pub(crate) const QUEUED: u32 = 1;
/// Its future is being polled.
pub(crate) const RUNNING: u32 = 1 << 1;
/// To be freed instead of run.
pub(crate) const KILLED: u32 = 1 << 2;
/// Ended: finished, killed or panicked. Set once, by the owner.
pub(crate) const DONE: u32 = 1 << 3;
/// A tasklet: goes straight to a class list, has no nice.
pub(crate) const TASKLET: u32 = 1 << 4;

/// Names a task of one scheduler; an id of a task that has ended names nothing.
///
/// The generation in it tells tasks apart that used the same slot one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl TaskId {
    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | index as u64)
    }

    pub(crate) const fn index(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl std::fmt::Debug for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskId({}.{})", self.index(), self.generation())
    }
}

/// What a waker points to. It outlives its task harmlessly: all it can then do is see DONE.
pub(crate) struct Header {
    pub(crate) scheduler: u64,
    pub(crate) seat: u32,
    index: u32,
    /// Changes only while nobody but the slab holds the header.
    generation: AtomicU32,
    pub(crate) local: AtomicU32,
    pub(crate) remote: AtomicU32,
    nice: AtomicI32,
    /// 0: by the rules; else a class plus one.
    pinned: AtomicU8,
    shared: Arc<Shared>,
}

impl Header {
    pub(crate) fn new(scheduler: u64, seat: u32, id: TaskId, kind: u32, shared: Arc<Shared>) -> Self {
        Self {
            scheduler,
            seat,
            index: id.index() as u32,
            generation: AtomicU32::new(id.generation()),
            local: AtomicU32::new(kind),
            remote: AtomicU32::new(0),
            nice: AtomicI32::new(0),
            pinned: AtomicU8::new(0),
            shared,
        }
    }

    /// Makes a header that nobody else holds ready for the next task of its slot.
    pub(crate) fn recycle(&self, generation: u32, kind: u32) {
        self.generation.store(generation, Ordering::Relaxed);
        self.remote.store(0, Ordering::Relaxed);
        self.nice.store(0, Ordering::Relaxed);
        self.pinned.store(0, Ordering::Relaxed);
        self.local.store(kind, Ordering::Relaxed);
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId::new(self.index, self.generation.load(Ordering::Relaxed))
    }

    pub(crate) fn nice(&self) -> i32 {
        self.nice.load(Ordering::Relaxed)
    }

    pub(crate) fn pinned(&self) -> Option<Class> {
        let pinned = self.pinned.load(Ordering::Relaxed);
        pinned.checked_sub(1).map(|class| Class::ALL[class as usize])
    }

    fn is_done(&self) -> bool {
        self.local.load(Ordering::Acquire) & DONE != 0
    }

    fn rouse(&self, reasons: Woken) {
        match registry::wake(self, reasons) {
            Some(notify) => {
                if notify {
                    self.shared.notify();
                }
            }
            None => self.wake_from_afar(reasons.recorded().bits()),
        }
    }

    /// Adds bits to the remote word and, if no entry stands in the shared queue yet, appends one.
    pub(crate) fn wake_from_afar(&self, bits: u32) {
        if self.is_done() {
            return;
        }
        let before = self.remote.fetch_or(bits | QUEUED, Ordering::AcqRel);
        if before & QUEUED == 0 {
            self.shared.push(self.id());
        }
    }

    fn kill(&self) -> bool {
        if self.is_done() || self.remote.fetch_or(KILLED, Ordering::AcqRel) & KILLED != 0 {
            return false;
        }
        match registry::find(self.scheduler, self.seat) {
            Some(core) => core.kill(self),
            None => self.wake_from_afar(0),
        }
        true
    }
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        self.rouse(Woken::NONE);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rouse(Woken::NONE);
    }
}

/// A counted handle to a task or tasklet. Dropping it leaves the task alone.
///
/// # Thread affinity
/// `Send` and `Sync`: every call may be made from any thread, at any time, also after the task or its
/// scheduler has gone, when it does nothing.
#[derive(Clone)]
pub struct TaskHandle(pub(crate) Arc<Header>);

impl TaskHandle {
    /// The task's id within its scheduler.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.0.id()
    }

    /// Makes the task run at least once after this call, and tells it why.
    ///
    /// Wakes before that run are one run. Waking a running task makes it run again later.
    /// On the owner's thread this is a few loads and stores; from elsewhere a lock-free append, and
    /// a call of the pender only if the owner sleeps.
    ///
    /// # Source
    /// `task_wakeup()` and `tasklet_wakeup()` of HAProxy's scheduler API.
    pub fn wake(&self, reasons: Woken) {
        self.0.rouse(reasons);
    }

    /// Ends the task: its future is dropped on its own thread and never polled again.
    ///
    /// On the owner's thread the future is dropped before this returns, unless it is the one running:
    /// then as soon as it returns. From elsewhere, at the owner's next pass. The answer is true for
    /// exactly one caller, and false once the task has ended.
    ///
    /// # Source
    /// `task_kill()` and `tasklet_kill()`, without their ban on a second killer.
    pub fn kill(&self) -> bool {
        self.0.kill()
    }

    /// Whether the task has finished, panicked or been freed after a kill.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_done()
    }

    /// Sets the priority of a task among tasks from its next wake on: −1024 (first) to 1024 (last),
    /// clamped. One unit is worth a pass worth of places in the queue. Tasklets have no nice.
    pub fn set_nice(&self, nice: i32) {
        self.0.nice.store(nice.clamp(-1024, 1024), Ordering::Relaxed);
    }

    /// The present nice.
    #[must_use]
    pub fn nice(&self) -> i32 {
        self.0.nice()
    }

    /// Pins the object to a class from its next wake on, or with `None` gives it back to the rules.
    /// [`Class::Heavy`] is meant for objects about to compute for tens of microseconds or more.
    pub fn set_class(&self, class: Option<Class>) {
        self.0.pinned.store(class.map_or(0, |class| class as u8 + 1), Ordering::Relaxed);
    }

    /// The class it is pinned to, if any.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        self.0.pinned()
    }
}

impl std::fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TaskHandle").field(&self.id()).finish()
    }
}
