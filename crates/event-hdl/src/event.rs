//! One event on its way: what handlers see, what queues hold, what a publication carries.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::shared::Kept;
use crate::{EventRef, Family, Subscription, Subtypes};

/// What a sync handler is given, for the length of its call: the [`Occurrence`], and its own subscription.
#[non_exhaustive]
pub struct Event<'e, 'live, F: Family> {
    occurrence: &'e Occurrence<'e, 'live, F>,
    /// The handler's own subscription, to end, pause or change it.
    pub subscription: &'e Subscription<F>,
}

/// What happened, as a handler reads it through its [`Event`].
#[non_exhaustive]
pub struct Occurrence<'e, 'live, F: Family> {
    /// Which event it is.
    pub subtype: Subtypes,
    /// The publisher's own data.
    pub live: &'e F::Live<'live>,
    /// Wall-clock time since the epoch, as the publisher gave it.
    pub when: Duration,
    /// Events that this subscription missed since the last one it got: paused, or met in itself.
    pub lost: u64,
}

impl<'e, 'live, F: Family> Event<'e, 'live, F> {
    #[inline]
    pub(crate) fn new(occurrence: &'e Occurrence<'e, 'live, F>, subscription: &'e Subscription<F>) -> Self {
        Self { occurrence, subscription }
    }
}

impl<'e, 'live, F: Family> Occurrence<'e, 'live, F> {
    #[inline]
    pub(crate) fn new(live: &'e F::Live<'live>, subtype: Subtypes, when: Duration) -> Self {
        Self { subtype, live, when, lost: 0 }
    }

    pub(crate) fn after_losing(&self, lost: u64) -> Self {
        Self { lost, ..*self }
    }
}

impl<'e, 'live, F: Family> Deref for Event<'e, 'live, F> {
    type Target = Occurrence<'e, 'live, F>;

    #[inline]
    fn deref(&self) -> &Occurrence<'e, 'live, F> {
        self.occurrence
    }
}

/// What queues hold, one allocation a publication, shared by all of them.
#[non_exhaustive]
pub struct QueuedEvent<F: Family> {
    /// Which event it is.
    pub subtype: Subtypes,
    /// Wall-clock time since the epoch, as the publisher gave it.
    pub when: Duration,
    /// The data as it was when the event was published.
    pub data: F::Snapshot,
}

impl<F: Family> fmt::Debug for QueuedEvent<F>
where
    F::Snapshot: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedEvent")
            .field("subtype", &self.subtype)
            .field("when", &self.when)
            .field("data", &self.data)
            .finish()
    }
}

/// What comes out of an [`EventQueue`](crate::EventQueue).
pub enum Item<F: Family> {
    /// An event.
    Event(EventRef<F>),
    /// So many events were published, matched and not delivered, between the events around this item.
    Lost(u64),
    /// The subscription has ended: nothing comes after this.
    End,
}

impl<F: Family> Item<F> {
    /// The event, if it is one.
    #[must_use]
    pub fn event(&self) -> Option<&EventRef<F>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Lost(_) | Self::End => None,
        }
    }
}

impl<F: Family> Clone for Item<F> {
    fn clone(&self) -> Self {
        match self {
            Self::Event(event) => Self::Event(event.clone()),
            Self::Lost(count) => Self::Lost(*count),
            Self::End => Self::End,
        }
    }
}

impl<F: Family> fmt::Debug for Item<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "Event({:?})", event.subtype),
            Self::Lost(count) => write!(f, "Lost({count})"),
            Self::End => f.write_str("End"),
        }
    }
}

/// One event to be published to several lists, such as a server's own and then the global one. The
/// snapshot is made at most once for all of them.
pub struct Publication<'e, 'live, F: Family> {
    pub(crate) occurrence: Occurrence<'e, 'live, F>,
    snapshot: Option<EventRef<F>>,
}

impl<'e, 'live, F: Family> Publication<'e, 'live, F> {
    /// An event of `subtype` about `live`; `when` is wall-clock time since the epoch.
    pub fn new(live: &'e F::Live<'live>, subtype: Subtypes, when: Duration) -> Self {
        Self { occurrence: Occurrence::new(live, subtype, when), snapshot: None }
    }

    /// Makes the snapshot, if it has not been made.
    pub(crate) fn prepare(&mut self) {
        self.snapshot.get_or_insert_with(|| {
            let Occurrence { subtype, live, when, .. } = self.occurrence;
            EventRef::new(QueuedEvent { subtype, when, data: F::snapshot(live) })
        });
    }

    pub(crate) fn is_prepared(&self) -> bool {
        self.snapshot.is_some()
    }

    /// The event for so many readers of a list; none if there is no snapshot. `last`: it goes to no other list.
    pub(crate) fn keep(&mut self, readers: u32, last: bool) -> Option<Kept<F>> {
        Kept::new(&mut self.snapshot, readers, last)
    }
}

/// What became of one publication in one list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Sync handlers called.
    pub called: u32,
    /// Queues that took the event.
    pub queued: u32,
    /// Subscriptions that matched and missed it: paused, full, or met in themselves.
    pub lost: u32,
}
