//! A table of handlers, to be walked without a lock while others come and go.
//!
//! What a publication needs of a handler stands in its slot, two to a cache line: the word that says whether to call
//! it, the function, and the handle that it is given. The subscription itself is looked at only where the word says
//! so.
//!
//! INVARIANT: a slot is filled while its word is 0 and every publication that saw another word has left. What slots
//! refer to belongs to the list's registry and is let go as [`handlers`](crate::handlers) says.

#![expect(
    unsafe_code,
    reason = "a pointer to each subscription, looked through at each call, costs half as much again"
)]

use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::ptr::NonNull;

use crate::pins::Pin;
use crate::subscription::{NOWHERE, Plain};
use crate::sync::{AtomicU32, AtomicUsize, Ordering, Watched};
use crate::{Family, Subscription, Subtypes};

/// In a slot's word, above the 16 bits of the subtypes: somebody is here.
const HELD: u32 = 1 << 16;
/// There is more to it than a call: paused, exclusive, something to be told.
const SPECIAL: u32 = 1 << 17;
/// The table is no longer the list's, and nobody keeps its words right.
const OLD: u32 = 1 << 18;

/// The first table's slots.
const SLOTS_MIN: usize = if cfg!(any(loom, shuttle)) { 1 } else { 4 };

pub(crate) struct Table<F: Family> {
    /// Slots in use, holes among them.
    len: AtomicUsize,
    slots: Box<[Slot<F>]>,
    watched: Watched,
}

#[repr(C)]
pub(crate) struct Slot<F: Family> {
    content: UnsafeCell<MaybeUninit<Content<F>>>,
    word: AtomicU32,
    watched: Watched,
}

#[repr(C)]
struct Content<F: Family> {
    /// A copy that counts nothing.
    subscription: ManuallyDrop<Subscription<F>>,
    /// The handler to be called, if the word says no more.
    plain: NonNull<Plain<F>>,
}

// SAFETY: a slot refers to a subscription and its handler, which are `Send` and `Sync`; its content is written only
// while nobody reads it (the module's invariant).
unsafe impl<F: Family> Send for Slot<F> {}
// SAFETY: as above.
unsafe impl<F: Family> Sync for Slot<F> {}

/// What a word must show for a publication's handlers to be called.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    plainly: u32,
    mask: u32,
}

impl Wanted {
    #[inline]
    pub(crate) fn new(subtypes: Subtypes) -> Self {
        let plainly = HELD | u32::from(subtypes.bits());
        Self { plainly, mask: plainly | SPECIAL | OLD }
    }
}

/// What a slot says to a publication.
pub(crate) enum Turn<'t, F: Family> {
    /// Not for it.
    Pass,
    Call(&'t Plain<F>, &'t Subscription<F>),
    /// The subscription itself must be asked.
    Ask,
}

impl<F: Family> Slot<F> {
    fn vacant() -> Self {
        Self {
            word: AtomicU32::new(0),
            content: UnsafeCell::new(MaybeUninit::uninit()),
            watched: Watched::new(),
        }
    }

    /// What a publication does here. Whoever asks holds a [`Pin`] from before the table was looked up.
    #[inline]
    pub(crate) fn turn(&self, wanted: Wanted, _pin: &Pin) -> Turn<'_, F> {
        let word = self.word.load(Ordering::SeqCst);
        if word & wanted.mask == wanted.plainly {
            let content = self.content();
            // SAFETY: it points to a box of the subscription, which lives as long as the borrow of the slot.
            return Turn::Call(unsafe { content.plain.as_ref() }, &content.subscription);
        }
        if word & (SPECIAL | OLD) == 0 { Turn::Pass } else { Turn::Ask }
    }

    /// Who is in it.
    pub(crate) fn held(&self, _pin: &Pin) -> Option<&Subscription<F>> {
        let held = self.word.load(Ordering::SeqCst) & HELD != 0;
        held.then(|| &*self.content().subscription)
    }

    /// Under the registry's lock, while the word is 0.
    fn fill(&self, subscription: &Subscription<F>) {
        debug_assert_eq!(self.word.load(Ordering::Relaxed), 0);
        self.watched.change();
        // SAFETY: the reference is copied without being counted, and never dropped: the registry's own outlives the
        // word that is set below.
        let subscription = ManuallyDrop::new(unsafe { std::ptr::read(subscription) });
        let word = word_of(&subscription);
        // SAFETY: the word is 0, and nobody who saw another reads the content any more: the slot has never been in
        // use, or `trim` has given it back. Only one thread holds the lock.
        unsafe { (*self.content.get()).write(Content { plain: subscription.plain(), subscription }) };
        self.word.store(word, Ordering::Release);
    }

    /// Only after a word that was not 0, under a pin or the registry's lock.
    #[inline]
    fn content(&self) -> &Content<F> {
        self.watched.read();
        // SAFETY: the word was not 0 (acquired), so the slot has been filled; it is not filled anew while this borrow,
        // bound to a pin or to the lock under which slots are filled, lasts.
        unsafe { (*self.content.get()).assume_init_ref() }
    }
}

fn word_of<F: Family>(subscription: &Subscription<F>) -> u32 {
    let special = if subscription.is_special() { SPECIAL } else { 0 };
    HELD | special | u32::from(subscription.registered().bits())
}

/// What follows is under the registry's lock, [`slots`](Self::slots) apart.
impl<F: Family> Table<F> {
    pub(crate) fn with_room_for(count: usize) -> OwnedTable<F> {
        let slots = (0..count.max(SLOTS_MIN)).map(|_| Slot::vacant()).collect();
        let table = Self { len: AtomicUsize::new(0), slots, watched: Watched::new() };
        OwnedTable(NonNull::from(Box::leak(Box::new(table))))
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Those in use at this moment, in order.
    #[inline]
    pub(crate) fn slots(&self) -> &[Slot<F>] {
        self.watched.read();
        &self.slots[..self.len()]
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.slots.len()
    }

    pub(crate) fn is_mostly_holes(&self, live: usize) -> bool {
        self.len() > 2 * live + SLOTS_MIN
    }

    /// Who is in it, in order.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Subscription<F>> {
        let held = |slot: &&Slot<F>| slot.word.load(Ordering::Relaxed) & HELD != 0;
        self.slots().iter().filter(held).map(|slot| &*slot.content().subscription)
    }

    pub(crate) fn push(&self, subscription: &Subscription<F>) {
        let place = self.len();
        let slot = &self.slots[place];
        subscription.set_place(place as u32);
        slot.fill(subscription);
        self.len.store(place + 1, Ordering::Release);
    }

    /// Leaves a hole; false if it was not in.
    pub(crate) fn take(&self, subscription: &Subscription<F>) -> bool {
        let Some(slot) = self.slots.get(subscription.place() as usize) else { return false };
        subscription.set_place(NOWHERE);
        slot.word.store(0, Ordering::SeqCst);
        true
    }

    /// Gives holes at the end back. Only when nobody is publishing: those who publish later see the holes.
    pub(crate) fn trim(&self) {
        let empty = |slot: &&Slot<F>| slot.word.load(Ordering::Relaxed) == 0;
        let holes = self.slots[..self.len()].iter().rev().take_while(empty).count();
        self.len.store(self.len() - holes, Ordering::Release);
    }

    /// Makes a subscription's word right again.
    pub(crate) fn refresh(&self, subscription: &Subscription<F>) {
        if let Some(slot) = self.slots.get(subscription.place() as usize) {
            slot.word.store(word_of(subscription), Ordering::Release);
        }
    }

    /// Makes all words right again.
    pub(crate) fn tidy(&self) {
        self.held().for_each(|subscription| self.refresh(subscription));
    }

    /// Says to publications still on their way through it that its words are no longer kept right.
    pub(crate) fn retire(&self) {
        for slot in &self.slots[..self.len()] {
            slot.word.fetch_or(OLD, Ordering::Release);
        }
    }
}

/// A table that belongs to nobody else. It may still be read by those who hold a [`Pin`]: no `Box`, which
/// promises that nobody does.
pub(crate) struct OwnedTable<F: Family>(NonNull<Table<F>>);

// SAFETY: it owns a `Table`, which is `Send` and `Sync`.
unsafe impl<F: Family> Send for OwnedTable<F> {}

impl<F: Family> OwnedTable<F> {
    pub(crate) fn into_raw(self) -> *mut Table<F> {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// # Safety
    /// The pointer came from [`into_raw`](Self::into_raw), and nobody else takes it back.
    pub(crate) unsafe fn from_raw(table: *mut Table<F>) -> Self {
        // SAFETY: the caller's promise; such a pointer is not null.
        Self(unsafe { NonNull::new_unchecked(table) })
    }
}

impl<F: Family> Deref for OwnedTable<F> {
    type Target = Table<F>;

    fn deref(&self) -> &Table<F> {
        // SAFETY: the pointer came from `Box::leak` and is freed in `drop` only.
        unsafe { self.0.as_ref() }
    }
}

impl<F: Family> Drop for OwnedTable<F> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::leak`; nobody else frees it, and nobody reads it any more
        // (`handlers::Left`).
        let table = unsafe { Box::from_raw(self.0.as_ptr()) };
        table.watched.change();
    }
}
