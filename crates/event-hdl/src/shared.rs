//! A queued event, shared by the queues that hold it.
//!
//! A publication counts the references for all readers of a list at once, and the list keeps them in a bundle. Whoever
//! keeps an event takes one out, without counting anew; whoever only looks leaves it there. What is left in a bundle is
//! counted off at once when the last reader is done. Whoever holds the only reference lets it go without a locked instruction.
//!
//! INVARIANT: the count is that of the references, those in bundles among them.
#![expect(
    unsafe_code,
    reason = "std's Arc counts each reference for itself: two locked instructions a delivery, not one or none"
)]

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::sync::{AtomicUsize, Ordering, Watched, acquire};
use crate::{Family, QueuedEvent};

/// A counted reference to an event that queues share. It may outlive its queue and cross threads.
pub struct EventRef<F: Family>(NonNull<Counted<F>>, PhantomData<Counted<F>>);

struct Counted<F: Family> {
    count: AtomicUsize,
    event: QueuedEvent<F>,
    watched: Watched,
}

// SAFETY: a reference gives shared access to a `QueuedEvent`, whose `Snapshot` is `Send` and `Sync`, and the last one
// drops it wherever it is; the count is atomic.
unsafe impl<F: Family> Send for EventRef<F> {}
// SAFETY: as above.
unsafe impl<F: Family> Sync for EventRef<F> {}

impl<F: Family> Unpin for EventRef<F> {}

impl<F: Family> EventRef<F> {
    pub(crate) fn new(event: QueuedEvent<F>) -> Self {
        let counted = Counted { count: AtomicUsize::new(1), event, watched: Watched::new() };
        Self(NonNull::from(Box::leak(Box::new(counted))), PhantomData)
    }

    /// Whether both refer to the same event of the same publication.
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    #[inline]
    fn counted(&self) -> &Counted<F> {
        // SAFETY: the pointer came from a box that is freed with the last reference, and this is one.
        unsafe { self.0.as_ref() }
    }
}

impl<F: Family> Deref for EventRef<F> {
    type Target = QueuedEvent<F>;

    #[inline]
    fn deref(&self) -> &QueuedEvent<F> {
        self.counted().watched.read();
        &self.counted().event
    }
}

impl<F: Family> Clone for EventRef<F> {
    fn clone(&self) -> Self {
        // More references than there is memory cannot be: each takes eight bytes somewhere, or is leaked on purpose.
        assert!(self.counted().count.fetch_add(1, Ordering::Relaxed) < usize::MAX / 2, "too many references");
        Self(self.0, PhantomData)
    }
}

impl<F: Family> Drop for EventRef<F> {
    #[inline]
    fn drop(&mut self) {
        let count = &self.counted().count;
        // Alone already: nobody is left who could make another reference, so there is nothing to count down.
        if count.load(Ordering::Acquire) != 1 {
            if count.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            acquire(count);
        }
        // SAFETY: this was the last reference, and whatever the others did happened before (release, acquire).
        let counted = unsafe { Box::from_raw(self.0.as_ptr()) };
        counted.watched.change();
    }
}

impl<F: Family> fmt::Debug for EventRef<F>
where
    F::Snapshot: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// References to one event for several readers, counted together: what a list keeps of it until all have read it.
pub(crate) struct Bundle<F: Family> {
    event: NonNull<Counted<F>>,
    /// Readers that are not done with it.
    open: u32,
    /// References in here.
    held: u32,
    owns: PhantomData<Counted<F>>,
}

// SAFETY: it stands for references, which are `Send` and `Sync`.
unsafe impl<F: Family> Send for Bundle<F> {}

impl<F: Family> Unpin for Bundle<F> {}

impl<F: Family> Bundle<F> {
    /// For so many readers, of the publication's event. `last`: the publication needs it no more.
    pub(crate) fn new(event: &mut Option<EventRef<F>>, readers: u32, last: bool) -> Option<Self> {
        let shared = event.as_ref()?;
        let (pointer, count) = (shared.0, &shared.counted().count);
        let more = readers as usize - usize::from(last && readers > 0);
        if more > 0 {
            match count.load(Ordering::Acquire) {
                // Nobody has another reference: nobody else counts.
                1 => count.store(1 + more, Ordering::Relaxed),
                _ => drop(count.fetch_add(more, Ordering::Relaxed)),
            }
        }
        if last && readers > 0 {
            event.take().map(ManuallyDrop::new);
        }
        Some(Self { event: pointer, open: readers, held: readers, owns: PhantomData })
    }

    /// For a reader that keeps the reference: it is done.
    #[inline]
    pub(crate) fn take(&mut self) -> EventRef<F> {
        self.open -= 1;
        self.held = self.held.checked_sub(1).expect("invariant: a reference for each reader");
        EventRef(self.event, PhantomData)
    }

    /// For a reader that only looks, a reference that is not counted.
    ///
    /// # Safety
    /// It must not be used once the reader is [done](Self::leave).
    #[inline]
    pub(crate) unsafe fn lend(&self) -> ManuallyDrop<EventRef<F>> {
        ManuallyDrop::new(EventRef(self.event, PhantomData))
    }

    /// A reader is done, its reference stays; true for the last.
    #[inline]
    pub(crate) fn leave(&mut self) -> bool {
        self.open -= 1;
        self.open == 0
    }

    /// One more reference, for whoever looks without being done.
    pub(crate) fn peek(&self) -> EventRef<F> {
        EventRef::clone(&ManuallyDrop::new(EventRef(self.event, PhantomData)))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.open == 0
    }
}

impl<F: Family> Drop for Bundle<F> {
    #[inline]
    fn drop(&mut self) {
        if let Some(others) = (self.held as usize).checked_sub(1) {
            let one = EventRef::<F>(self.event, PhantomData);
            let count = &one.counted().count;
            if others > 0 {
                match count.load(Ordering::Acquire) {
                    // All are in here: nobody else counts.
                    all if all == others + 1 => count.store(1, Ordering::Relaxed),
                    _ => drop(count.fetch_sub(others, Ordering::Release)),
                }
            }
        }
    }
}
