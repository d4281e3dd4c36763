//! The events that wait in a list's queues, each once however many queues it waits in.
//!
//! ```text
//!   numbers   17    18    19    20    next = 21
//!           [done][ ev ][ ev ][ ev ]
//!                    ▲           ▲
//!                    a reader    another, ahead
//! ```
//!
//! Events are numbered from the list's first. What all readers are done with goes at once; its entry stays until those
//! before it have gone, or until such entries are the greater part.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;
use std::mem::ManuallyDrop;
use std::ops::Range;

use crate::shared::Bundle;
use crate::{EventRef, Family, Subtypes};

/// So many entries may be done and kept, whatever else waits.
const DONE_MAX: usize = 64;

const KEPT: &str = "invariant: kept until all are done with it";

pub(crate) struct Backlog<F: Family> {
    /// In order of their numbers, which have gaps where entries have been cleared away.
    entries: VecDeque<Entry<F>>,
    next: u64,
    /// Entries that are done.
    done: usize,
}

pub(crate) struct Entry<F: Family> {
    pub(crate) number: u64,
    pub(crate) subtypes: Subtypes,
    /// None once all are done with it.
    bundle: Option<Bundle<F>>,
}

impl<F: Family> Entry<F> {
    /// Whether who asks for these subtypes is told of it.
    #[inline]
    pub(crate) fn is_for(&self, asked: Subtypes) -> bool {
        asked.contains(self.subtypes)
    }

    /// For those who are not done with it.
    #[inline]
    pub(crate) fn bundle(&mut self) -> &mut Bundle<F> {
        self.bundle.as_mut().expect(KEPT)
    }

    /// A reference for a reader that is not done with it.
    ///
    /// # Safety
    /// It must not be used once the reader [is done](Backlog::leave).
    #[inline]
    #[expect(
        unsafe_code,
        reason = "a counted reference for each reader costs as much as all the rest of reading"
    )]
    pub(crate) unsafe fn lend(&self) -> ManuallyDrop<EventRef<F>> {
        // SAFETY: the caller's promise.
        unsafe { self.bundle.as_ref().expect(KEPT).lend() }
    }
}

impl<F: Family> Backlog<F> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), next: 0, done: 0 }
    }

    /// The number of the event to come.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    #[inline]
    pub(crate) fn push(&mut self, subtypes: Subtypes, bundle: Bundle<F>) {
        self.entries.push_back(Entry { number: self.next, subtypes, bundle: Some(bundle) });
        self.next += 1;
    }

    /// The place of the first entry from this number on.
    #[inline]
    pub(crate) fn find(&self, number: u64) -> usize {
        let first = self.entries.front().map_or(number, |entry| entry.number);
        let place = number.saturating_sub(first) as usize;
        match self.entries.get(place) {
            Some(entry) if entry.number == number => place,
            _ => self.entries.partition_point(|entry| entry.number < number),
        }
    }

    #[inline]
    pub(crate) fn entry(&mut self, place: usize) -> Option<&mut Entry<F>> {
        self.entries.get_mut(place)
    }

    #[inline]
    pub(crate) fn from(&self, place: usize) -> Iter<'_, Entry<F>> {
        self.entries.range(place..)
    }

    /// Takes out what all are done with, if they are; [clear](Self::clear) afterwards.
    pub(crate) fn finish(&mut self, place: usize) -> Option<Bundle<F>> {
        let bundle = self.entries.get_mut(place)?.bundle.take_if(|bundle| bundle.is_done())?;
        self.done += 1;
        Some(bundle)
    }

    /// A reader is done with the events of these numbers that it asks for. What all are done with goes to `done`.
    #[inline]
    pub(crate) fn leave(&mut self, numbers: Range<u64>, asked: Subtypes, done: &mut Vec<Bundle<F>>) {
        let before = done.len();
        let places = self.find(numbers.start)..self.find(numbers.end);
        self.entries.range_mut(places).for_each(|entry| {
            if entry.is_for(asked) && entry.bundle().leave() {
                done.extend(entry.bundle.take());
            }
        });
        self.done += done.len() - before;
        self.clear();
    }

    /// Clears done entries away.
    pub(crate) fn clear(&mut self) {
        if self.done == self.entries.len() {
            self.entries.clear();
            self.done = 0;
            return;
        }
        while self.entries.pop_front_if(|entry| entry.bundle.is_none()).is_some() {
            self.done -= 1;
        }
        if self.done > DONE_MAX && self.done > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.bundle.is_some());
            self.done = 0;
        }
    }
}
