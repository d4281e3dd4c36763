//! A queue of slots in order of arrival: one class of tasklets, or the tasks of nice 0.
//!
//! What comes in is appended to one vector while another is emptied from its front; when that is empty they
//! change places. Adding is a store beside a bound, and what is taken next stands in a row.

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

    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = *self.front()?;
        self.next += 1;
        Some(item)
    }

    /// Takes the next ones, at most `max`, in a row.
    #[inline]
    pub(crate) fn take(&mut self, max: usize) -> &[T] {
        if self.next == self.old.len() {
            self.turn();
        }
        let start = self.next;
        self.next = self.old.len().min(start.saturating_add(max));
        &self.old[start..self.next]
    }

    /// Begins to empty what has come in; false if that is nothing.
    fn turn(&mut self) -> bool {
        self.old.clear();
        self.next = 0;
        std::mem::swap(&mut self.old, &mut self.new);
        !self.old.is_empty()
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRef> + '_ {
        self.old[self.next..].iter().chain(&self.new).map(|item| item.slot())
    }
}
