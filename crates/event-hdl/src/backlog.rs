//! The events that wait in a list's queues, each once however many queues it waits in.
//!
//! ```text
//!   numbers   17    18    19    20    next = 21
//!           [done][ ev ][ ev ][ ev ]
//!                    ▲           ▲
//!                    a reader    another, ahead
//! ```
//!
//! Events are numbered from the list's first. What all readers are done with goes at once; its place stays until such
//! places are the greater part. Each thing that is asked of many events stands in an array of its own, so that a batch
//! takes few steps.
//!
//! INVARIANT: a place holds a reference for each reader that has not taken its own, until all are done; `open` counts
//! those that are not.
#![expect(
    unsafe_code,
    reason = "of `shared`: counted references would cost as much as all the rest of reading"
)]

use std::ops::Range;

use crate::shared::Kept;
use crate::{EventRef, Family, Subtypes};

/// So many places may be done and kept, whatever else waits.
const DONE_MAX: usize = 64;

/// Arrays of the same length, in order of the events.
pub(crate) struct Backlog<F: Family> {
    events: Vec<Kept<F>>,
    subtypes: Vec<Subtypes>,
    /// How many readers are not done; 0 if the event has gone.
    open: Vec<u32>,
    /// References of those readers, and of those who left theirs.
    held: Vec<u32>,
    /// The events' numbers, which have gaps where places have been cleared away.
    numbers: Vec<u64>,
    next: u64,
    /// Places whose event has gone.
    done: usize,
}

impl<F: Family> Backlog<F> {
    pub(crate) fn new() -> Self {
        Self {
            events: Vec::new(),
            subtypes: Vec::new(),
            open: Vec::new(),
            held: Vec::new(),
            numbers: Vec::new(),
            next: 0,
            done: 0,
        }
    }

    /// The number of the event to come.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Keeps an event for so many readers.
    #[inline]
    pub(crate) fn push(&mut self, subtypes: Subtypes, event: Kept<F>, readers: u32) {
        self.events.push(event);
        self.subtypes.push(subtypes);
        self.open.push(readers);
        self.held.push(readers);
        self.numbers.push(self.next);
        self.next += 1;
    }

    /// The place of the first event from this number on.
    #[inline]
    pub(crate) fn find(&self, number: u64) -> usize {
        let first = self.numbers.first().map_or(number, |first| *first);
        let place = number.saturating_sub(first) as usize;
        match self.numbers.get(place) {
            Some(found) if *found == number => place,
            None if self.next - first == self.numbers.len() as u64 => self.numbers.len(),
            _ => self.numbers.partition_point(|before| *before < number),
        }
    }

    pub(crate) fn number(&self, place: usize) -> u64 {
        self.numbers[place]
    }

    /// The place of the first event from `place` on, and before the number `limit`, for who asks for these subtypes.
    #[inline]
    pub(crate) fn find_for(&self, asked: Subtypes, place: usize, limit: u64) -> Option<usize> {
        let places = self.subtypes[place..].iter().zip(&self.numbers[place..]);
        let own = |(subtypes, number): (&Subtypes, &u64)| asked.contains(*subtypes) || *number >= limit;
        let found = place + places.clone().position(own)?;
        (self.numbers[found] < limit).then_some(found)
    }

    /// Looks at the first `count` events from `place` on for who asks for these subtypes; answers the number after the
    /// last. There are so many.
    #[inline]
    pub(crate) fn look(&self, asked: Subtypes, place: usize, count: usize, events: &mut Vec<Kept<F>>) -> u64 {
        if self.subtypes[place..place + count].iter().all(|subtypes| asked.contains(*subtypes)) {
            events.extend_from_slice(&self.events[place..place + count]);
            return self.numbers[place + count - 1] + 1;
        }
        let own =
            (place..self.events.len()).filter(|place| asked.contains(self.subtypes[*place])).take(count);
        let mut last = place;
        events.extend(own.map(|place| {
            last = place;
            self.events[place]
        }));
        self.numbers[last] + 1
    }

    /// A reader is done with the events of these numbers that it asks for. What all are done with goes to `done`.
    #[inline]
    pub(crate) fn leave(&mut self, numbers: Range<u64>, asked: Subtypes, done: &mut Vec<EventRef<F>>) {
        let places = self.find(numbers.start)..self.find(numbers.end);
        let mut gone = 0;
        for (open, subtypes) in self.open[places.clone()].iter_mut().zip(&self.subtypes[places.clone()]) {
            let own = u32::from(asked.contains(*subtypes));
            gone += own & u32::from(*open == 1);
            *open -= own;
        }
        if gone > 0 {
            for place in places {
                if self.open[place] == 0 && self.held[place] != GONE {
                    done.extend(self.finish(place));
                }
            }
        }
        self.clear();
    }

    /// The event here, for a reader that keeps it and is done.
    pub(crate) fn take(&mut self, place: usize) -> EventRef<F> {
        assert!(self.open[place] > 0 && self.held[place] > 0, "invariant: a reference for each reader");
        self.open[place] -= 1;
        self.held[place] -= 1;
        // SAFETY: this one was held and is no longer.
        let event = unsafe { self.events[place].take() };
        if self.open[place] == 0 {
            // What others left is counted off; the one taken keeps the event.
            drop(self.finish(place));
        }
        event
    }

    /// A reader is done that has not read the event here; answers the event if all are.
    pub(crate) fn skip(&mut self, place: usize) -> Option<EventRef<F>> {
        self.open[place] -= 1;
        if self.open[place] == 0 { self.finish(place) } else { None }
    }

    /// One more reference to the event here, which a reader is not done with.
    pub(crate) fn peek(&self, place: usize) -> EventRef<F> {
        assert!(self.held[place] > 0, "invariant: a reference for each reader");
        // SAFETY: one is held, and the copy is gone before we let it go.
        unsafe { EventRef::clone(&self.events[place].lend()) }
    }

    /// All are done with the event here.
    fn finish(&mut self, place: usize) -> Option<EventRef<F>> {
        self.done += 1;
        let held = std::mem::replace(&mut self.held[place], GONE);
        // SAFETY: so many were held, and are no longer.
        unsafe { self.events[place].release(held) }
    }

    /// Clears places away whose events have gone.
    pub(crate) fn clear(&mut self) {
        if self.done == self.events.len() {
            self.truncate(0);
        } else if self.done > DONE_MAX && self.done > self.events.len() / 2 {
            let mut kept = 0;
            for place in 0..self.events.len() {
                if self.held[place] != GONE {
                    self.events[kept] = self.events[place];
                    self.subtypes[kept] = self.subtypes[place];
                    self.open[kept] = self.open[place];
                    self.held[kept] = self.held[place];
                    self.numbers[kept] = self.numbers[place];
                    kept += 1;
                }
            }
            self.truncate(kept);
        }
    }

    fn truncate(&mut self, len: usize) {
        self.events.truncate(len);
        self.subtypes.truncate(len);
        self.open.truncate(len);
        self.held.truncate(len);
        self.numbers.truncate(len);
        self.done = 0;
    }
}

/// In the place of the references held: the event has gone.
const GONE: u32 = u32::MAX;

impl<F: Family> Drop for Backlog<F> {
    fn drop(&mut self) {
        for place in 0..self.events.len() {
            if self.held[place] != GONE {
                drop(self.finish(place));
            }
        }
    }
}
