//! A queued event, shared by the queues that hold it.
//!
//! A publication counts the references for all readers of a list at once, and the list keeps the event. Who keeps an
//! event takes one of those references, without counting anew; who only looks leaves it. What has not been taken is
//! counted off at once when the last reader is done. Whoever holds the only reference lets it go without a locked
//! instruction.
//!
//! INVARIANT: the count is that of the references, those that lists keep among them.
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

/// An event that a list keeps for its readers, without a count.
pub(crate) struct Kept<F: Family>(NonNull<Counted<F>>);

impl<F: Family> Clone for Kept<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Family> Copy for Kept<F> {}

// SAFETY: it stands for references, which are `Send` and `Sync`.
unsafe impl<F: Family> Send for Kept<F> {}

impl<F: Family> Kept<F> {
    /// Counts references for so many readers of the publication's event, all to be [released](Self::release) or
    /// [taken](Self::take). `last`: the publication needs its own no more. None if there is no event.
    pub(crate) fn new(event: &mut Option<EventRef<F>>, readers: u32, last: bool) -> Option<Self> {
        let (pointer, count) = event.as_ref().map(|event| (event.0, &event.counted().count))?;
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
        Some(Self(pointer))
    }

    /// One of the references counted.
    ///
    /// # Safety
    /// There is one that has neither been taken nor released.
    pub(crate) unsafe fn take(self) -> EventRef<F> {
        EventRef(self.0, PhantomData)
    }

    /// A look at it.
    ///
    /// # Safety
    /// One of the references is neither taken nor released before the last use of what is answered.
    #[inline]
    pub(crate) unsafe fn lend(self) -> ManuallyDrop<EventRef<F>> {
        ManuallyDrop::new(EventRef(self.0, PhantomData))
    }

    /// Counts off all but one of so many references; that one is left, if any.
    ///
    /// # Safety
    /// So many have neither been taken nor released.
    #[inline]
    pub(crate) unsafe fn release(self, references: u32) -> Option<EventRef<F>> {
        let others = (references as usize).checked_sub(1)?;
        let last = EventRef(self.0, PhantomData);
        if others > 0 {
            let count = &last.counted().count;
            match count.load(Ordering::Acquire) {
                // All are these: nobody else counts.
                all if all == others + 1 => count.store(1, Ordering::Relaxed),
                _ => drop(count.fetch_sub(others, Ordering::Release)),
            }
        }
        Some(last)
    }
}
