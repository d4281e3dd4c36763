//! The objects that a pass has taken from the run queue and runs next, all of one class.
//!
//! INVARIANT: `next` ≤ `end`. What stands between them is QUEUED, and in no list.

use std::cell::Cell;

use crate::slot::SlotRef;

/// How many are taken at a time.
pub(crate) const BATCH: usize = 32;

pub(crate) struct Batch {
    slots: [Cell<SlotRef>; BATCH],
    next: Cell<usize>,
    end: Cell<usize>,
}

impl Batch {
    pub(crate) const fn new() -> Self {
        Self { slots: [const { Cell::new(SlotRef::NOBODY) }; BATCH], next: Cell::new(0), end: Cell::new(0) }
    }

    /// Puts objects in, [`BATCH`] at most; it was empty.
    #[inline]
    pub(crate) fn fill(&self, slots: impl ExactSizeIterator<Item = SlotRef>) -> usize {
        let count = slots.len();
        self.slots.iter().zip(slots).for_each(|(place, slot)| place.set(slot));
        self.next.set(0);
        self.end.set(count);
        count
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<SlotRef> {
        let next = self.next.get();
        if next == self.end.get() {
            return None;
        }
        self.next.set(next + 1);
        Some(self.slots[next % BATCH].get())
    }

    /// Whether an object stands in it.
    pub(crate) fn contains(&self, slot: SlotRef) -> bool {
        self.slots().any(|other| other == slot)
    }

    /// Puts an object right behind another one of the batch, or in front of all; false if there is no room.
    pub(crate) fn push_after(&self, slot: SlotRef, before: Option<SlotRef>) -> bool {
        let ahead = self.slots().position(|other| Some(other) == before).map_or(0, |place| place + 1);
        let Some(first) = self.next.get().checked_sub(1) else { return false };
        // Those in front of its place move up by one.
        for index in first..first + ahead {
            self.slots[index].set(self.slots[index + 1].get());
        }
        self.slots[first + ahead].set(slot);
        self.next.set(first);
        true
    }

    /// Takes out all that is left, first to last.
    pub(crate) fn clear(&self) -> Vec<SlotRef> {
        let left = self.slots().collect();
        self.next.set(self.end.get());
        left
    }

    pub(crate) fn len(&self) -> usize {
        self.end.get() - self.next.get()
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRef> + '_ {
        self.slots[self.next.get()..self.end.get()].iter().map(Cell::get)
    }

    /// Has all slots, and then the futures, fetched from memory at the same time.
    #[inline]
    pub(crate) fn fetch(&self) {
        std::hint::black_box(self.slots().fold(0, |states, slot| states | slot.state.get()));
        self.slots().for_each(|slot| prefetch(slot.data.get()));
    }
}

/// Asks for memory that is about to be read; it need not be there.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(unsafe_code, reason = "half the time of a run when 100,000 tasks do not fit into the cache")]
#[inline]
fn prefetch(data: *const ()) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint: it reads nothing and cannot fault, whatever the address. SSE is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(data.cast()) };
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn prefetch(_: *const ()) {}
