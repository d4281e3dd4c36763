//! A queued event, shared by the queues that hold it.
//!
//! A publication hands out as many references as there are queues, and counts them once: no queue can let its
//! reference go before, for they are behind the lock under which they are handed out. Whoever holds the only
//! reference lets it go without a locked instruction.
//!
//! INVARIANT: the count is that of the references, except under a hub's lock while a [`Sharing`] of the event lives.
#![expect(
    unsafe_code,
    reason = "std's Arc counts each reference for itself: two locked instructions a delivery, not one"
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

/// Hands out references to an event, all counted at the end. It must end before anybody can let one of them go.
pub(crate) struct Sharing<'p, F: Family> {
    event: &'p mut Option<EventRef<F>>,
    given: usize,
}

impl<'p, F: Family> Sharing<'p, F> {
    pub(crate) fn new(event: &'p mut Option<EventRef<F>>) -> Self {
        Self { event, given: 0 }
    }

    /// One more reference; none if there is no event.
    #[inline]
    pub(crate) fn give(&mut self) -> Option<EventRef<F>> {
        let event = self.event.as_ref()?;
        self.given += 1;
        Some(EventRef(event.0, PhantomData))
    }

    /// Counts what was given. `last`: one of those is the publication's own.
    pub(crate) fn end(self, last: bool) {
        let Some(event) = self.event else { return };
        if self.given == 0 {
            return;
        }
        let count = &event.counted().count;
        let more = self.given - usize::from(last);
        match count.load(Ordering::Acquire) {
            // No reference but this one has been counted, and nobody else can reach those just given.
            1 => count.store(1 + more, Ordering::Relaxed),
            _ => drop(count.fetch_add(more, Ordering::Relaxed)),
        }
        if last {
            self.event.take().map(ManuallyDrop::new);
        }
    }
}
