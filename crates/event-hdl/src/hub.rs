//! The queues of a list, under one lock: a publication takes it once however many queues it feeds.
//!
//! ```text
//!   publish ─▶ bound? ──room──▶ [ e e e e ]  ──pop──▶ Event … Lost(n) … Event … End
//!                 └───full──▶ counted, the count kept at its place among the events
//! ```
//!
//! INVARIANT: End comes last and exactly once; nothing is taken in after the subscription has ended. What wakes,
//! makes or drops an embedder's value does so without the lock (a reader's waker is cloned under it).

use std::task::{Context, Poll, Waker};

use crate::interest::may_reach;
use crate::ring::{Look, Reader, Ring, Run, THROTTLED};
use crate::rings::{Fed, Rings};
use crate::shared::Kept;
use crate::subscription::{ENDED, MASK, PAUSED};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::{Delivered, EventRef, Family, Item, Overflow, Publication, Subtypes};

/// In a subscription's word: its queue is no more.
const GONE: u32 = 1 << 25;

pub(crate) struct Hub<F: Family> {
    /// What those queues ask for that would take an event now: whether a snapshot will be needed.
    takers: AtomicU32,
    rings: Mutex<Rings<F>>,
}

/// What is left to do without the lock.
#[must_use]
pub(crate) struct Aftermath<F: Family> {
    waker: Option<Waker>,
    discarded: Vec<EventRef<F>>,
}

impl<F: Family> Aftermath<F> {
    fn none() -> Self {
        Self { waker: None, discarded: Vec::new() }
    }

    /// Wakes the reader, drops what was discarded.
    pub(crate) fn settle(self) {
        drop(self.discarded);
        if let Some(waker) = self.waker {
            waker.wake();
        }
    }
}

impl<F: Family> Hub<F> {
    pub(crate) fn new() -> Self {
        Self { takers: AtomicU32::new(0), rings: Mutex::new(Rings::new()) }
    }

    /// Makes room for a queue, which takes nothing before it is [opened](Self::open).
    pub(crate) fn reserve(&self, overflow: Overflow) -> usize {
        let mut rings = lock(&self.rings);
        let key = rings.free.pop().unwrap_or_else(|| rings.add());
        rings.all[key].set_overflow(overflow);
        rings.spaces[key] = rings.all[key].room;
        key
    }

    pub(crate) fn open(&self, key: usize, subtypes: Subtypes) {
        let mut rings = lock(&self.rings);
        rings.unfinished += 1;
        self.change(&mut rings, key, |reader| reader.ring.open(subtypes, reader.backlog.next()));
    }

    /// Gives a queue's room back; it is empty, and its subscription has ended. `word` is the subscription's state
    /// and is marked, so that nobody comes back to the queue.
    pub(crate) fn release(&self, key: usize, word: &AtomicU32, lost: &AtomicU64) {
        let mut rings = lock(&self.rings);
        word.fetch_or(GONE, Ordering::AcqRel);
        let old = std::mem::replace(&mut rings.all[key], Ring::closed());
        debug_assert_eq!(rings.spaces[key], old.room);
        rings.spaces[key] = 0;
        rings.unfinished -= usize::from(!old.end_told);
        rings.free.push(key);
        lost.store(old.lost_ever, Ordering::Relaxed);
        drop(rings);
        drop(old);
    }

    /// Gives the room of a queue back that was never opened.
    pub(crate) fn forget(&self, key: usize) {
        let mut rings = lock(&self.rings);
        rings.spaces[key] = 0;
        rings.all[key] = Ring::closed();
        rings.free.push(key);
    }

    /// How many readers have not had END yet.
    pub(crate) fn unfinished(&self) -> usize {
        lock(&self.rings).unfinished
    }

    /// Feeds all queues that a publication is for. `last`: it goes to no other list.
    pub(crate) fn offer(
        &self,
        publication: &mut Publication<'_, '_, F>,
        last: bool,
        delivered: &mut Delivered,
    ) {
        let subtype = publication.occurrence.subtype;
        if subtype.bits().is_power_of_two() && may_reach(self.takers.load(Ordering::Acquire), subtype) {
            publication.prepare();
        }
        let mut rings = lock(&self.rings);
        while !publication.is_prepared() && rings.somebody_takes(subtype) {
            drop(rings);
            publication.prepare();
            rings = lock(&self.rings);
        }
        if let Some(queued) = rings.feed_plainly(subtype) {
            rings.keep(publication, queued, last);
            delivered.queued += queued;
            return;
        }
        let mut fed = Fed::new();
        rings.feed(subtype, &mut fed);
        rings.keep(publication, fed.queued, last);
        if fed.throttled {
            self.takers.store(rings.takers.word(), Ordering::Release);
        }
        drop(rings);
        fed.settle(delivered);
    }

    /// Changes a subscription's state, here and in its `word`; false if it has ended.
    pub(crate) fn update(&self, key: usize, word: &AtomicU32, new: impl FnOnce(u32) -> u32) -> bool {
        let mut rings = lock(&self.rings);
        let before = word.load(Ordering::Relaxed);
        if before & ENDED != 0 {
            return false;
        }
        let now = new(before);
        word.store(now, Ordering::Release);
        let resumed = before & !now & PAUSED != 0;
        let waker = self.change(&mut rings, key, |Reader { ring, backlog, .. }| {
            ring.state = now | ring.state & THROTTLED;
            if before & MASK != now & MASK {
                ring.away_since.get_or_insert(backlog.next());
            }
            if resumed && ring.lost > 0 { ring.waker.take() } else { None }
        });
        drop(rings);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Ends a subscription: END is poppable from now on, after what waits. True for the first to do so.
    pub(crate) fn end(&self, key: usize, word: &AtomicU32, discard: bool) -> (bool, Aftermath<F>) {
        let mut rings = lock(&self.rings);
        let before = word.fetch_or(ENDED, Ordering::AcqRel);
        let first = before & ENDED == 0;
        if before & GONE != 0 || !(first || discard) {
            return (first, Aftermath::none());
        }
        let aftermath = self.change(&mut rings, key, |reader| Aftermath {
            discarded: reader.end(discard),
            waker: reader.ring.waker.take(),
        });
        (first, aftermath)
    }

    /// The lost ever, of a queue that is not [gone](GONE).
    pub(crate) fn lost(&self, key: usize, word: &AtomicU32) -> Option<u64> {
        let rings = lock(&self.rings);
        (word.load(Ordering::Relaxed) & GONE == 0).then(|| rings.all[key].lost_ever)
    }

    // What follows is for the queue's reader alone.

    pub(crate) fn pop(&self, key: usize) -> Option<Item<F>> {
        self.change(&mut lock(&self.rings), key, |reader| reader.pop())
    }

    pub(crate) fn pop_batch(&self, key: usize, max: usize, batch: &mut Vec<Item<F>>) {
        let mut rings = lock(&self.rings);
        self.change(&mut rings, key, |reader| reader.pop_into(max, |item| batch.push(item)));
    }

    /// [Leaves](Self::leave) what was looked at before, and looks at what comes next; the events are there until the
    /// run is left.
    pub(crate) fn look(
        &self,
        key: usize,
        max: usize,
        events: &mut Vec<Kept<F>>,
        before: Option<Run>,
        done: &mut Vec<EventRef<F>>,
    ) -> Look<F> {
        let mut rings = lock(&self.rings);
        if let Some(run) = before {
            rings.reader(key).leave(run, done);
        }
        self.change(&mut rings, key, |reader| reader.look(max, events))
    }

    /// Leaves what was looked at, of which the last so many have not been read; answers, in `done`, what nobody waits
    /// for any more.
    pub(crate) fn leave(&self, key: usize, run: Run, unread: u64, done: &mut Vec<EventRef<F>>) {
        let mut rings = lock(&self.rings);
        rings.reader(key).leave(run, done);
        if unread > 0 {
            self.change(&mut rings, key, |reader| reader.lose(unread));
        }
    }

    pub(crate) fn poll_pop(&self, key: usize, cx: &mut Context<'_>) -> Poll<Option<Item<F>>> {
        let mut rings = lock(&self.rings);
        let (item, old) = self.change(&mut rings, key, |reader| {
            let item = reader.pop();
            let ring = &mut *reader.ring;
            let known = ring.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if item.is_some() || ring.end_told || known {
                return (item, None);
            }
            (None, ring.waker.replace(cx.waker().clone()))
        });
        let ended = rings.all[key].end_told;
        drop(rings);
        drop(old);
        match item {
            None if !ended => Poll::Pending,
            item => Poll::Ready(item),
        }
    }

    pub(crate) fn peek(&self, key: usize) -> Option<EventRef<F>> {
        lock(&self.rings).reader(key).peek()
    }

    pub(crate) fn len(&self, key: usize) -> usize {
        lock(&self.rings).reader(key).waiting() as usize
    }

    pub(crate) fn is_throttled(&self, key: usize) -> bool {
        lock(&self.rings).all[key].state & THROTTLED != 0
    }

    /// Changes a queue, and what is known of it elsewhere.
    fn change<R>(&self, rings: &mut Rings<F>, key: usize, change: impl FnOnce(&mut Reader<'_, F>) -> R) -> R {
        let ring = &rings.all[key];
        let (before, told) = (ring.taking(), ring.end_told);
        let answer = change(&mut rings.reader(key));
        rings.refresh(key);
        let ring = &rings.all[key];
        let now = ring.taking();
        rings.unfinished -= usize::from(!told && ring.end_told);
        if before != now {
            before.into_iter().for_each(|subtypes| rings.takers.remove(subtypes));
            now.into_iter().for_each(|subtypes| rings.takers.add(subtypes));
            self.takers.store(rings.takers.word(), Ordering::Release);
        }
        answer
    }
}
