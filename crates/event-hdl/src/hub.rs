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

use crate::interest::{Interest, may_reach};
use crate::log::warn;
use crate::subscription::{ENDED, MASK, PAUSED};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::{Delivered, EventRef, Family, Item, Overflow, Publication, Subtypes};

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
    end_told: bool,
    /// Events that fit.
    room: usize,
    events: VecDeque<EventRef<F>>,
    waker: Option<Waker>,
    overflow: Overflow,
    /// What was lost among the events that wait: before which of them, counted from the first event ever, how many.
    gaps: VecDeque<(u64, u64)>,
    /// How many events have been taken out.
    taken: u64,
    /// Events lost after the last that waits.
    lost: u64,
    lost_ever: u64,
}

/// What is left to do without the lock.
#[must_use]
pub(crate) struct Aftermath<F: Family> {
    waker: Option<Waker>,
    discarded: VecDeque<EventRef<F>>,
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
        rings.all[key].set_overflow(overflow);
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
        if fed.throttled {
            warn!(family = F::NAME, "a queue is paused: its reader is too slow");
        }
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
        self.change(&mut rings, key, |ring| ring.pop_batch(max, batch));
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
        lock(&self.rings).all[key].events.front().cloned()
    }

    pub(crate) fn len(&self, key: usize) -> usize {
        lock(&self.rings).all[key].events.len()
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
        let (mut queued, mut lost) = (0, 0);
        let mut sharing = publication.share();
        for ring in &mut self.all {
            if ring.state & (bits | ENDED) != bits {
                continue;
            }
            let open = ring.state & (PAUSED | THROTTLED) == 0;
            if open && (ring.events.len() < ring.room || ring.make_room(fed)) {
                ring.push(sharing.give().expect("invariant: prepared if any queue takes it"));
                if ring.waker.is_some() {
                    fed.wakers.extend(ring.waker.take());
                }
                queued += 1;
                continue;
            }
            ring.miss();
            lost += 1;
            if open && ring.state & THROTTLED != 0 {
                self.takers.remove(ring.subtypes());
                fed.throttled = true;
            }
        }
        sharing.end(last);
        delivered.queued += queued;
        delivered.lost += lost;
    }
}

impl<F: Family> Ring<F> {
    fn closed() -> Self {
        Self {
            state: ENDED,
            end_told: true,
            room: 0,
            events: VecDeque::new(),
            waker: None,
            overflow: Overflow::Unbounded,
            gaps: VecDeque::new(),
            taken: 0,
            lost: 0,
            lost_ever: 0,
        }
    }

    fn set_overflow(&mut self, overflow: Overflow) {
        self.overflow = overflow;
        self.room = match overflow {
            Overflow::Pause { above } => above,
            Overflow::DropNewest { max } | Overflow::DropOldest { max } => max,
            Overflow::Unbounded => usize::MAX,
        };
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

    /// What the policy does when the queue is full; false if the new event is what is lost.
    #[cold]
    fn make_room(&mut self, fed: &mut Fed<F>) -> bool {
        match self.overflow {
            Overflow::Pause { .. } => {
                self.state |= THROTTLED;
                false
            }
            Overflow::DropOldest { .. } => self.displace(fed),
            Overflow::DropNewest { .. } | Overflow::Unbounded => false,
        }
    }

    fn displace(&mut self, fed: &mut Fed<F>) -> bool {
        let lost = self.gap() + 1;
        let Some(oldest) = self.events.pop_front() else { return false };
        self.taken += 1;
        self.lost_ever += 1;
        fed.displaced.push(oldest);
        match self.gaps.front_mut() {
            Some((before, more)) if *before == self.taken => *more += lost,
            _ if self.events.is_empty() => self.lost += lost,
            _ => self.gaps.push_front((self.taken, lost)),
        }
        true
    }

    /// Takes out what was lost just before the first event.
    fn gap(&mut self) -> u64 {
        let first = self.taken;
        self.gaps.pop_front_if(|(before, _)| *before == first).map_or(0, |(_, lost)| lost)
    }

    #[inline]
    fn push(&mut self, event: EventRef<F>) {
        if self.lost > 0 {
            let before = self.taken + self.events.len() as u64;
            self.gaps.push_back((before, std::mem::take(&mut self.lost)));
        }
        self.events.push_back(event);
    }

    #[inline]
    fn pop(&mut self) -> Option<Item<F>> {
        if !self.gaps.is_empty() {
            let lost = self.gap();
            if lost > 0 {
                return Some(Item::Lost(lost));
            }
        }
        if let Some(event) = self.events.pop_front() {
            self.taken += 1;
            return Some(Item::Event(event));
        }
        self.pop_after_events()
    }

    fn pop_batch(&mut self, max: usize, batch: &mut Vec<Item<F>>) {
        let mut left = max;
        while left > 0 {
            // Without gaps, all that waits is one run of events.
            let run = if self.gaps.is_empty() { left.min(self.events.len()) } else { 0 };
            batch.extend(self.events.drain(..run).map(Item::Event));
            self.taken += run as u64;
            left -= run;
            if run == 0 {
                let Some(item) = self.pop() else { return };
                batch.push(item);
                left -= 1;
            }
        }
    }

    /// Drained: a queue that its bound had paused goes on from here.
    fn pop_after_events(&mut self) -> Option<Item<F>> {
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
            discarded = std::mem::take(&mut self.events);
            self.taken += discarded.len() as u64;
            self.lost += discarded.len() as u64 + self.gaps.drain(..).map(|(_, lost)| lost).sum::<u64>();
            self.lost_ever += discarded.len() as u64;
        }
        Aftermath { waker: self.waker.take(), discarded }
    }
}
