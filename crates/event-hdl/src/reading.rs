//! Reading a queue by looking at what waits in it, where it waits.
//!
//! The list keeps an event until all its readers are done with it, so a reader that only looks needs no reference of
//! its own: it finds out under the lock which events are its own, looks at them without it, and then says, under it,
//! that it is done.
//!
//! INVARIANT: what is in `events` belongs to `run`, which is left only when they have been forgotten.
#![expect(
    unsafe_code,
    reason = "a counted reference for each reader costs as much as all the rest of reading"
)]

use std::mem::ManuallyDrop;

use crate::ring::{Look, Run};
use crate::shared::Kept;
use crate::subscription::Queue;
use crate::{EventRef, Family, Item};

/// What a reader needs in hand, kept from one reading to the next.
pub(crate) struct Desk<F: Family> {
    events: Vec<Kept<F>>,
    done: Vec<EventRef<F>>,
}

impl<F: Family> Desk<F> {
    pub(crate) fn new() -> Self {
        Self { events: Vec::new(), done: Vec::new() }
    }

    /// Shows up to `max` items of the queue to `read`; answers how many.
    pub(crate) fn read(&mut self, queue: &Queue<F>, max: usize, mut read: impl FnMut(&Item<F>)) -> usize {
        let mut reading = Reading { queue, desk: self, run: None, read: 0 };
        let mut count = 0;
        while count < max {
            count += match reading.look(max - count) {
                Look::Told(item) => {
                    read(&item);
                    1
                }
                Look::Run(run) => {
                    reading.run = Some(run);
                    reading.show(&mut read)
                }
                Look::Nothing => break,
            };
        }
        count
    }
}

/// A queue that is being read, by its only reader.
struct Reading<'r, F: Family> {
    queue: &'r Queue<F>,
    desk: &'r mut Desk<F>,
    run: Option<Run>,
    /// How many of the events have been read.
    read: usize,
}

impl<F: Family> Reading<'_, F> {
    fn look(&mut self, max: usize) -> Look<F> {
        let (Desk { events, done }, run) = (&mut *self.desk, self.run.take());
        events.clear();
        self.read = 0;
        let look = self.queue.hub.look(self.queue.key, max, events, run, done);
        done.clear();
        look
    }

    #[inline]
    fn show(&mut self, read: &mut impl FnMut(&Item<F>)) -> usize {
        for event in &self.desk.events {
            self.read += 1;
            // SAFETY: the run has not been left, so a reference is there for this reader, and what is made here of it
            // goes before it is.
            let event = unsafe { event.lend() };
            read(&ManuallyDrop::new(Item::Event(ManuallyDrop::into_inner(event))));
        }
        self.desk.events.len()
    }
}

impl<F: Family> Drop for Reading<'_, F> {
    fn drop(&mut self) {
        let Desk { events, done } = &mut *self.desk;
        let unread = events.len() - self.read;
        events.clear();
        if let Some(run) = self.run.take() {
            self.queue.hub.leave(self.queue.key, run, unread as u64, done);
            done.clear();
        }
    }
}
