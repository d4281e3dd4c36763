//! Which thread is publishing to which list.
//!
//! ```text
//!   publisher                                 who unlinks
//!   1. announces the list in its own place    1. takes the pointer out of the list
//!   2. reads pointers out of the list         2. reads all places
//!   3. calls, then clears the place           3. frees once those who held the list have left
//! ```
//!
//! Of two such threads at least one sees the other: each writes before it reads, and all four operations are
//! sequentially consistent. A publisher pays one such store and no other; a place belongs to one thread, so
//! publishers on several threads share no cache line.
//!
//! A place is one word: the list's number above, below a count that changes with every announcement, so that
//! whoever waits for a publication does not wait for the next one too. A thread uses its places in order, the next
//! one for a publication inside another.
//!
//! INVARIANT: a place is written by the thread that has taken its record, and by no other; while one is in use, so
//! are those before it.

mod records;

use std::marker::PhantomData;

use self::records::{Local, first_use, leave, local, records};
use crate::sync::{AtomicU64, Ordering, give_way, model_fence};

/// Publications inside publications that have a place of their own. Those deeper inside count as
/// publications to every list.
const NESTED: usize = 8;

/// The list number that stands for all.
const EVERY: u64 = u32::MAX as u64;

/// A number for a new list. After four thousand million lists they repeat; two lists of one number wait for each
/// other's publications, no more.
pub(crate) fn new_list_number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % (u32::MAX - 1) + 1
}

/// Whether the calling thread is inside a publication to any list.
pub(crate) fn inside_a_handler() -> bool {
    local(|local| {
        let places = local.record.get().map_or(0, |record| record.places.len());
        local.free.get().len() < places
    })
}

/// A number of the calling thread that no other living thread has; never 0.
pub(crate) fn thread_mark() -> usize {
    local(|local| std::ptr::from_ref(local) as usize)
}

/// While it lives, this thread is publishing to a list.
pub(crate) struct Pin {
    /// The places that were free before, its own first; none if it has no place of its own, or if the thread had none.
    before: &'static [AtomicU64],
    /// Its place belongs to this thread.
    here: PhantomData<*const ()>,
}

impl Pin {
    #[inline]
    pub(crate) fn enter(list: u32) -> Self {
        local(|local| {
            let before = local.free.get();
            match before.split_first() {
                Some((place, rest)) => {
                    local.free.set(rest);
                    announce(place, u64::from(list));
                }
                None => enter_without_a_place(local, list),
            }
            Self { before, here: PhantomData }
        })
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        local(|local| match self.before.first() {
            Some(place) => {
                retract(place);
                local.free.set(self.before);
            }
            None => leave_without_a_place(local),
        });
    }
}

#[inline]
fn announce(place: &AtomicU64, list: u64) {
    let era = (place.load(Ordering::Relaxed) as u32).wrapping_add(1);
    place.store(list << 32 | u64::from(era), Ordering::SeqCst);
    model_fence();
}

#[inline]
fn retract(place: &AtomicU64) {
    let era = place.load(Ordering::Relaxed) as u32;
    place.store(u64::from(era), Ordering::Release);
}

/// The thread's first publication, or one too deep inside others: the first of those makes the last place say that
/// this thread publishes to every list.
#[cold]
#[inline(never)]
fn enter_without_a_place(local: &Local, list: u32) {
    let Some(record) = local.record.get() else {
        let (place, rest) = first_use(local).places.split_first().expect("invariant: there are places");
        local.free.set(rest);
        return announce(place, u64::from(list));
    };
    let deep = local.deep.get();
    if deep == 0 {
        let place = record.places.last().expect("invariant: there are places");
        local.covered.set(place.load(Ordering::Relaxed));
        announce(place, EVERY);
    }
    local.deep.set(deep + 1);
}

#[cold]
#[inline(never)]
fn leave_without_a_place(local: &Local) {
    let record = local.record.get().expect("invariant: taken when the publication began");
    match local.deep.get() {
        0 => {
            retract(&record.places[0]);
            leave(local, record);
        }
        1 => {
            let place = record.places.last().expect("invariant: there are places");
            place.store(local.covered.get(), Ordering::Release);
            local.deep.set(0);
        }
        deep => local.deep.set(deep - 1),
    }
}

/// A publication that was going on when somebody looked.
pub(crate) struct Holder {
    place: &'static AtomicU64,
    word: u64,
}

impl Holder {
    /// Whether it is over.
    pub(crate) fn has_left(&self) -> bool {
        let now = self.place.load(Ordering::SeqCst);
        now != self.word && now >> 32 != EVERY
    }

    /// Waits until it is over.
    pub(crate) fn wait(&self) {
        let mut round = 0;
        while !self.has_left() {
            give_way(round);
            round = round.saturating_add(1);
        }
    }
}

/// The publications to a list going on now. Whoever starts later finds nothing that was unlinked before.
pub(crate) fn holders(list: u32) -> Vec<Holder> {
    model_fence();
    let mut holders = Vec::new();
    for record in records() {
        for place in &record.places {
            let word = place.load(Ordering::SeqCst);
            match word >> 32 {
                // Those behind it are not in use: whoever takes them now takes this one first.
                0 => break,
                by if by == u64::from(list) || by == EVERY => holders.push(Holder { place, word }),
                _ => {}
            }
        }
    }
    holders
}
