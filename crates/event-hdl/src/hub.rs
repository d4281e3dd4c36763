//! The queues of a list, under one lock: a publication takes it once however many queues it feeds.
//!
//! ```text
//!   publish ─▶ bound? ──room──▶ [ e e e e ]  ──pop──▶ Event … Lost(n) … Event … End
//!                 └───full──▶ counted, the count kept at its place among the events
//! ```
//!
//! What a publication asks of each queue stands in two arrays, a word and the space left, so that it goes through
//! many queues in a few steps; only a queue that is paused, full, waited for or just changed is looked at itself. The
//! event is kept [once](Backlog) for all.
//!
//! INVARIANT: End comes last and exactly once; nothing is taken in after the subscription has ended. What wakes,
//! makes or drops an embedder's value does so without the lock (a reader's waker is cloned under it).

use std::task::{Context, Poll, Waker};

use crate::backlog::Backlog;
use crate::interest::{Interest, may_reach};
use crate::log::warn;
use crate::ring::{Look, Reader, Ring, Run, THROTTLED};
use crate::shared::Kept;
use crate::subscription::{ENDED, MASK, PAUSED};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::{Delivered, EventRef, Family, Item, Overflow, Publication, Subtypes};

/// In a queue's word, above the 16 bits of the subtypes: it is open.
const OPEN: u32 = 1 << 16;
/// The queue itself must be looked at.
const SPECIAL: u32 = 1 << 17;

/// In a subscription's word: its queue is no more.
const GONE: u32 = 1 << 25;

pub(crate) struct Hub<F: Family> {
    /// What those queues ask for that would take an event now: whether a snapshot will be needed.
    takers: AtomicU32,
    rings: Mutex<Rings<F>>,
}

struct Rings<F: Family> {
    /// By key, as are the next two.
    all: Vec<Ring>,
    words: Vec<u32>,
    /// How many events each queue would still take.
    spaces: Vec<u32>,
    free: Vec<usize>,
    backlog: Backlog<F>,
    takers: Interest,
    /// Those whose reader has not had END yet.
    unfinished: usize,
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
        let key = rings.free.pop().unwrap_or(rings.all.len());
        if key == rings.all.len() {
            rings.all.push(Ring::closed());
            rings.words.push(0);
            rings.spaces.push(0);
        }
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
        let mut fed = Fed { wakers: Vec::new(), displaced: Vec::new(), queued: 0, lost: 0, throttled: false };
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

/// What a publication leaves to do without the lock.
struct Fed<F: Family> {
    wakers: Vec<Waker>,
    displaced: Vec<EventRef<F>>,
    queued: u32,
    lost: u32,
    /// A queue has been paused by its bound.
    throttled: bool,
}

impl<F: Family> Fed<F> {
    fn settle(self, delivered: &mut Delivered) {
        if self.throttled {
            warn!(family = F::NAME, "a queue is paused: its reader is too slow");
        }
        delivered.queued += self.queued;
        delivered.lost += self.lost;
        drop(self.displaced);
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

impl<F: Family> Rings<F> {
    fn new() -> Self {
        Self {
            all: Vec::new(),
            words: Vec::new(),
            spaces: Vec::new(),
            free: Vec::new(),
            backlog: Backlog::new(),
            takers: Interest::default(),
            unfinished: 0,
        }
    }

    #[inline]
    fn reader(&mut self, key: usize) -> Reader<'_, F> {
        Reader { ring: &mut self.all[key], space: &mut self.spaces[key], backlog: &mut self.backlog }
    }

    /// Makes a queue's word right again.
    fn refresh(&mut self, key: usize) {
        let ring = &self.all[key];
        let special =
            ring.state & (PAUSED | THROTTLED) != 0 || ring.waker.is_some() || ring.away_since.is_some();
        let open = if special { OPEN | SPECIAL } else { OPEN };
        self.words[key] = if ring.state & ENDED == 0 { ring.state & MASK | open } else { 0 };
    }

    fn somebody_takes(&self, subtype: Subtypes) -> bool {
        let exactly = || self.all.iter().any(|ring| ring.taking().is_some_and(|all| all.contains(subtype)));
        may_reach(self.takers.word(), subtype) && exactly()
    }

    /// Feeds the queues, if none of them needs more than that; answers how many.
    fn feed_plainly(&mut self, subtype: Subtypes) -> Option<u32> {
        let plain = OPEN | u32::from(subtype.bits());
        let special = plain | SPECIAL;
        let (mut queued, mut trouble) = (0, 0);
        for (word, space) in self.words.iter().zip(&mut self.spaces) {
            let hit = u32::from(word & special == plain);
            trouble |= u32::from(word & special == special) | (hit & u32::from(*space == 0));
            *space = space.wrapping_sub(hit);
            queued += hit;
        }
        if trouble == 0 {
            return Some(queued);
        }
        for (word, space) in self.words.iter().zip(&mut self.spaces) {
            *space = space.wrapping_add(u32::from(word & special == plain));
        }
        None
    }

    /// Feeds the queues one by one.
    #[cold]
    fn feed(&mut self, subtype: Subtypes, fed: &mut Fed<F>) {
        let (plain, next) = (OPEN | u32::from(subtype.bits()), self.backlog.next());
        for key in 0..self.words.len() {
            if self.words[key] & plain != plain {
                continue;
            }
            let mut reader = self.reader(key);
            let open = reader.ring.state & (PAUSED | THROTTLED) == 0;
            if open && (*reader.space > 0 || reader.make_room(&mut fed.displaced)) {
                reader.take();
                fed.wakers.extend(reader.ring.waker.take());
                fed.queued += 1;
            } else {
                reader.ring.miss(next);
                fed.lost += 1;
                if open && reader.ring.state & THROTTLED != 0 {
                    let subtypes = reader.ring.subtypes();
                    self.takers.remove(subtypes);
                    fed.throttled = true;
                }
            }
            self.refresh(key);
        }
        self.backlog.clear();
    }

    /// Keeps the event for so many queues.
    fn keep(&mut self, publication: &mut Publication<'_, '_, F>, queued: u32, last: bool) {
        if queued > 0 {
            let event = publication.keep(queued, last).expect("invariant: prepared if any queue takes it");
            self.backlog.push(publication.occurrence.subtype, event, queued);
        }
    }
}
