//! Subscription lists: who gets what is published.
//!
//! Publishers walk the handlers' table without a lock and look at each subscription's state word when its turn
//! comes; the queues they feed are behind one lock that no foreign code runs under. That is why everything may be
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

use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::handler::Exclusive;
use crate::handlers::{Book, Handlers, Left};
use crate::hub::Hub;
use crate::interest::{Interest, may_reach};
use crate::log::{debug, warn};
use crate::pins::{inside_a_handler, new_list_number};
use crate::subscription::{MASK, Queue, Sink};
use crate::sync::{AtomicU32, Mutex, Ordering, lock};
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

pub(crate) struct Inner<F: Family> {
    /// What anybody asks for, so that publishing to nobody is one load; and what sync handlers, and queues, do.
    interest: AtomicU32,
    handlers_interest: AtomicU32,
    queues_interest: AtomicU32,
    handlers: Handlers<F>,
    queues: Arc<Hub<F>>,
    registry: Mutex<Registry<F>>,
}

/// What only those who change the list need.
struct Registry<F: Family> {
    by_id: FxHashMap<SubscriptionId, Subscription<F>>,
    book: Book<F>,
    /// The subscriptions to queues, by their keys.
    queues: Vec<Option<Subscription<F>>>,
    queues_open: usize,
    handlers_asked: Interest,
    queues_asked: Interest,
    closed: bool,
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
        let registry = Registry {
            by_id: FxHashMap::default(),
            book: Book::new(),
            queues: Vec::new(),
            queues_open: 0,
            handlers_asked: Interest::default(),
            queues_asked: Interest::default(),
            closed: false,
        };
        Self(Arc::new(Inner {
            interest: AtomicU32::new(0),
            handlers_interest: AtomicU32::new(0),
            queues_interest: AtomicU32::new(0),
            handlers: Handlers::new(new_list_number()),
            queues: Arc::new(Hub::new()),
            registry: Mutex::new(registry),
        }))
    }

    /// Tells everybody who asked for all of `subtype` (one subtype, as a rule).
    ///
    /// Queues first, in order of subscription; then sync handlers, in order of subscription, on this thread.
    /// It never waits for a reader. With nobody listening it costs one load and allocates nothing.
    /// `when` is wall-clock time since the epoch.
    ///
    /// # Panics
    /// If a handler panics: after all others have been called, with the first one's panic.
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
        may_reach(self.0.interest.load(Ordering::Acquire), subtype)
    }

    /// As [`publish`](Self::publish), for an event that goes to several lists.
    pub fn send(&self, publication: &mut Publication<'_, '_, F>) -> Delivered {
        let queued = self.0.queue(publication, false);
        self.0.call(&publication.occurrence, queued)
    }

    #[inline(never)]
    fn deliver(&self, live: &F::Live<'_>, subtype: Subtypes, when: Duration) -> Delivered {
        let queued = self.0.queue(&mut Publication::new(live, subtype, when), true);
        self.0.call(&Occurrence::new(live, subtype, when), queued)
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
        let hub = Arc::clone(&self.0.queues);
        let key = hub.reserve(overflow);
        let sink = Sink::Queue(Queue { hub, key });
        let refused = |error| {
            self.0.queues.forget(key);
            error
        };
        self.add(request.into(), sink, Location::caller()).map(EventQueue::new).map_err(refused)
    }

    /// The subscription of this id.
    #[must_use]
    pub fn lookup(&self, id: SubscriptionId) -> Option<Subscription<F>> {
        lock(&self.0.registry).by_id.get(&id).cloned()
    }

    /// Looks up and [unsubscribes](Subscription::unsubscribe); false if there is none.
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.0.remove_by_id(id)
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
        let registry = lock(&self.0.registry);
        registry.book.live() + registry.queues_open
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
        self.0.queues.unfinished()
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
        let subscription = Subscription::new(request.subtypes, request.id, sink, list, origin);
        self.0.add(&subscription)?;
        Ok(subscription)
    }
}

impl<F: Family> Inner<F> {
    /// Feeds the queues. `last`: the publication goes to no other list.
    #[inline]
    fn queue(&self, publication: &mut Publication<'_, '_, F>, last: bool) -> Delivered {
        let mut delivered = Delivered::default();
        if may_reach(self.queues_interest.load(Ordering::Acquire), publication.occurrence.subtype) {
            self.queues.offer(publication, last, &mut delivered);
        }
        delivered
    }

    /// Calls the handlers.
    #[inline]
    fn call(&self, occurrence: &Occurrence<'_, '_, F>, mut delivered: Delivered) -> Delivered {
        if !may_reach(self.handlers_interest.load(Ordering::Acquire), occurrence.subtype) {
            return delivered;
        }
        let panicked = self.handlers.call(occurrence, &mut delivered);
        if self.handlers.is_littered() {
            self.sweep();
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
        delivered
    }

    fn add(&self, subscription: &Subscription<F>) -> Result<(), Error> {
        let mut registry = lock(&self.registry);
        if registry.closed {
            return Err(Error::Closed);
        }
        if let Some(id) = subscription.id() {
            if let Some(other) = registry.by_id.get(&id) {
                let (_mine, _other) = (subscription.origin(), other.origin());
                drop(registry);
                warn!(family = F::NAME, %id, by = %_mine, used_by = %_other, "subscription refused: its id is in use");
                return Err(Error::DuplicateId(id));
            }
            registry.by_id.insert(id, subscription.clone());
        }
        registry.ask(subscription);
        match subscription.queue() {
            Some(queue) => {
                registry.open(queue.key, subscription.clone());
                queue.hub.open(queue.key, subscription.registered());
            }
            None => self.handlers.push(&mut registry.book, subscription.clone()),
        }
        self.announce(&registry);
        drop(registry);
        debug!(family = F::NAME, by = %subscription.origin(), ?subscription, "subscribed");
        if self.handlers.is_littered() {
            self.sweep();
        }
        Ok(())
    }

    /// Takes an ended subscription out, and waits until no publication sees it.
    pub(crate) fn remove(&self, subscription: &Subscription<F>) {
        let mut registry = lock(&self.registry);
        let named = match subscription.id() {
            Some(id) if registry.by_id.get(&id) == Some(subscription) => registry.by_id.remove(&id),
            _ => None,
        };
        let left = self.unlink(&mut registry, subscription);
        drop(registry);
        drop(named);
        self.settle(left);
    }

    /// Ends the subscription of this id and takes it out, under one lock.
    fn remove_by_id(&self, id: SubscriptionId) -> bool {
        let mut registry = lock(&self.registry);
        let Some(subscription) = registry.by_id.remove(&id) else { return false };
        if subscription.queue().is_some() {
            // Its reader is woken, without our lock.
            drop(registry);
            return subscription.unsubscribe();
        }
        let first = subscription.end(false);
        let left = self.unlink(&mut registry, &subscription);
        drop(registry);
        self.settle(left);
        first
    }

    fn unlink(&self, registry: &mut Registry<F>, subscription: &Subscription<F>) -> Left<F> {
        let before = registry.book.live();
        let left = match subscription.queue() {
            Some(queue) => {
                let reference = registry.shut(queue.key, subscription);
                if reference.is_some() {
                    registry.queues_asked.remove(subscription.registered());
                }
                Left::unseen(reference)
            }
            None => self.handlers.unlink(&mut registry.book, subscription),
        };
        if registry.book.live() < before {
            registry.handlers_asked.remove(subscription.registered());
        }
        self.announce(registry);
        left
    }

    /// Drops what was taken out when nobody sees it any more: now, or from inside a handler later.
    fn settle(&self, left: Left<F>) {
        if inside_a_handler() && !left.is_free() {
            return self.handlers.leave(&mut lock(&self.registry).book, left);
        }
        left.wait();
        drop(left);
        if self.handlers.is_littered() {
            self.sweep();
        }
    }

    fn sweep(&self) {
        let swept = self.handlers.sweep(&mut lock(&self.registry).book);
        drop(swept);
    }

    pub(crate) fn resubscribe(
        &self,
        subscription: &Subscription<F>,
        subtypes: Subtypes,
    ) -> Result<(), Error> {
        let mut registry = lock(&self.registry);
        if registry.closed {
            return Err(Error::Ended);
        }
        let before = subscription.registered();
        let set = |state: u32| state & !MASK | u32::from(subtypes.bits());
        // Announced before and after, so that no publication misses the subscription in between.
        registry.interest_of(subscription).add(subtypes);
        self.announce(&registry);
        let changed = subscription.update(set);
        registry.interest_of(subscription).remove(if changed { before } else { subtypes });
        self.announce(&registry);
        if changed { Ok(()) } else { Err(Error::Ended) }
    }

    fn close(&self) {
        let mut registry = lock(&self.registry);
        registry.closed = true;
        let named = std::mem::take(&mut registry.by_id);
        let queues = std::mem::take(&mut registry.queues);
        registry.queues_open = 0;
        (registry.handlers_asked, registry.queues_asked) = (Interest::default(), Interest::default());
        let (handlers, left) = self.handlers.clear(&mut registry.book);
        self.announce(&registry);
        drop(registry);
        for subscription in queues.iter().flatten().chain(&handlers) {
            subscription.end(false);
        }
        debug!(family = F::NAME, ended = queues.iter().flatten().count() + handlers.len(), "list closed");
        drop((named, queues, handlers));
        self.settle(left);
    }

    /// Says who is interested in what.
    fn announce(&self, registry: &Registry<F>) {
        let (handlers, queues) = (registry.handlers_asked.word(), registry.queues_asked.word());
        self.handlers_interest.store(handlers, Ordering::Release);
        self.queues_interest.store(queues, Ordering::Release);
        self.interest.store(handlers | queues, Ordering::Release);
    }
}

impl<F: Family> Registry<F> {
    fn interest_of(&mut self, subscription: &Subscription<F>) -> &mut Interest {
        if subscription.queue().is_some() { &mut self.queues_asked } else { &mut self.handlers_asked }
    }

    fn ask(&mut self, subscription: &Subscription<F>) {
        self.interest_of(subscription).add(subscription.registered());
    }

    fn open(&mut self, key: usize, subscription: Subscription<F>) {
        if self.queues.len() <= key {
            self.queues.resize_with(key + 1, || None);
        }
        self.queues[key] = Some(subscription);
        self.queues_open += 1;
    }

    fn shut(&mut self, key: usize, subscription: &Subscription<F>) -> Option<Subscription<F>> {
        let shut = self.queues.get_mut(key)?.take_if(|open| *open == *subscription)?;
        self.queues_open -= 1;
        Some(shut)
    }
}

impl<F: Family> Drop for Inner<F> {
    fn drop(&mut self) {
        self.close();
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
