//! A queue of slots in order of arrival: one class of tasklets, or the tasks of nice 0.
//!
//! What comes in is appended to one vector while another is emptied from its front; when that is empty they
//! change places. Adding and taking are a store and a load beside a bound, and what is taken next stands in a
//! row, so it can be fetched from memory many at a time.

use crate::slot::SlotRef;

/// What can stand in a list.
pub(crate) trait Item: Copy {
    fn slot(self) -> SlotRef;
}

impl Item for SlotRef {
    fn slot(self) -> SlotRef {
        self
    }
}

/// A task with its place in the order by nice.
impl Item for (u64, SlotRef) {
    fn slot(self) -> SlotRef {
        self.1
    }
}

pub(crate) struct List<T> {
    /// Being emptied: those from `next` on.
    old: Vec<T>,
    next: usize,
    new: Vec<T>,
}

impl<T: Item> List<T> {
    pub(crate) const fn new() -> Self {
        Self { old: Vec::new(), next: 0, new: Vec::new() }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.old.len() - self.next + self.new.len()
    }

    /// Whether one more can be added without growing.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.new.len() < self.new.capacity()
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        self.new.push(item);
    }

    #[cold]
    pub(crate) fn push_front(&mut self, item: T) {
        match self.next.checked_sub(1) {
            Some(front) => {
                self.next = front;
                self.old[front] = item;
            }
            None => self.old.insert(0, item),
        }
    }

    /// Puts an item right after another one, or in front of all.
    pub(crate) fn push_after(&mut self, item: T, before: impl Fn(&T) -> bool) {
        if let Some(place) = self.old[self.next..].iter().position(&before) {
            self.old.insert(self.next + place + 1, item);
        } else if let Some(place) = self.new.iter().position(before) {
            self.new.insert(place + 1, item);
        } else {
            self.push_front(item);
        }
    }

    #[inline]
    pub(crate) fn front(&mut self) -> Option<&T> {
        if self.next == self.old.len() && !self.turn() {
            return None;
        }
        self.old.get(self.next)
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.next == self.old.len() && !self.turn() {
            return None;
        }
        let item = *self.old.get(self.next)?;
        self.next += 1;
        if self.next.is_multiple_of(AHEAD) {
            self.fetch();
        }
        Some(item)
    }

    /// Begins to empty what has come in; false if that is nothing.
    #[cold]
    fn turn(&mut self) -> bool {
        self.old.clear();
        self.next = 0;
        std::mem::swap(&mut self.old, &mut self.new);
        self.fetch();
        !self.old.is_empty()
    }

    #[inline(never)]
    fn fetch(&self) {
        fetch(self.old[self.next..].iter().take(AHEAD).map(|item| item.slot()));
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRef> + '_ {
        self.old[self.next..].iter().chain(&self.new).map(|item| item.slot())
    }
}

/// How many are fetched from memory at a time.
pub(crate) const AHEAD: usize = 32;

/// Has all slots, and then the futures, fetched from memory at the same time.
#[inline]
pub(crate) fn fetch(slots: impl Iterator<Item = SlotRef> + Clone) {
    std::hint::black_box(slots.clone().fold(0, |states, slot| states | slot.state.get()));
    slots.for_each(|slot| prefetch(slot.data.get()));
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
