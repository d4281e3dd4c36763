//! The sync handlers of a list, in order: a [`Table`] at a time, and what has left it.
//!
//! A table grows at its end; who leaves, leaves a hole. It is made anew when it is full or mostly holes, so coming
//! and going cost the same in a list of any length. A publisher walks the table that it found, as long as it was when
//! it started.
//!
//! What leaves is freed once no publication that started before can still see it: at once if there is none, by
//! whoever waits for them, or, left by a handler from inside a publication, by whoever comes by later: the
//! publication itself when it is over, at the latest the next one to change the list.
//!
//! INVARIANT: a table, and what its slots point to, outlives every [`Pin`] that was there when it was
//! unlinked. All changes are made under the list's registry lock, which a `&mut Book` stands for.

#![expect(
    unsafe_code,
    reason = "a lock or a counted reference a publication costs more than the publication"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use crate::pins::{Holder, Pin, holders};
use crate::subscription::Outcome;
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::table::{OwnedTable, Slot, Table, Turn, Wanted};
use crate::{Delivered, Event, Family, Occurrence, Subscription};

/// Among the chores: something that has left may be free by now.
const LITTER: u32 = 1;
/// Among the chores: a slot's word is not right.
const WORDS: u32 = 2;

pub(crate) struct Handlers<F: Family> {
    /// The list's number.
    list: u32,
    /// What whoever comes by should [tidy up](Self::tidy).
    chores: AtomicU32,
    table: AtomicPtr<Table<F>>,
}

/// What only those who change the list need.
pub(crate) struct Book<F: Family> {
    live: usize,
    litter: Vec<Left<F>>,
}

/// Something unlinked, and the publications that may still see it. Drop it without our locks, once it
/// [is free](Self::is_free).
pub(crate) struct Left<F: Family> {
    holders: Vec<Holder>,
    what: What<F>,
}

#[expect(dead_code, reason = "kept to be dropped")]
enum What<F: Family> {
    Nothing,
    Subscription(Subscription<F>),
    All(OwnedTable<F>, Vec<Option<Subscription<F>>>),
}

impl<F: Family> Left<F> {
    /// A subscription, of which this is the registry's reference.
    pub(crate) fn new(held: Option<Subscription<F>>, holders: Vec<Holder>) -> Self {
        Self { holders, what: held.map_or(What::Nothing, What::Subscription) }
    }

    pub(crate) fn is_free(&self) -> bool {
        self.holders.iter().all(Holder::has_left)
    }

    /// Waits until nobody sees it.
    pub(crate) fn wait(&self) {
        self.holders.iter().for_each(Holder::wait);
    }

    /// Keeps all the registry's references, too.
    pub(crate) fn with_all(mut self, subscriptions: Vec<Option<Subscription<F>>>) -> Self {
        if let What::All(_, all) = &mut self.what {
            *all = subscriptions;
        }
        self
    }
}

impl<F: Family> Book<F> {
    pub(crate) fn new() -> Self {
        Self { live: 0, litter: Vec::new() }
    }
}

impl<F: Family> Handlers<F> {
    pub(crate) fn new(list: u32) -> Self {
        let table = AtomicPtr::new(Table::with_room_for(0).into_raw());
        Self { list, chores: AtomicU32::new(0), table }
    }

    /// Calls the handlers in order. If one panics, the others are called all the same.
    #[inline]
    pub(crate) fn call(&self, occurrence: &Occurrence<'_, '_, F>) -> Delivered {
        let pin = Pin::enter(self.list);
        let slots = self.seen_by(&pin).slots();
        let wanted = Wanted::new(occurrence.subtype);
        Walk { handlers: self, pin: &pin, occurrence, wanted, slots: slots.iter() }.through(slots.len())
    }

    /// Asks a subscription that is not simply to be called.
    #[cold]
    #[inline(never)]
    fn ask(&self, slot: &Slot<F>, pin: &Pin, occurrence: &Occurrence<'_, '_, F>) -> Outcome {
        let Some(subscription) = slot.held(pin) else { return Outcome::None };
        let (outcome, changed) = subscription.call(occurrence);
        if changed {
            self.chores.fetch_or(WORDS, Ordering::AcqRel);
        }
        outcome
    }

    /// Whether there is something to [tidy up](Self::tidy).
    #[inline]
    pub(crate) fn has_chores(&self) -> bool {
        self.chores.load(Ordering::Relaxed) != 0
    }

    /// Adds a subscription at the end. The registry holds it until it is [unlinked](Self::unlink).
    pub(crate) fn push(&self, book: &mut Book<F>, subscription: &Subscription<F>) {
        if self.current(book).is_full() {
            self.rebuild(book);
        }
        self.current(book).push(subscription);
        book.live += 1;
    }

    /// Takes a subscription out, if it is in; answers the publications that may still see it. If somebody else took it
    /// out, their publications are still to be waited for.
    pub(crate) fn unlink(&self, book: &mut Book<F>, subscription: &Subscription<F>) -> Vec<Holder> {
        let table = self.current(book);
        let taken = table.take(subscription);
        let holders = holders(self.list);
        if taken {
            book.live -= 1;
            if holders.is_empty() {
                table.trim();
            }
            if table.is_mostly_holes(book.live) {
                self.rebuild(book);
            }
        }
        holders
    }

    /// Takes all out.
    pub(crate) fn clear(&self, book: &mut Book<F>) -> Left<F> {
        book.live = 0;
        self.exchange(book, Table::with_room_for(0))
    }

    /// A subscription in the table has changed.
    pub(crate) fn refresh(&self, book: &Book<F>, subscription: &Subscription<F>) {
        self.current(book).refresh(subscription);
    }

    /// Keeps what may still be seen, to be tidied up later.
    pub(crate) fn leave(&self, book: &mut Book<F>, left: Left<F>) {
        if !matches!(left.what, What::Nothing) {
            book.litter.push(left);
            self.chores.fetch_or(LITTER, Ordering::AcqRel);
        }
    }

    /// Does the chores; answers what nobody sees any more, to be dropped without our locks.
    pub(crate) fn tidy(&self, book: &mut Book<F>) -> Vec<Left<F>> {
        if self.chores.swap(0, Ordering::AcqRel) & WORDS != 0 {
            self.current(book).tidy();
        }
        let swept = book.litter.extract_if(.., |left| left.is_free()).collect();
        if !book.litter.is_empty() {
            self.chores.fetch_or(LITTER, Ordering::AcqRel);
        }
        swept
    }

    /// Makes the table anew, without holes and with as much room again.
    fn rebuild(&self, book: &mut Book<F>) {
        let new = Table::with_room_for(book.live * 2);
        self.current(book).held().for_each(|subscription| new.push(subscription));
        let old = self.exchange(book, new);
        // Even if nobody sees it: it is freed without our lock.
        self.leave(book, old);
    }

    fn exchange(&self, _book: &mut Book<F>, new: OwnedTable<F>) -> Left<F> {
        // SAFETY: what is in `table` came from `into_raw`, and the swap takes it out.
        let old = unsafe { OwnedTable::from_raw(self.table.swap(new.into_raw(), Ordering::SeqCst)) };
        old.retire();
        Left { holders: holders(self.list), what: What::All(old, Vec::new()) }
    }

    /// The table, as a publication sees it.
    #[inline]
    fn seen_by<'p>(&'p self, _pin: &'p Pin) -> &'p Table<F> {
        // SAFETY: the pointer came from an `OwnedTable`; what is unlinked after the pin was set is not freed
        // before the pin is gone, and what was unlinked before is not what this load finds.
        unsafe { &*self.table.load(Ordering::SeqCst) }
    }

    /// The table, as those who change the list see it.
    fn current<'b>(&'b self, _book: &Book<F>) -> &'b Table<F> {
        // SAFETY: the pointer came from an `OwnedTable` and is exchanged only by who holds the book; those who do
        // use no table after they have exchanged it.
        unsafe { &*self.table.load(Ordering::Acquire) }
    }
}

impl<F: Family> Drop for Handlers<F> {
    fn drop(&mut self) {
        // SAFETY: what is in `table` came from `into_raw`, and nobody looks any more.
        drop(unsafe { OwnedTable::from_raw(self.table.load(Ordering::Relaxed)) });
    }
}

/// A publication's walk through the slots.
struct Walk<'t, 'live, F: Family> {
    handlers: &'t Handlers<F>,
    pin: &'t Pin,
    occurrence: &'t Occurrence<'t, 'live, F>,
    wanted: Wanted,
    slots: slice::Iter<'t, Slot<F>>,
}

impl<F: Family> Walk<'_, '_, F> {
    #[inline]
    fn through(mut self, all: usize) -> Delivered {
        let (mut passed, mut lost) = (0, 0);
        for slot in self.slots.by_ref() {
            match slot.turn(self.wanted, self.pin) {
                Turn::Call(plain, subscription) => plain(Event::new(self.occurrence, subscription)),
                Turn::Pass => passed += 1,
                Turn::Ask => match self.handlers.ask(slot, self.pin, self.occurrence) {
                    Outcome::None => passed += 1,
                    Outcome::Delivered => {}
                    Outcome::Lost => lost += 1,
                },
            }
        }
        Delivered { called: all as u32 - passed - lost, queued: 0, lost }
    }

    /// Calls the others after a panic, which goes on afterwards; nobody hears of the counts.
    #[cold]
    fn go_on(
        rest: slice::Iter<'_, Slot<F>>,
        handlers: &Handlers<F>,
        pin: &Pin,
        occurrence: &Occurrence<'_, '_, F>,
    ) {
        for slot in rest {
            let one = || Handlers::ask(handlers, slot, pin, occurrence);
            // One panic goes on already.
            drop(catch_unwind(AssertUnwindSafe(one)));
        }
    }
}

impl<F: Family> Drop for Walk<'_, '_, F> {
    #[inline]
    fn drop(&mut self) {
        if !self.slots.as_slice().is_empty() {
            Self::go_on(self.slots.clone(), self.handlers, self.pin, self.occurrence);
        }
    }
}
