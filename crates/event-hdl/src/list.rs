//! Subscription lists: who gets what is published.
//!
//! Publishers walk the handlers' table without a lock and look at each slot's word when its turn comes; the queues
//! they feed are behind one lock that no foreign code runs under. That is why everything may be
//! done from inside a handler:
//!
//! | inside a sync handler | takes effect |
//! |---|---|
//! | publish, same list too | at once and whole, before the outer publication goes on |
//! | subscribe | for publications that start later |
//! | unsubscribe or pause self or a sibling | at once: a sibling whose turn has not come is not called |
//! | resume, resubscribe | at once, for siblings whose turn has not come |
//! | look up, take a handle | at once |
//! | close the list, drop it | at once: no further handler is called |
//!
//! What a subscription that ends inside a handler had captured is dropped when the publication is over, or, if
//! another thread is publishing to the list at that moment, with the list's next change or publication.
//!
//! INVARIANT: no lock of ours is held while foreign code runs: handlers, `snapshot`, drops, wakes. (Only an
//! exclusive handler runs under a lock, its own; and a reader's waker is cloned under its queue's.)

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::handler::Exclusive;
use crate::inner::Inner;
use crate::subscription::{Queue, Sink};
use crate::{
    Delivered, Error, Event, EventQueue, Family, Occurrence, Overflow, Publication, Subscription,
    SubscriptionId, Subtypes,
};

/// What a subscription asks for: subtypes, and an id if it is to be found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The subtypes to hear of.
    pub subtypes: Subtypes,
    /// Its id, unique within the list.
    pub id: Option<SubscriptionId>,
}

impl From<Subtypes> for Request {
    fn from(subtypes: Subtypes) -> Self {
        Self { subtypes, id: None }
    }
}

/// A list of subscriptions to one family. Clones are the same list.
///
/// A family's process-wide list is [`SubscriptionList::global`]. When the last clone is dropped the list is closed.
///
/// # Thread affinity
/// `Send` and `Sync`: any thread publishes and subscribes.
pub struct SubscriptionList<F: Family>(Arc<Inner<F>>);

impl<F: Family> SubscriptionList<F> {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner::new()))
    }

    /// Tells everybody who asked for all of `subtype` (one subtype, as a rule).
    ///
    /// Queues first, in no promised order; then sync handlers, in order of subscription, on this thread.
    /// It never waits for a reader. With nobody listening it costs one load and allocates nothing.
    /// `when` is wall-clock time since the epoch.
    ///
    /// # Panics
    /// If a handler panics: with the first one's panic, after all others have been called, for which
    /// `std::thread::panicking` is true then.
    ///
    /// # Source
    /// `event_hdl_publish()`, event_hdl guide §3.2.
    #[inline]
    pub fn publish(&self, live: &F::Live<'_>, subtype: Subtypes, when: Duration) -> Delivered {
        if !self.has_listeners(subtype) {
            return Delivered::default();
        }
        self.deliver(live, subtype, when)
    }

    /// Whether a publication of `subtype` might reach anybody: to avoid making up the data for nobody.
    #[inline]
    #[must_use]
    pub fn has_listeners(&self, subtype: Subtypes) -> bool {
        self.0.has_listeners(subtype)
    }

    /// As [`publish`](Self::publish), for an event that goes to several lists.
    pub fn send(&self, publication: &mut Publication<'_, '_, F>) -> Delivered {
        self.0.publish(publication, false)
    }

    #[inline(never)]
    fn deliver(&self, live: &F::Live<'_>, subtype: Subtypes, when: Duration) -> Delivered {
        if self.0.has_queues(subtype) {
            return self.0.publish(&mut Publication::new(live, subtype, when), true);
        }
        self.0.call(&Occurrence::new(live, subtype, when))
    }

    /// Subscribes a sync handler. It runs on the publishing threads, several at once if they publish at
    /// once, and borrows the publisher's live data.
    ///
    /// # Errors
    /// [`Error::NoSubtypes`], [`Error::DuplicateId`], [`Error::Closed`].
    #[track_caller]
    pub fn subscribe(
        &self,
        request: impl Into<Request>,
        handler: impl Fn(Event<'_, '_, F>) + Send + Sync + 'static,
    ) -> Result<Subscription<F>, Error> {
        self.add(request.into(), Sink::Handler(Box::new(handler)), Location::caller())
    }

    /// Subscribes a sync handler that never runs twice at once: publishers on other threads wait for
    /// their turn. If it publishes what it would hear itself, that event is counted as lost for it.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn subscribe_exclusive(
        &self,
        request: impl Into<Request>,
        handler: impl FnMut(Event<'_, '_, F>) + Send + 'static,
    ) -> Result<Subscription<F>, Error> {
        self.add(
            request.into(),
            Sink::Exclusive(Box::new(Exclusive::new(Box::new(handler)))),
            Location::caller(),
        )
    }

    /// Subscribes a queue.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn queue(&self, request: impl Into<Request>, overflow: Overflow) -> Result<EventQueue<F>, Error> {
        let hub = Arc::clone(self.0.queues());
        let key = hub.reserve(overflow);
        let sink = Sink::Queue(Queue { hub, key });
        let refused = |error| {
            self.0.queues().forget(key);
            error
        };
        self.add(request.into(), sink, Location::caller()).map(EventQueue::new).map_err(refused)
    }

    /// The subscription of this id.
    #[must_use]
    pub fn lookup(&self, id: SubscriptionId) -> Option<Subscription<F>> {
        self.0.lookup(id)
    }

    /// Looks up and [unsubscribes](Subscription::unsubscribe); false if there is none.
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.0.end_by_id(id)
    }

    /// Looks up and [pauses](Subscription::pause); false if there is none.
    pub fn pause(&self, id: SubscriptionId) -> bool {
        self.lookup(id).is_some_and(|subscription| subscription.pause())
    }

    /// Looks up and [resumes](Subscription::resume); false if there is none.
    pub fn resume(&self, id: SubscriptionId) -> bool {
        self.lookup(id).is_some_and(|subscription| subscription.resume())
    }

    /// Looks up and [resubscribes](Subscription::resubscribe).
    ///
    /// # Errors
    /// [`Error::Ended`] if there is none of this id; [`Error::NoSubtypes`].
    pub fn resubscribe(&self, id: SubscriptionId, subtypes: Subtypes) -> Result<(), Error> {
        self.lookup(id).ok_or(Error::Ended)?.resubscribe(subtypes)
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many queues there are whose reader has not had END yet, ended subscriptions among them: what a host that
    /// stops softly waits for.
    #[must_use]
    pub fn unfinished_queues(&self) -> usize {
        self.0.queues().unfinished()
    }

    /// Ends all subscriptions and takes no more. Queues deliver what they hold, then END. Closing twice is
    /// closing once; publishing to a closed list reaches nobody. Waits as
    /// [`unsubscribe`](Subscription::unsubscribe) does.
    pub fn close(&self) {
        self.0.close();
    }

    fn add(
        &self,
        request: Request,
        sink: Sink<F>,
        origin: &'static Location<'static>,
    ) -> Result<Subscription<F>, Error> {
        if request.subtypes.is_empty() {
            return Err(Error::NoSubtypes);
        }
        let list = Arc::downgrade(&self.0);
        self.0.add(Subscription::new(request.subtypes, request.id, sink, list, origin))
    }
}

impl<F: Family> Default for SubscriptionList<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Family> Clone for SubscriptionList<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Family> std::fmt::Debug for SubscriptionList<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscriptionList").field("family", &F::NAME).field("len", &self.len()).finish()
    }
}
