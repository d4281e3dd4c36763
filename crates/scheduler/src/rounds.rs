//! Niced tasks in order of their places: a ring of buckets and a bitmap of those that are not empty.
//!
//! ```text
//!   pass p        p−1024 ◀────────────── places of new tasks ──────────────▶ p+1024
//!   overdue [ … ]  │ bucket │ bucket │ … │ bucket │ … │ bucket │
//! ```
//!
//! A task that is pushed in pass p goes to a place within 1024 of p, so buckets left behind by the passes
//! are older than all that may still come: they are moved to `overdue`, whole and in order, and that is
//! emptied first. Taking and adding so cost the same however many wait, and whatever their nices are.
//! The first place is remembered, so the bitmap is searched once a bucket.
//!
//! INVARIANT: a place in the ring lies within [`SPAN`] of `pass`, so no two share a bucket.
//! INVARIANT: `first` is the first occupied place of the ring, or `u64::MAX`.

use std::collections::VecDeque;

use crate::slot::SlotRef;

/// How far a place may lie from the present pass.
const SPAN: u64 = 1024;
const PLACES: usize = 4096;
const WORDS: usize = PLACES / 64;
/// Buckets of this capacity keep their memory.
const SMALL: usize = 4;
/// So much memory of other empty buckets is kept for the next ones, in vectors.
const SPARE_MAX: usize = 2 * SPAN as usize + 1;

/// The tasks of one place, in order of arrival: those from `next` on.
#[derive(Default)]
struct Bucket {
    slots: Vec<SlotRef>,
    next: usize,
}

/// Made when the first niced task is pushed.
struct Ring {
    buckets: Box<[Bucket; PLACES]>,
    occupied: [u64; WORDS],
    /// Which words of `occupied` are not zero.
    words: u64,
}

pub(crate) struct Rounds {
    ring: Option<Box<Ring>>,
    /// Of buckets that were emptied: the next ones need not grow from nothing.
    spare: Vec<Vec<SlotRef>>,
    overdue: VecDeque<(u64, SlotRef)>,
    pass: u64,
    first: u64,
    /// In the ring.
    count: usize,
}

impl Rounds {
    pub(crate) fn new(pass: u64) -> Self {
        Self { ring: None, spare: Vec::new(), overdue: VecDeque::new(), pass, first: u64::MAX, count: 0 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.count + self.overdue.len()
    }

    /// Begins a pass: all places before it that new tasks cannot reach any more become overdue.
    pub(crate) fn begin(&mut self, pass: u64) {
        let reach = pass.saturating_sub(SPAN);
        while self.first < reach {
            let place = self.first;
            while self.first == place {
                let slot = self.pop_first().expect("the first bucket is not empty");
                self.overdue.push_back((place, slot));
            }
        }
        self.pass = pass;
    }

    #[inline]
    pub(crate) fn push(&mut self, place: u64, slot: SlotRef) {
        if place + SPAN < self.pass {
            // Not reached by tasks woken in a pass; kept for the invariant.
            self.overdue.push_front((place, slot));
            return;
        }
        let ring = self.ring.get_or_insert_with(Ring::new);
        let at = place as usize % PLACES;
        let bucket = &mut ring.buckets[at];
        if bucket.slots.is_empty() {
            ring.occupied[at / 64] |= 1 << (at % 64);
            ring.words |= 1 << (at / 64);
            if bucket.slots.capacity() == 0 {
                bucket.slots = self.spare.pop().unwrap_or_default();
            }
            self.first = self.first.min(place);
        }
        bucket.slots.push(slot);
        self.count += 1;
    }

    /// Takes the first task, if its place comes before `limit`.
    #[inline]
    pub(crate) fn pop_before(&mut self, limit: u64) -> Option<SlotRef> {
        if !self.overdue.is_empty() {
            return self.pop_overdue(limit);
        }
        if self.first < limit { self.pop_first() } else { None }
    }

    #[cold]
    fn pop_overdue(&mut self, limit: u64) -> Option<SlotRef> {
        self.overdue.pop_front_if(|(place, _)| *place < limit).map(|(_, slot)| slot)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRef> + '_ {
        let buckets = self.ring.iter().flat_map(|ring| ring.buckets.iter());
        let rest = buckets.flat_map(|bucket| bucket.slots[bucket.next..].iter().copied());
        self.overdue.iter().map(|(_, slot)| *slot).chain(rest)
    }

    #[inline]
    fn pop_first(&mut self) -> Option<SlotRef> {
        let ring = self.ring.as_mut()?;
        let at = self.first as usize % PLACES;
        let bucket = &mut ring.buckets[at];
        let slot = *bucket.slots.get(bucket.next)?;
        bucket.next += 1;
        self.count -= 1;
        if bucket.next == bucket.slots.len() {
            self.empty(at);
        }
        Some(slot)
    }

    /// The first bucket has been emptied: its memory is kept, and the next one found.
    fn empty(&mut self, at: usize) {
        let Some(ring) = self.ring.as_mut() else { return };
        let bucket = &mut ring.buckets[at];
        bucket.next = 0;
        bucket.slots.clear();
        if bucket.slots.capacity() > SMALL {
            let slots = std::mem::take(&mut bucket.slots);
            if self.spare.len() < SPARE_MAX {
                self.spare.push(slots);
            }
        }
        ring.occupied[at / 64] &= !(1 << (at % 64));
        if ring.occupied[at / 64] == 0 {
            ring.words &= !(1 << (at / 64));
        }
        self.first = ring.next(self.first);
    }
}

impl Ring {
    fn new() -> Box<Self> {
        let buckets: Box<[Bucket]> = (0..PLACES).map(|_| Bucket::default()).collect();
        let buckets = buckets.try_into().ok().expect("as many as collected");
        Box::new(Self { buckets, occupied: [0; WORDS], words: 0 })
    }

    /// The first occupied place from this one on; all lie less than the ring's size ahead of it.
    fn next(&self, place: u64) -> u64 {
        if self.words == 0 {
            return u64::MAX;
        }
        let (word, bit) = ((place as usize % PLACES) / 64, place % 64);
        let found = match self.occupied[word] >> bit << bit {
            0 => {
                let ahead = self.words.rotate_right(word as u32 + 1).trailing_zeros();
                let word = (word + 1 + ahead as usize) % WORDS;
                word * 64 + self.occupied[word].trailing_zeros() as usize
            }
            bits => word * 64 + bits.trailing_zeros() as usize,
        };
        place + (found as u64).wrapping_sub(place) % PLACES as u64
    }
}
