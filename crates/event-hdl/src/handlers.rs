//! The sync handlers of a list, in order, to be walked without a lock while others come and go.
//!
//! A table of pointers grows at its end; who leaves, leaves a hole. It is made anew when it is full or mostly
//! holes, so coming and going cost the same in a list of any length. A publisher walks the table that it found,
//! as long as it was when it started.
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

use std::any::Any;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use crate::pins::{Holder, Pin, holders};
use crate::subscription::{NOWHERE, Outcome, Shared};
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, Watched};
use crate::{Delivered, Family, Occurrence, Subscription};

/// The first table's slots.
const SLOTS_MIN: usize = if cfg!(loom) { 1 } else { 4 };

pub(crate) struct Handlers<F: Family> {
    /// The list's number.
    list: u32,
    table: AtomicPtr<Table<F>>,
    /// Whether the book has litter.
    littered: AtomicBool,
}

struct Table<F: Family> {
    /// Slots in use, holes among them.
    len: AtomicUsize,
    /// Each is null or owns a reference.
    slots: Box<[AtomicPtr<Shared<F>>]>,
    watched: Watched,
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
    what: Option<Unlinked<F>>,
}

#[expect(dead_code, reason = "kept to be dropped")]
enum Unlinked<F: Family> {
    Subscription(Subscription<F>),
    Table(OwnedTable<F>),
}

impl<F: Family> Left<F> {
    /// Something that no publication has seen.
    pub(crate) fn unseen(what: Option<Subscription<F>>) -> Self {
        Self { holders: Vec::new(), what: what.map(Unlinked::Subscription) }
    }

    pub(crate) fn is_free(&self) -> bool {
        self.holders.iter().all(Holder::has_left)
    }

    /// Waits until nobody sees it.
    pub(crate) fn wait(&self) {
        self.holders.iter().for_each(Holder::wait);
    }
}

impl<F: Family> Book<F> {
    pub(crate) fn new() -> Self {
        Self { live: 0, litter: Vec::new() }
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }
}

impl<F: Family> Handlers<F> {
    pub(crate) fn new(list: u32) -> Self {
        let table = AtomicPtr::new(Table::with_slots(SLOTS_MIN).into_raw());
        Self { list, table, littered: AtomicBool::new(false) }
    }

    /// Calls the handlers in order; answers the first panic, after which the others are called all the same.
    pub(crate) fn call(
        &self,
        occurrence: &Occurrence<'_, '_, F>,
        delivered: &mut Delivered,
    ) -> Option<Box<dyn Any + Send>> {
        let pin = Pin::enter(self.list);
        let mut all = self.seen_by(&pin).walk();
        let mut first = None;
        loop {
            match catch_unwind(AssertUnwindSafe(|| call_all(&mut all, occurrence))) {
                Ok((called, lost)) => {
                    delivered.called += called;
                    delivered.lost += lost;
                    return first;
                }
                // Nobody hears of the counts: the panic goes on once the others have been called.
                Err(payload) => first = first.or(Some(payload)),
            }
        }
    }

    /// Whether something waits for [`sweep`](Self::sweep).
    #[inline]
    pub(crate) fn is_littered(&self) -> bool {
        self.littered.load(Ordering::Relaxed)
    }

    /// Adds a subscription at the end.
    pub(crate) fn push(&self, book: &mut Book<F>, subscription: Subscription<F>) {
        if self.current(book).is_full() {
            self.rebuild(book);
        }
        self.current(book).push(subscription);
        book.live += 1;
    }

    /// Takes a subscription out, if it is in.
    pub(crate) fn unlink(&self, book: &mut Book<F>, subscription: &Subscription<F>) -> Left<F> {
        let table = self.current(book);
        let Some(unlinked) = table.take(subscription) else {
            // Somebody else has: their publications are still to be waited for.
            return Left { holders: holders(self.list), what: None };
        };
        let holders = holders(self.list);
        if holders.is_empty() {
            table.trim();
        }
        let mostly_holes = table.is_mostly_holes(book.live - 1);
        book.live -= 1;
        if mostly_holes {
            self.rebuild(book);
        }
        Left { holders, what: Some(Unlinked::Subscription(unlinked)) }
    }

    /// Takes all out; answers them, too.
    pub(crate) fn clear(&self, book: &mut Book<F>) -> (Vec<Subscription<F>>, Left<F>) {
        let all: Vec<_> = self.current(book).walk().map(|one| Subscription::clone(&one)).collect();
        all.iter().for_each(|one| one.0.place.store(NOWHERE, Ordering::Relaxed));
        book.live = 0;
        (all, self.exchange(Table::with_slots(SLOTS_MIN)))
    }

    /// Keeps what may still be seen, to be swept up later.
    pub(crate) fn leave(&self, book: &mut Book<F>, left: Left<F>) {
        if left.what.is_some() {
            book.litter.push(left);
            self.littered.store(true, Ordering::Relaxed);
        }
    }

    /// Takes out what nobody sees any more, to be dropped without our locks.
    pub(crate) fn sweep(&self, book: &mut Book<F>) -> Vec<Left<F>> {
        let swept = book.litter.extract_if(.., |left| left.is_free()).collect();
        self.littered.store(!book.litter.is_empty(), Ordering::Relaxed);
        swept
    }

    /// Makes the table anew, without holes and with as much room again.
    fn rebuild(&self, book: &mut Book<F>) {
        let new = Table::with_slots((book.live * 2).max(SLOTS_MIN));
        for subscription in self.current(book).walk() {
            new.push(Subscription::clone(&subscription));
        }
        let old = self.exchange(new);
        // Even if nobody sees it: what it drops may be a last reference, and our lock is held.
        self.leave(book, old);
    }

    fn exchange(&self, new: OwnedTable<F>) -> Left<F> {
        let old = OwnedTable(self.table.swap(new.into_raw(), Ordering::SeqCst));
        Left { holders: holders(self.list), what: Some(Unlinked::Table(old)) }
    }

    /// The table, as a publication sees it.
    fn seen_by<'p>(&'p self, _pin: &'p Pin) -> &'p Table<F> {
        // SAFETY: the pointer came from an `OwnedTable`; what is unlinked after the pin was set is not freed
        // before the pin is gone, and what was unlinked before is not what this load finds.
        unsafe { &*self.table.load(Ordering::SeqCst) }
    }

    /// The table, as those who change the list see it.
    fn current<'b>(&'b self, _book: &'b Book<F>) -> &'b Table<F> {
        // SAFETY: the pointer came from an `OwnedTable` and is exchanged only by who holds the book.
        unsafe { &*self.table.load(Ordering::Acquire) }
    }
}

fn call_all<'t, F: Family>(
    all: &mut impl Iterator<Item = Seen<'t, F>>,
    occurrence: &Occurrence<'_, '_, F>,
) -> (u32, u32) {
    let (mut called, mut lost) = (0, 0);
    for subscription in all {
        match subscription.call(occurrence) {
            Outcome::None => {}
            Outcome::Delivered => called += 1,
            Outcome::Lost => lost += 1,
        }
    }
    (called, lost)
}

impl<F: Family> Drop for Handlers<F> {
    fn drop(&mut self) {
        drop(OwnedTable(self.table.load(Ordering::Relaxed)));
    }
}

impl<F: Family> Table<F> {
    fn with_slots(count: usize) -> OwnedTable<F> {
        let slots = (0..count).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        let table = Self { len: AtomicUsize::new(0), slots, watched: Watched::new() };
        OwnedTable(Box::into_raw(Box::new(table)))
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// What is in it at this moment, in order.
    fn walk(&self) -> impl Iterator<Item = Seen<'_, F>> {
        self.watched.read();
        self.slots[..self.len()].iter().filter_map(Seen::in_slot)
    }

    fn is_full(&self) -> bool {
        self.len() == self.slots.len()
    }

    fn is_mostly_holes(&self, live: usize) -> bool {
        self.len() > 2 * live + SLOTS_MIN
    }

    fn push(&self, subscription: Subscription<F>) {
        let len = self.len();
        subscription.0.place.store(len as u32, Ordering::Relaxed);
        self.slots[len].store(Arc::into_raw(subscription.0).cast_mut(), Ordering::Release);
        self.len.store(len + 1, Ordering::Release);
    }

    /// Leaves a hole, and the reference to the caller.
    fn take(&self, subscription: &Subscription<F>) -> Option<Subscription<F>> {
        let slot = self.slots.get(subscription.0.place.swap(NOWHERE, Ordering::Relaxed) as usize)?;
        let shared = slot.swap(ptr::null_mut(), Ordering::SeqCst);
        debug_assert!(ptr::eq(shared, Arc::as_ptr(&subscription.0)));
        // SAFETY: the slot owned the reference that `push` gave it; it is null now, so this takes it once.
        Some(Subscription(unsafe { Arc::from_raw(shared) }))
    }

    /// Gives holes at the end back. Only when nobody is publishing: a publication never meets, in a slot that it
    /// has counted in, what was subscribed from inside it.
    fn trim(&self) {
        let empty = |slot: &AtomicPtr<Shared<F>>| slot.load(Ordering::Relaxed).is_null();
        let holes = self.slots[..self.len()].iter().rev().take_while(|slot| empty(slot)).count();
        self.len.store(self.len() - holes, Ordering::Release);
    }
}

/// A subscription in a table, borrowed together with it.
struct Seen<'t, F: Family>(ManuallyDrop<Subscription<F>>, PhantomData<&'t ()>);

impl<'t, F: Family> Seen<'t, F> {
    #[inline]
    fn in_slot(slot: &'t AtomicPtr<Shared<F>>) -> Option<Self> {
        let shared = slot.load(Ordering::SeqCst);
        if shared.is_null() {
            return None;
        }
        // SAFETY: the slot owns a reference, which lives as long as the borrow of the table: the pin, or the
        // book, that the table was reached by keeps it. `ManuallyDrop` leaves that reference where it is.
        Some(Self(ManuallyDrop::new(Subscription(unsafe { Arc::from_raw(shared) })), PhantomData))
    }
}

impl<F: Family> std::ops::Deref for Seen<'_, F> {
    type Target = Subscription<F>;

    #[inline]
    fn deref(&self) -> &Subscription<F> {
        &self.0
    }
}

/// A table that belongs to nobody else. It may still be read by those who hold a [`Pin`]: no `Box`, which
/// promises that nobody does.
struct OwnedTable<F: Family>(*mut Table<F>);

// SAFETY: it owns a `Table`, which is `Send` and `Sync`.
unsafe impl<F: Family> Send for OwnedTable<F> {}

impl<F: Family> OwnedTable<F> {
    fn into_raw(self) -> *mut Table<F> {
        ManuallyDrop::new(self).0
    }
}

impl<F: Family> std::ops::Deref for OwnedTable<F> {
    type Target = Table<F>;

    fn deref(&self) -> &Table<F> {
        // SAFETY: the pointer came from `Box::into_raw` and is freed in `drop` only.
        unsafe { &*self.0 }
    }
}

impl<F: Family> Drop for OwnedTable<F> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::into_raw`; nobody else frees it, and nobody reads it any more
        // (`Left`).
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl<F: Family> Drop for Table<F> {
    fn drop(&mut self) {
        self.watched.free();
        for slot in &self.slots {
            let shared = slot.load(Ordering::Relaxed);
            if !shared.is_null() {
                // SAFETY: the slot owns the reference, and the table goes.
                drop(unsafe { Arc::from_raw(shared) });
            }
        }
    }
}
