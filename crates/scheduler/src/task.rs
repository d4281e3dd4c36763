//! Tasks as their users hold them: [`TaskRef`] on the owner's thread, [`TaskHandle`] on any.

use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use crate::budget::Class;
use crate::core::Core;
use crate::slot::{DONE, SlotRef};
use crate::waker;
use crate::woken::Woken;

/// Names a task of one scheduler; an id of a task that has ended names nothing.
///
/// The generation in it tells tasks apart that used the same slot one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl TaskId {
    /// A task that never was.
    pub(crate) const NOBODY: Self = Self(u64::MAX);

    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | index as u64)
    }

    pub(crate) const fn index(self) -> u32 {
        self.0 as u32
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

/// A task or tasklet as its own thread sees it: wakes it without atomics. Dropping it leaves the task alone.
///
/// Every call is harmless after the task or its scheduler has gone.
///
/// # Thread affinity
/// `!Send`; [`handle`](Self::handle) makes what other threads may hold.
#[derive(Clone)]
pub struct TaskRef {
    core: Rc<Core>,
    /// `None`: spawned on a scheduler that had gone.
    slot: Option<SlotRef>,
    generation: u32,
}

impl TaskRef {
    pub(crate) fn new(core: Rc<Core>, slot: SlotRef) -> Self {
        Self { core, slot: Some(slot), generation: slot.generation.get() }
    }

    pub(crate) fn stillborn(core: Rc<Core>) -> Self {
        Self { core, slot: None, generation: 0 }
    }

    /// The slot, as long as it is this task's.
    #[inline]
    fn slot(&self) -> Option<SlotRef> {
        self.slot.filter(|slot| slot.generation.get() == self.generation && slot.state.get() & DONE == 0)
    }

    /// The task's id within its scheduler.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.slot.map_or(TaskId::NOBODY, |slot| TaskId::new(slot.index(), self.generation))
    }

    /// Makes the task run at least once after this call, and tells it why.
    ///
    /// Wakes before that run are one run. Waking a running task makes it run again later. The
    /// pender is called if the scheduler sleeps.
    ///
    /// # Source
    /// `task_wakeup()` and `tasklet_wakeup()` of HAProxy's scheduler API.
    #[inline]
    pub fn wake(&self, reasons: Woken) {
        if let Some(slot) = self.slot
            && slot.generation.get() == self.generation
        {
            self.core.wake(slot, reasons);
        }
    }

    /// Wakes a tasklet so that it runs right after `before`, if that is waiting in the same class; else,
    /// and with `None`, ahead of its whole class. One that is queued already stays where it is.
    ///
    /// Made for chains of objects that each make work for the next, while their data is in the cache.
    /// Tasks keep their order by nice: for them this is [`wake`](Self::wake).
    ///
    /// # Source
    /// `tasklet_wakeup_after()` of HAProxy's scheduler API.
    pub fn wake_after(&self, before: Option<&TaskRef>, reasons: Woken) {
        if let Some(slot) = self.slot() {
            let before = before.and_then(|before| before.slot());
            self.core.wake_after(slot, before, reasons);
        }
    }

    /// Wakes the task with [`Woken::TIMER`] at `at`, unless its own timer is set for earlier.
    ///
    /// # Source
    /// `task_schedule()` of HAProxy's scheduler API.
    pub fn schedule(&self, at: Instant) {
        if self.deadline().is_none_or(|set| at < set) {
            self.set_deadline(Some(at));
        }
    }

    /// Sets the task's own timer, earlier or later, or cancels it.
    ///
    /// # Source
    /// `task_queue()` and `task_unlink_wq()` of HAProxy's scheduler API.
    pub fn set_deadline(&self, at: Option<Instant>) {
        if let Some(slot) = self.slot() {
            self.core.set_deadline(slot, at);
        }
    }

    /// When the task's own timer wakes it.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.slot().and_then(|slot| self.core.deadline(slot))
    }

    /// Ends the task: its future is dropped before this returns, or, if it is the one running, as soon
    /// as it returns. True for exactly one caller, and false once the task has ended.
    ///
    /// # Source
    /// `task_kill()` and `tasklet_kill()`, without their ban on a second killer.
    pub fn kill(&self) -> bool {
        self.slot().is_some_and(|slot| self.core.kill_first(slot))
    }

    /// Whether the task has finished, panicked or been freed after a kill.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.slot().is_none()
    }

    /// What other threads may hold of the task.
    #[must_use]
    pub fn handle(&self) -> TaskHandle {
        let waker = self.slot().map_or_else(|| Waker::noop().clone(), waker::counted);
        TaskHandle { waker, id: self.id() }
    }

    /// Wakes it, with no reason, from any thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.handle().waker
    }
}

/// What may be read and set of a task through either kind of reference, by its slot.
macro_rules! adjustable {
    ($reference:ty) => {
        impl $reference {
            /// Sets the priority of a task among tasks from its next wake on: −1024 (first) to 1024 (last),
            /// clamped. One unit is worth what is woken during a pass. Tasklets have no nice.
            pub fn set_nice(&self, nice: i32) {
                if let Some(slot) = self.slot() {
                    slot.set_nice(nice);
                }
            }

            /// The present nice.
            #[must_use]
            pub fn nice(&self) -> i32 {
                self.slot().map_or(0, |slot| slot.nice())
            }

            /// Pins the object to a class from its next wake on, or with `None` gives it back to the rules.
            /// [`Class::Heavy`] is meant for objects about to compute for tens of microseconds or more.
            pub fn set_class(&self, class: Option<Class>) {
                if let Some(slot) = self.slot() {
                    slot.set_class(class);
                }
            }

            /// The class it is pinned to, if any.
            #[must_use]
            pub fn class(&self) -> Option<Class> {
                self.slot().and_then(|slot| slot.class())
            }
        }

        impl std::fmt::Debug for $reference {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($reference)).field(&self.id()).finish()
            }
        }
    };
}

adjustable!(TaskRef);
adjustable!(TaskHandle);

/// A counted handle to a task or tasklet for any thread. Dropping it leaves the task alone.
///
/// # Thread affinity
/// `Send` and `Sync`: every call may be made from any thread, at any time, also after the task or its
/// scheduler has gone, when it does nothing.
#[derive(Clone)]
pub struct TaskHandle {
    /// Of this crate, or the one that does nothing.
    waker: Waker,
    id: TaskId,
}

impl TaskHandle {
    fn slot(&self) -> Option<SlotRef> {
        waker::slot(&self.waker)
    }

    /// The task's id within its scheduler.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// As [`TaskRef::wake`]: from another thread a lock-free append, and a call of the pender only if
    /// the owner sleeps.
    pub fn wake(&self, reasons: Woken) {
        if let Some(slot) = self.slot() {
            waker::wake(slot, reasons);
        }
    }

    /// Ends the task: its future is dropped on its own thread and never polled again.
    ///
    /// On the owner's thread as [`TaskRef::kill`]; from elsewhere at the owner's next pass, and before
    /// the task runs again. True for exactly one caller, and false once the task has ended.
    pub fn kill(&self) -> bool {
        self.slot().is_some_and(waker::kill)
    }

    /// Whether the task has finished, panicked or been freed after a kill.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.slot().is_none_or(|slot| slot.is_done())
    }

    /// Wakes it, with no reason.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
