//! Wakers: a slot's address with a count of it, and what may be done with one on any thread.
//!
//! ```text
//!   alive ──end──▶ DONE, counted ──last count dropped──▶ free          on the owner's thread
//!                        │
//!                        └──last count dropped elsewhere──▶ R_RECLAIM, in the shared queue ──▶ free
//!   DONE, counted ──scheduler gone──▶ R_ORPHAN ──last count dropped──▶ chunks freed
//! ```
//!
//! INVARIANT: the shared word changes by atomic read-modify-writes only, except while its count is zero
//! and no entry stands in the shared queue: then nobody but the owner can reach it.
#![expect(
    unsafe_code,
    reason = "a waker of 8 bytes beside its table; safe `Arc<impl Wake>` costs 48 bytes a task"
)]

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::remote::Shared;
use crate::slot::{
    DONE, KILLED, R_ORPHAN, R_PINNED, R_QUEUED, R_RECLAIM, REF, REFS_MAX, SharedSlot, SlotRef,
};
use crate::sync::Ordering;
use crate::thread;
use crate::woken::Woken;

/// Of wakers that own one count.
static COUNTED: RawWakerVTable = RawWakerVTable::new(clone, wake_and_drop, wake_by_ref, drop_counted);
/// Of wakers that own none: the one a task is polled with, and those of a pinned slot.
static UNCOUNTED: RawWakerVTable = RawWakerVTable::new(clone, wake_by_ref, wake_by_ref, |_| ());

/// The waker a task is polled with. The caller drops it, which does nothing, before the slot can go.
pub(crate) fn borrowed(slot: SlotRef) -> ManuallyDrop<Waker> {
    // SAFETY: the table's functions keep the contract of `RawWaker`. The waker is used during the poll
    // only: what a future keeps is a clone, which is counted.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(slot.as_ptr(), &UNCOUNTED)) })
}

/// A waker to keep.
pub(crate) fn counted(slot: SlotRef) -> Waker {
    // SAFETY: as in `borrowed`; `clone` counts.
    unsafe { Waker::from_raw(clone(slot.as_ptr())) }
}

/// The slot a waker stands for, if it is one of this crate.
pub(crate) fn slot(waker: &Waker) -> Option<SlotRef> {
    let ours = std::ptr::eq(waker.vtable(), &COUNTED) || std::ptr::eq(waker.vtable(), &UNCOUNTED);
    // SAFETY: only wakers made here have these tables, and the waker holds the slot while it is borrowed.
    ours.then(|| unsafe { SlotRef::from_ptr(waker.data()) })
}

/// Wakes from any thread.
pub(crate) fn wake(slot: SlotRef, reasons: Woken) {
    if slot.belongs_to(thread::current()) {
        // SAFETY: this is the owner's thread, and the reference ends with the call.
        if let Some(core) = unsafe { slot.core() } {
            core.wake(slot, reasons);
        }
    } else {
        post(slot, reasons.recorded().bits());
    }
}

/// Kills from any thread; true for the first killer.
pub(crate) fn kill(slot: SlotRef) -> bool {
    if slot.belongs_to(thread::current()) {
        // SAFETY: as in `wake`.
        return unsafe { slot.core() }.is_some_and(|core| core.kill_first(slot));
    }
    if slot.is_done() || slot.shared.fetch_or(KILLED, Ordering::AcqRel) & (KILLED | DONE) != 0 {
        return false;
    }
    post(slot, 0);
    true
}

/// Adds bits to the shared word and, if no entry stands in the shared queue yet, appends one.
fn post(slot: SlotRef, bits: u32) {
    if slot.is_done() {
        return;
    }
    let before = slot.shared.fetch_or(bits | R_QUEUED, Ordering::AcqRel);
    if before & R_QUEUED == 0 {
        // SAFETY: the caller's count keeps the slot, and that keeps what it belongs to.
        unsafe { &*slot.shared() }.push(SharedSlot(slot));
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: `data` is of a waker that exists, or of a slot whose task is alive.
    let slot = unsafe { SlotRef::from_ptr(data) };
    let before = slot.shared.fetch_add(REF, Ordering::Relaxed);
    if before / REF < REFS_MAX {
        return RawWaker::new(data, &COUNTED);
    }
    // Pin the slot: it will never be used again, so this clone need not be counted.
    slot.shared.fetch_or(R_PINNED, Ordering::Relaxed);
    slot.shared.fetch_sub(REF, Ordering::Relaxed);
    RawWaker::new(data, &UNCOUNTED)
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: `data` is of a waker that exists.
    wake(unsafe { SlotRef::from_ptr(data) }, Woken::NONE);
}

unsafe fn wake_and_drop(data: *const ()) {
    // SAFETY: `data` is of a waker that exists and ends here.
    unsafe {
        wake_by_ref(data);
        drop_counted(data);
    }
}

unsafe fn drop_counted(data: *const ()) {
    // SAFETY: `data` is of a waker that owns one count, which ends here.
    let slot = unsafe { SlotRef::from_ptr(data) };
    let mut before = slot.shared.load(Ordering::Relaxed);
    loop {
        let last = before / REF == 1 && before & (DONE | R_ORPHAN | R_QUEUED | R_PINNED) == DONE;
        if last && !slot.belongs_to(thread::current()) {
            match hand_over(slot, before) {
                Ok(()) => return,
                Err(now) => before = now,
            }
            continue;
        }
        // SAFETY: the count of the caller keeps the slot until the exchange.
        let shared = slot.shared();
        match slot.shared.compare_exchange_weak(before, before - REF, Ordering::AcqRel, Ordering::Relaxed) {
            Err(now) => before = now,
            // On the owner's thread the slot is still there: only the owner frees it.
            Ok(_) if last => {
                // SAFETY: this is the owner's thread, and the reference ends with the call.
                if let Some(core) = unsafe { slot.core() } {
                    core.try_release(slot);
                }
                return;
            }
            Ok(_) => {
                if before / REF == 1 && before & (R_ORPHAN | R_PINNED) == R_ORPHAN {
                    // SAFETY: `Shared::orphan` left one count for this slot, and this was its last one.
                    unsafe { Arc::decrement_strong_count(shared) };
                }
                return;
            }
        }
    }
}

/// Sends the slot of an ended task home, with the last count of it.
fn hand_over(slot: SlotRef, before: u32) -> Result<(), u32> {
    // SAFETY: our count keeps the slot, and that keeps what it belongs to; the guard outlives both.
    let shared = unsafe {
        Arc::increment_strong_count(slot.shared());
        Arc::from_raw(slot.shared())
    };
    let queued = before | R_QUEUED | R_RECLAIM;
    slot.shared.compare_exchange(before, queued, Ordering::AcqRel, Ordering::Relaxed)?;
    shared.reclaim(SharedSlot(slot));
    Ok(())
}

impl Shared {
    /// Lets go of what entries of the shared queue own, once the scheduler has gone.
    pub(crate) fn abandon(&self) {
        while let Some(SharedSlot(slot)) = self.pop_wake() {
            let before = slot.shared.fetch_and(!(R_QUEUED | R_RECLAIM), Ordering::AcqRel);
            if before & R_RECLAIM != 0 {
                // SAFETY: the entry owned this count.
                unsafe { drop_counted(slot.as_ptr()) };
            }
        }
    }

    /// Marks a slot of a scheduler that goes: what still counts it keeps the chunks.
    pub(crate) fn orphan(self: &Arc<Self>, slot: SlotRef) {
        if slot.shared.load(Ordering::Acquire) == 0 {
            return;
        }
        // SAFETY: a strong reference exists: ours.
        unsafe { Arc::increment_strong_count(Arc::as_ptr(self)) };
        let before = slot.shared.fetch_or(R_ORPHAN, Ordering::AcqRel);
        if before / REF == 0 && before & R_PINNED == 0 {
            // SAFETY: the count just taken.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(self)) };
        }
    }
}
