//! The queues of a list, under one lock: a publication takes it once however many queues it feeds.
//!
//! ```text
//!   publish ─▶ bound? ──room──▶ [ e e e e ]  ──pop──▶ Event … Lost(n) … Event … End
//!                 └───full──▶ counted, the count kept at its place among the events
//! ```
//!
//! INVARIANT: End comes last and exactly once; nothing is taken in after the subscription has ended. What wakes,
//! makes or drops an embedder's value does so without the lock (a reader's waker is cloned under it).

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::event::EventRef;
use crate::interest::{Interest, may_reach};
use crate::subscription::{ENDED, MASK, PAUSED};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::{Delivered, Family, Item, Overflow, Publication, Subtypes};

/// Paused by its own bound until its reader has drained it: a flag beside those of a subscription.
const THROTTLED: u32 = 1 << 24;

/// In a subscription's word: its queue is no more.
const GONE: u32 = 1 << 25;

pub(crate) struct Hub<F: Family> {
    /// What those queues ask for that would take an event now: whether a snapshot will be needed.
    takers: AtomicU32,
    rings: Mutex<Rings<F>>,
}

struct Rings<F: Family> {
    all: Vec<Ring<F>>,
    free: Vec<usize>,
    takers: Interest,
    /// Those whose reader has not had END yet.
    unfinished: usize,
}

/// A subscription's queue.
struct Ring<F: Family> {
    /// Low 16 bits: the subtypes. Above: flags.
    state: u32,
    overflow: Overflow,
    entries: VecDeque<Entry<F>>,
    /// Events lost after the last entry.
    lost: u64,
    lost_ever: u64,
    end_told: bool,
    waker: Option<Waker>,
}

struct Entry<F: Family> {
    /// Events lost just before this one.
    lost: u64,
    event: EventRef<F>,
}

/// What is left to do without the lock.
#[must_use]
pub(crate) struct Aftermath<F: Family> {
    waker: Option<Waker>,
    discarded: VecDeque<Entry<F>>,
}

impl<F: Family> Aftermath<F> {
    fn none() -> Self {
        Self { waker: None, discarded: VecDeque::new() }
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
        let rings = Rings { all: Vec::new(), free: Vec::new(), takers: Interest::default(), unfinished: 0 };
        Self { takers: AtomicU32::new(0), rings: Mutex::new(rings) }
    }

    /// Makes room for a queue, which takes nothing before it is [opened](Self::open).
    pub(crate) fn reserve(&self, overflow: Overflow) -> usize {
        let mut rings = lock(&self.rings);
        let key = rings.free.pop().unwrap_or(rings.all.len());
        if key == rings.all.len() {
            rings.all.push(Ring::closed());
        }
        rings.all[key].overflow = overflow;
        key
    }

    pub(crate) fn open(&self, key: usize, subtypes: Subtypes) {
        let mut rings = lock(&self.rings);
        rings.all[key].end_told = false;
        rings.unfinished += 1;
        self.change(&mut rings, key, |ring| ring.state = u32::from(subtypes.bits()));
    }

    /// Gives a queue's room back, and what was in it. Its subscription has ended, or was never made. `word` is
    /// the subscription's state and is marked, so that nobody comes back to the queue.
    pub(crate) fn release(&self, key: usize, word: &AtomicU32, lost: &AtomicU64) {
        let mut rings = lock(&self.rings);
        word.fetch_or(GONE, Ordering::AcqRel);
        let old = std::mem::replace(&mut rings.all[key], Ring::closed());
        rings.unfinished -= usize::from(!old.end_told);
        rings.free.push(key);
        lost.store(old.lost_ever, Ordering::Relaxed);
        drop(rings);
        drop(old);
    }

    /// Gives the room of a queue back that was never opened.
    pub(crate) fn forget(&self, key: usize) {
        lock(&self.rings).free.push(key);
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
        let mut fed = Fed { wakers: Vec::new(), displaced: Vec::new(), throttled: false };
        rings.feed(publication, last, delivered, &mut fed);
        if fed.throttled {
            self.takers.store(rings.takers.word(), Ordering::Release);
        }
        drop(rings);
        drop(fed.displaced);
        fed.wakers.into_iter().for_each(Waker::wake);
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
        let waker = self.change(&mut rings, key, |ring| {
            ring.state = now | ring.state & THROTTLED;
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
        let aftermath = self.change(&mut rings, key, |ring| ring.end(discard));
        (first, aftermath)
    }

    /// The lost ever, of a queue that is not [gone](GONE).
    pub(crate) fn lost(&self, key: usize, word: &AtomicU32) -> Option<u64> {
        let rings = lock(&self.rings);
        (word.load(Ordering::Relaxed) & GONE == 0).then(|| rings.all[key].lost_ever)
    }

    // What follows is for the queue's reader alone.

    pub(crate) fn pop(&self, key: usize) -> Option<Item<F>> {
        self.change(&mut lock(&self.rings), key, Ring::pop)
    }

    pub(crate) fn pop_batch(&self, key: usize, max: usize, batch: &mut Vec<Item<F>>) {
        let mut rings = lock(&self.rings);
        self.change(&mut rings, key, |ring| batch.extend(std::iter::from_fn(|| ring.pop()).take(max)));
    }

    pub(crate) fn poll_pop(&self, key: usize, cx: &mut Context<'_>) -> Poll<Option<Item<F>>> {
        let mut rings = lock(&self.rings);
        if let Some(item) = self.change(&mut rings, key, Ring::pop) {
            return Poll::Ready(Some(item));
        }
        let ring = &mut rings.all[key];
        if ring.end_told {
            return Poll::Ready(None);
        }
        let known = ring.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let old = if known { None } else { ring.waker.replace(cx.waker().clone()) };
        drop(rings);
        drop(old);
        Poll::Pending
    }

    pub(crate) fn peek(&self, key: usize) -> Option<EventRef<F>> {
        lock(&self.rings).all[key].entries.front().map(|entry| entry.event.clone())
    }

    pub(crate) fn len(&self, key: usize) -> usize {
        lock(&self.rings).all[key].entries.len()
    }

    pub(crate) fn is_throttled(&self, key: usize) -> bool {
        lock(&self.rings).all[key].state & THROTTLED != 0
    }

    /// Changes a ring, and the count of takers with it.
    fn change<R>(&self, rings: &mut Rings<F>, key: usize, change: impl FnOnce(&mut Ring<F>) -> R) -> R {
        let ring = &mut rings.all[key];
        let (before, told) = (ring.taking(), ring.end_told);
        let answer = change(ring);
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

/// What a publication leaves to do without the lock.
struct Fed<F: Family> {
    wakers: Vec<Waker>,
    displaced: Vec<EventRef<F>>,
    /// A queue has been paused by its bound.
    throttled: bool,
}

impl<F: Family> Rings<F> {
    fn somebody_takes(&self, subtype: Subtypes) -> bool {
        let exactly = || self.all.iter().any(|ring| ring.taking().is_some_and(|all| all.contains(subtype)));
        may_reach(self.takers.word(), subtype) && exactly()
    }

    fn feed(
        &mut self,
        publication: &mut Publication<'_, '_, F>,
        last: bool,
        delivered: &mut Delivered,
        fed: &mut Fed<F>,
    ) {
        let bits = u32::from(publication.occurrence.subtype.bits());
        // How many will ask for the event: the last one gets the publication's own reference.
        let mut asking = if last { self.takers.exactly(publication.occurrence.subtype) } else { None };
        for ring in &mut self.all {
            if ring.state & (bits | ENDED) != bits {
                continue;
            }
            if ring.state & (PAUSED | THROTTLED) != 0 {
                ring.miss();
                delivered.lost += 1;
                continue;
            }
            asking = asking.map(|count| count - 1);
            if ring.make_room(fed) {
                let event = if asking == Some(0) { publication.take() } else { publication.queued() };
                ring.push(event);
                fed.wakers.extend(ring.waker.take());
                delivered.queued += 1;
            } else {
                ring.miss();
                delivered.lost += 1;
            }
            if ring.state & THROTTLED != 0 {
                self.takers.remove(ring.subtypes());
                fed.throttled = true;
            }
        }
    }
}

impl<F: Family> Ring<F> {
    fn closed() -> Self {
        Self {
            state: ENDED,
            overflow: Overflow::Unbounded,
            entries: VecDeque::new(),
            lost: 0,
            lost_ever: 0,
            end_told: true,
            waker: None,
        }
    }

    fn subtypes(&self) -> Subtypes {
        Subtypes::from_bits((self.state & MASK) as u16)
    }

    /// What it would take now, bounds that only lose single events apart.
    fn taking(&self) -> Option<Subtypes> {
        (self.state & (ENDED | PAUSED | THROTTLED) == 0).then(|| self.subtypes())
    }

    fn miss(&mut self) {
        self.lost += 1;
        self.lost_ever += 1;
    }

    /// Holds the bound; false if the new event is what is lost.
    fn make_room(&mut self, fed: &mut Fed<F>) -> bool {
        let waiting = self.entries.len();
        match self.overflow {
            Overflow::Pause { above } if waiting >= above => {
                self.state |= THROTTLED;
                false
            }
            Overflow::DropNewest { max } => waiting < max,
            Overflow::DropOldest { max } if waiting >= max => self.displace(fed),
            _ => true,
        }
    }

    fn displace(&mut self, fed: &mut Fed<F>) -> bool {
        let Some(oldest) = self.entries.pop_front() else { return false };
        let lost = oldest.lost + 1;
        match self.entries.front_mut() {
            Some(next) => next.lost += lost,
            None => self.lost += lost,
        }
        self.lost_ever += 1;
        fed.displaced.push(oldest.event);
        true
    }

    fn push(&mut self, event: EventRef<F>) {
        let lost = std::mem::take(&mut self.lost);
        self.entries.push_back(Entry { lost, event });
    }

    fn pop(&mut self) -> Option<Item<F>> {
        if let Some(first) = self.entries.front_mut() {
            if first.lost > 0 {
                return Some(Item::Lost(std::mem::take(&mut first.lost)));
            }
            return self.entries.pop_front().map(|entry| Item::Event(entry.event));
        }
        // Drained: a queue that its bound had paused goes on from here.
        self.state &= !THROTTLED;
        let ended = self.state & ENDED != 0;
        if self.lost > 0 && (self.state & PAUSED == 0 || ended) {
            return Some(Item::Lost(std::mem::take(&mut self.lost)));
        }
        (ended && !std::mem::replace(&mut self.end_told, true)).then_some(Item::End)
    }

    /// Ends it. Nothing more comes in.
    fn end(&mut self, discard: bool) -> Aftermath<F> {
        self.state |= ENDED;
        let mut discarded = VecDeque::new();
        if discard {
            discarded = std::mem::take(&mut self.entries);
            self.lost += discarded.iter().map(|entry| entry.lost + 1).sum::<u64>();
            self.lost_ever += discarded.len() as u64;
        }
        Aftermath { waker: self.waker.take(), discarded }
    }
}
