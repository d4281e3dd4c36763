//! The queues of a list, as a publication goes through them.
//!
//! What it asks of each queue stands in two arrays, a word and the space left, so that it goes through many queues in
//! a few steps; only a queue that is paused, full, waited for or just changed is looked at itself. The event is kept
//! [once](Backlog) for all.
//!
//! INVARIANT: a queue's word is that of its ring, between two holders of the hub's lock.

use std::task::Waker;

use crate::backlog::Backlog;
use crate::interest::{Interest, may_reach};
use crate::log::warn;
use crate::ring::{Reader, Ring, THROTTLED};
use crate::subscription::{ENDED, MASK, PAUSED};
use crate::{Delivered, EventRef, Family, Publication, Subtypes};

/// In a queue's word, above the 16 bits of the subtypes: it is open.
const OPEN: u32 = 1 << 16;
/// The queue itself must be looked at.
const SPECIAL: u32 = 1 << 17;

pub(crate) struct Rings<F: Family> {
    /// By key, as are the next two.
    pub(crate) all: Vec<Ring>,
    words: Vec<u32>,
    /// How many events each queue would still take.
    pub(crate) spaces: Vec<u32>,
    pub(crate) free: Vec<usize>,
    backlog: Backlog<F>,
    pub(crate) takers: Interest,
    /// Those whose reader has not had END yet.
    pub(crate) unfinished: usize,
}

/// What a publication leaves to do without the lock.
pub(crate) struct Fed<F: Family> {
    wakers: Vec<Waker>,
    displaced: Vec<EventRef<F>>,
    pub(crate) queued: u32,
    lost: u32,
    /// A queue has been paused by its bound.
    pub(crate) throttled: bool,
}

impl<F: Family> Fed<F> {
    pub(crate) fn new() -> Self {
        Self { wakers: Vec::new(), displaced: Vec::new(), queued: 0, lost: 0, throttled: false }
    }

    pub(crate) fn settle(self, delivered: &mut Delivered) {
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
    pub(crate) fn new() -> Self {
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

    /// Makes room for one more queue.
    pub(crate) fn add(&mut self) -> usize {
        self.all.push(Ring::closed());
        self.words.push(0);
        self.spaces.push(0);
        self.all.len() - 1
    }

    #[inline]
    pub(crate) fn reader(&mut self, key: usize) -> Reader<'_, F> {
        Reader { ring: &mut self.all[key], space: &mut self.spaces[key], backlog: &mut self.backlog }
    }

    /// Makes a queue's word right again.
    pub(crate) fn refresh(&mut self, key: usize) {
        let ring = &self.all[key];
        let special =
            ring.state & (PAUSED | THROTTLED) != 0 || ring.waker.is_some() || ring.away_since.is_some();
        let open = if special { OPEN | SPECIAL } else { OPEN };
        self.words[key] = if ring.state & ENDED == 0 { ring.state & MASK | open } else { 0 };
    }

    pub(crate) fn somebody_takes(&self, subtype: Subtypes) -> bool {
        let exactly = || self.all.iter().any(|ring| ring.taking().is_some_and(|all| all.contains(subtype)));
        may_reach(self.takers.word(), subtype) && exactly()
    }

    /// Feeds the queues, if none of them needs more than that; answers how many.
    pub(crate) fn feed_plainly(&mut self, subtype: Subtypes) -> Option<u32> {
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
    pub(crate) fn feed(&mut self, subtype: Subtypes, fed: &mut Fed<F>) {
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
    pub(crate) fn keep(&mut self, publication: &mut Publication<'_, '_, F>, queued: u32, last: bool) {
        if queued > 0 {
            let event = publication.keep(queued, last).expect("invariant: prepared if any queue takes it");
            self.backlog.push(publication.occurrence.subtype, event, queued);
        }
    }
}
