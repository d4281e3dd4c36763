//! One event on its way: what handlers see, what queues hold, what a publication carries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Family, Subscription, Subtypes};

/// What a sync handler is given, for the length of its call.
#[non_exhaustive]
pub struct Event<'e, 'live, F: Family> {
    /// Which event it is.
    pub subtype: Subtypes,
    /// The publisher's own data.
    pub live: &'e F::Live<'live>,
    /// Wall-clock time since the epoch, as the publisher gave it.
    pub when: Duration,
    /// The handler's own subscription, to end, pause or change it.
    pub subscription: &'e Subscription<F>,
    /// Events that this subscription missed since the last one it got: paused, or met in itself.
    pub lost: u64,
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
    Event(Arc<QueuedEvent<F>>),
    /// So many events were published, matched and not delivered, between the events around this item.
    Lost(u64),
    /// The subscription has ended: nothing comes after this.
    End,
}

impl<F: Family> Item<F> {
    /// The event, if it is one.
    #[must_use]
    pub fn event(&self) -> Option<&Arc<QueuedEvent<F>>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Lost(_) | Self::End => None,
        }
    }
}

impl<F: Family> Clone for Item<F> {
    fn clone(&self) -> Self {
        match self {
            Self::Event(event) => Self::Event(Arc::clone(event)),
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
    pub(crate) live: &'e F::Live<'live>,
    pub(crate) subtype: Subtypes,
    pub(crate) when: Duration,
    snapshot: Option<Arc<QueuedEvent<F>>>,
}

impl<'e, 'live, F: Family> Publication<'e, 'live, F> {
    /// An event of `subtype` about `live`; `when` is wall-clock time since the epoch.
    pub fn new(live: &'e F::Live<'live>, subtype: Subtypes, when: Duration) -> Self {
        Self { live, subtype, when, snapshot: None }
    }

    pub(crate) fn queued(&mut self) -> &Arc<QueuedEvent<F>> {
        self.snapshot.get_or_insert_with(|| {
            Arc::new(QueuedEvent { subtype: self.subtype, when: self.when, data: F::snapshot(self.live) })
        })
    }
}

/// What became of one publication in one list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Sync handlers called.
    pub called: usize,
    /// Queues that took the event.
    pub queued: usize,
    /// Subscriptions that matched and missed it: paused, full, or met in themselves.
    pub lost: usize,
}
