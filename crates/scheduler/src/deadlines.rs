//! Time as a scheduler counts it, and what its timers do with it.
//!
//! Ticks are nanoseconds since the scheduler's start. An [`Instant`] is converted where it comes in; inside,
//! deadlines are compared as numbers.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::slot::{NO_TIMER, SlotRef};
use crate::wait_queue::{EXPIRED, Listener, NEVER};
use crate::woken::Woken;

impl Core {
    pub(crate) fn set_now(&self, now: Instant) {
        let ticks = self.ticks(now);
        if ticks > self.now.get() {
            self.now.set(ticks);
            self.now_instant.set(now);
        }
    }

    pub(crate) fn now_ticks(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn now(&self) -> Instant {
        self.now_instant.get()
    }

    #[inline]
    pub(crate) fn ticks(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        nanos(since)
    }

    pub(crate) fn instant(&self, ticks: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(ticks))
    }

    /// Wakes the tasks of due timers, `max` at most; answers how many.
    pub(crate) fn expire(&self, max: usize) -> usize {
        let now = self.now.get();
        let mut count = 0;
        while count < max {
            let expired = self.waits.borrow_mut().expire(now, max - count);
            if expired.count == 0 && expired.other.is_none() {
                return count;
            }
            count += expired.count + usize::from(expired.other.is_some());
            self.wake_owners(&expired.own[..expired.count]);
            if let Some((index, listener)) = expired.other {
                self.tell(index, listener);
            }
        }
        count
    }

    fn wake_owners(&self, indices: &[u32]) {
        let mut slots = [SlotRef::NOBODY; EXPIRED];
        let slab = self.slab.borrow();
        for (place, index) in slots.iter_mut().zip(indices) {
            *place = slab.slot(*index).expect("a task's own timer goes before its slot");
        }
        drop(slab);
        let slots = &slots[..indices.len()];
        // All slots of the batch are fetched from memory at the same time.
        std::hint::black_box(slots.iter().fold(0, |states, slot| states | slot.state.get()));
        slots.iter().for_each(|slot| self.wake(*slot, Woken::TIMER));
    }

    fn tell(&self, index: u32, listener: Listener) {
        match listener {
            Listener::Nobody => {}
            Listener::Waker(waker) => waker.wake(),
            Listener::Unbound(task) => {
                if task.expire(self.now()) {
                    *self.waits.borrow_mut().listener(index) = Listener::Unbound(task);
                } else {
                    drop(self.waits.borrow_mut().remove(index));
                }
            }
            Listener::Task(id) => {
                let slot = self.slab.borrow().slot(id.index());
                if let Some(slot) = slot.filter(|slot| slot.generation.get() == id.generation()) {
                    self.wake(slot, Woken::TIMER);
                }
            }
        }
    }

    /// Sets a task's own timer.
    pub(crate) fn set_deadline(&self, slot: SlotRef, at: Option<Instant>) {
        let deadline = at.map_or(NEVER, |at| self.ticks(at));
        let mut waits = self.waits.borrow_mut();
        if slot.timer.get() == NO_TIMER {
            if deadline == NEVER {
                return;
            }
            slot.timer.set(waits.insert_own(slot.index()));
        }
        waits.set(slot.timer.get(), deadline);
    }

    pub(crate) fn deadline(&self, slot: SlotRef) -> Option<Instant> {
        let timer = Some(slot.timer.get()).filter(|timer| *timer != NO_TIMER)?;
        let deadline = self.waits.borrow().deadline(timer);
        if deadline == NEVER { None } else { self.instant(deadline) }
    }

    pub(crate) fn new_timer(&self) -> u32 {
        self.waits.borrow_mut().insert()
    }

    #[inline]
    pub(crate) fn set_timer(&self, index: u32, deadline: Option<Instant>) {
        let deadline = deadline.map_or(NEVER, |at| self.ticks(at));
        self.waits.borrow_mut().set(index, deadline);
    }

    #[inline]
    pub(crate) fn set_timer_after(&self, index: u32, timeout: Duration) {
        let deadline = self.now.get().saturating_add(nanos(timeout)).min(NEVER - 1);
        self.waits.borrow_mut().set(index, deadline);
    }

    pub(crate) fn timer_deadline(&self, index: u32) -> Option<Instant> {
        let deadline = self.waits.borrow().deadline(index);
        if deadline == NEVER { None } else { self.instant(deadline) }
    }

    pub(crate) fn poll_timer(&self, index: u32, cx: &Context<'_>) -> Poll<()> {
        let mut waits = self.waits.borrow_mut();
        if waits.deadline(index) <= self.now.get() {
            // Heard: nobody waits for this timer any more.
            let told = waits.take_listener(index);
            drop(waits);
            drop(told);
            return Poll::Ready(());
        }
        // The usual case is a task polling with its own waker: its id will do, no reference is counted.
        let own = self.current.get().filter(|slot| std::ptr::eq(slot.as_ptr(), cx.waker().data()));
        let known = matches!(waits.listener(index), Listener::Waker(old) if old.will_wake(cx.waker()));
        if own.is_none() && known {
            return Poll::Pending;
        }
        drop(waits);
        let new = match own {
            Some(own) => Listener::Task(own.id()),
            None => Listener::Waker(cx.waker().clone()),
        };
        let old = std::mem::replace(self.waits.borrow_mut().listener(index), new);
        drop(old);
        Poll::Pending
    }

    pub(crate) fn drop_timer(&self, index: u32) {
        let listener = self.waits.borrow_mut().remove(index);
        drop(listener);
    }
}

/// As ticks.
#[inline]
fn nanos(time: Duration) -> u64 {
    // 584 years are the end of time; one below the mark for "never".
    match time.as_secs() {
        secs @ 0..18_446_744_073 => secs * 1_000_000_000 + u64::from(time.subsec_nanos()),
        _ => NEVER - 1,
    }
}
