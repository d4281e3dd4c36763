//! Subscription lists: who gets what is published.
//!
//! A list is a version: an immutable pair of vectors, replaced whole when a subscription comes or goes.
//! Publishers walk the version they loaded, without a lock, and look at each subscription's state word
//! when its turn comes. That is why everything may be done from inside a handler:
//!
//! | inside a sync handler | takes effect |
//! |---|---|
//! | publish, same list too | at once and whole, before the outer publication goes on |
//! | subscribe | for publications that start later |
//! | unsubscribe or pause self or a sibling | at once: a sibling whose turn has not come is not called |
//! | resume, resubscribe | at once, for siblings whose turn has not come |
//! | close the list | at once: no further handler is called |
//!
//! INVARIANT: no lock of ours is held while foreign code runs: handlers, `snapshot`, drops, wakes. (Only an
//! exclusive handler runs under a lock, its own; and a reader's waker is cloned under its queue's.)

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::handler::{Handler, Inside, inside_a_handler};
use crate::queue::Queue;
use crate::subscription::{Outcome, Sink};
use crate::sync::{ArcSwap, AtomicU32, Condvar, Mutex, MutexGuard, Ordering, lock};
use crate::{
    Delivered, Error, Event, EventQueue, Family, Overflow, Publication, Subscription, SubscriptionId,
    Subtypes,
};

/// Set in the interest word when there is any subscription at all.
const ANYBODY: u32 = 1 << 16;

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

/// One immutable state of a list.
struct Version<F: Family> {
    queues: Vec<Subscription<F>>,
    handlers: Vec<Subscription<F>>,
    grace: Arc<Grace>,
}

impl<F: Family> Drop for Version<F> {
    fn drop(&mut self) {
        // The count of references is zero by now: whoever counts next under the lock sees it.
        if *lock(&self.grace.waiting) > 0 {
            self.grace.gone.notify_all();
        }
    }
}

/// Where those wait who must know that a version is out of use.
#[derive(Default)]
struct Grace {
    /// How many do.
    waiting: Mutex<usize>,
    gone: Condvar,
}

struct Registry<F: Family> {
    by_id: FxHashMap<SubscriptionId, Subscription<F>>,
    /// Replaced versions that a publication may still be walking.
    retired: Vec<Weak<Version<F>>>,
    closed: bool,
}

pub(crate) struct Inner<F: Family> {
    /// The subtypes that anybody asked for, so that publishing to nobody is one load.
    interest: AtomicU32,
    version: ArcSwap<Version<F>>,
    registry: Mutex<Registry<F>>,
    grace: Arc<Grace>,
}

/// A list of subscriptions to one family. Clones are the same list.
///
/// A process-wide list is a `static LazyLock<SubscriptionList<F>>`. When the last clone is dropped the
/// list is closed.
///
/// # Thread affinity
/// `Send` and `Sync`: any thread publishes and subscribes.
pub struct SubscriptionList<F: Family>(Arc<Inner<F>>);

impl<F: Family> SubscriptionList<F> {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        let grace = Arc::new(Grace::default());
        let version = Version { queues: Vec::new(), handlers: Vec::new(), grace: Arc::clone(&grace) };
        let registry = Registry { by_id: FxHashMap::default(), retired: Vec::new(), closed: false };
        Self(Arc::new(Inner {
            interest: AtomicU32::new(0),
            version: ArcSwap::from_pointee(version),
            registry: Mutex::new(registry),
            grace,
        }))
    }

    /// Tells everybody who asked for all of `subtype` (one subtype, as a rule).
    ///
    /// Queues first, in order of subscription; then sync handlers, in order of subscription, on this thread.
    /// It never waits for a reader. With nobody listening it costs two loads and allocates nothing.
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
        self.send(&mut Publication::new(live, subtype, when))
    }

    /// Whether a publication of `subtype` might reach anybody: to avoid making up the data for nobody.
    #[inline]
    #[must_use]
    pub fn has_listeners(&self, subtype: Subtypes) -> bool {
        let wanted = ANYBODY | u32::from(subtype.bits());
        self.0.interest.load(Ordering::Acquire) & wanted == wanted
    }

    /// As [`publish`](Self::publish), for an event that goes to several lists.
    pub fn send(&self, publication: &mut Publication<'_, '_, F>) -> Delivered {
        let mut delivered = Delivered::default();
        if !self.has_listeners(publication.subtype) {
            return delivered;
        }
        let version = self.0.version.load();
        for subscription in &version.queues {
            match subscription.enqueue(publication) {
                Outcome::None => {}
                Outcome::Delivered => delivered.queued += 1,
                Outcome::Lost => delivered.lost += 1,
            }
        }
        if version.handlers.is_empty() {
            return delivered;
        }
        let inside = Inside::enter();
        let panicked = call_all(&version.handlers, publication, &mut delivered);
        drop(inside);
        drop(version);
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
        delivered
    }

    /// Subscribes a sync handler. It runs on the publishing threads, several at once if they publish at
    /// once, and borrows the publisher's live data.
    ///
    /// # Errors
    /// [`Error::NoSubtypes`], [`Error::DuplicateId`], [`Error::Closed`].
    pub fn subscribe(
        &self,
        request: impl Into<Request>,
        handler: impl Fn(&Event<'_, '_, F>) + Send + Sync + 'static,
    ) -> Result<Subscription<F>, Error> {
        self.add(request.into(), Sink::Handler(Handler::Shared(Box::new(handler))))
    }

    /// Subscribes a sync handler that never runs twice at once: publishers on other threads wait for
    /// their turn. If it publishes what it would hear itself, that event is counted as lost for it.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_exclusive(
        &self,
        request: impl Into<Request>,
        handler: impl FnMut(&Event<'_, '_, F>) + Send + 'static,
    ) -> Result<Subscription<F>, Error> {
        self.add(request.into(), Sink::Handler(Handler::exclusive(Box::new(handler))))
    }

    /// Subscribes a queue.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn queue(&self, request: impl Into<Request>, overflow: Overflow) -> Result<EventQueue<F>, Error> {
        let queue = Arc::new(Queue::new(overflow));
        let subscription = self.add(request.into(), Sink::Queue(Arc::clone(&queue)))?;
        Ok(EventQueue::new(queue, subscription))
    }

    /// The subscription of this id.
    #[must_use]
    pub fn lookup(&self, id: SubscriptionId) -> Option<Subscription<F>> {
        lock(&self.0.registry).by_id.get(&id).cloned()
    }

    /// Looks up and [unsubscribes](Subscription::unsubscribe); false if there is none.
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.lookup(id).is_some_and(|subscription| subscription.unsubscribe())
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
        let version = self.0.version.load();
        version.queues.len() + version.handlers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends all subscriptions and takes no more. Queues deliver what they hold, then END. Closing twice is
    /// closing once; publishing to a closed list reaches nobody. Waits as
    /// [`unsubscribe`](Subscription::unsubscribe) does.
    pub fn close(&self) {
        let retired = self.0.close();
        self.0.wait_for(&retired);
    }

    fn add(&self, request: Request, sink: Sink<F>) -> Result<Subscription<F>, Error> {
        if request.subtypes.is_empty() {
            return Err(Error::NoSubtypes);
        }
        let subscription = Subscription::new(request.subtypes, request.id, sink, Arc::downgrade(&self.0));
        self.0.add(&subscription)?;
        Ok(subscription)
    }
}

/// Calls the handlers in order; answers the first panic, after which the others are called all the same.
fn call_all<F: Family>(
    handlers: &[Subscription<F>],
    publication: &Publication<'_, '_, F>,
    delivered: &mut Delivered,
) -> Option<Box<dyn Any + Send>> {
    let mut rest = handlers.iter();
    let mut first = None;
    loop {
        let called = catch_unwind(AssertUnwindSafe(|| {
            for subscription in rest.by_ref() {
                match subscription.call(publication) {
                    Outcome::None => {}
                    Outcome::Delivered => delivered.called += 1,
                    Outcome::Lost => delivered.lost += 1,
                }
            }
        }));
        match called {
            Ok(()) => return first,
            Err(payload) => first = first.or(Some(payload)),
        }
    }
}

impl<F: Family> Inner<F> {
    fn add(&self, subscription: &Subscription<F>) -> Result<(), Error> {
        let mut registry = lock(&self.registry);
        if registry.closed {
            return Err(Error::Closed);
        }
        if let Some(id) = subscription.id() {
            if registry.by_id.contains_key(&id) {
                return Err(Error::DuplicateId(id));
            }
            registry.by_id.insert(id, subscription.clone());
        }
        let old = self.replace(&mut registry, |queues, handlers| {
            let subscriptions = if subscription.is_sync() { handlers } else { queues };
            subscriptions.push(subscription.clone());
        });
        drop(registry);
        drop(old);
        Ok(())
    }

    /// Takes an ended subscription out; if `wait`, until no publication can see it.
    pub(crate) fn remove(&self, subscription: &Subscription<F>, wait: bool) {
        let mut registry = lock(&self.registry);
        let named = match subscription.id() {
            Some(id) if registry.by_id.get(&id) == Some(subscription) => registry.by_id.remove(&id),
            _ => None,
        };
        let version = self.version.load_full();
        let here = |all: &[Subscription<F>]| all.contains(subscription);
        let old = (here(&version.handlers) || here(&version.queues)).then(|| {
            self.replace(&mut registry, |queues, handlers| {
                let subscriptions = if subscription.is_sync() { handlers } else { queues };
                subscriptions.retain(|other| other != subscription);
            })
        });
        let retired = if wait { registry.retired.clone() } else { Vec::new() };
        drop(registry);
        drop((named, version, old));
        self.wait_for(&retired);
    }

    /// Makes a new version of the list; the old one is handed back, to be dropped without our locks.
    fn replace(
        &self,
        registry: &mut MutexGuard<'_, Registry<F>>,
        change: impl FnOnce(&mut Vec<Subscription<F>>, &mut Vec<Subscription<F>>),
    ) -> Arc<Version<F>> {
        let old = self.version.load_full();
        let (mut queues, mut handlers) = (old.queues.clone(), old.handlers.clone());
        change(&mut queues, &mut handlers);
        let interest = interest(&queues, &handlers);
        let new = Version { queues, handlers, grace: Arc::clone(&self.grace) };
        self.version.swap(Arc::new(new));
        self.interest.store(interest, Ordering::Release);
        registry.retired.retain(|version| version.strong_count() > 0);
        registry.retired.push(Arc::downgrade(&old));
        old
    }

    /// Waits until none of these versions is in use, unless called from inside a handler.
    fn wait_for(&self, retired: &[Weak<Version<F>>]) {
        if retired.is_empty() || inside_a_handler() {
            return;
        }
        let mut waiting = lock(&self.grace.waiting);
        *waiting += 1;
        while retired.iter().any(|version| version.strong_count() > 0) {
            waiting = self.grace.gone.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        *waiting -= 1;
    }

    fn close(&self) -> Vec<Weak<Version<F>>> {
        let mut registry = lock(&self.registry);
        registry.closed = true;
        let named = std::mem::take(&mut registry.by_id);
        let old = self.replace(&mut registry, |queues, handlers| {
            queues.clear();
            handlers.clear();
        });
        let retired = registry.retired.clone();
        drop(registry);
        for subscription in old.queues.iter().chain(&old.handlers) {
            subscription.end(false);
        }
        drop((named, old));
        retired
    }

    /// Announces subtypes before they are subscribed to, so that no publication misses them.
    pub(crate) fn widen(&self, subtypes: Subtypes) {
        let _registry = lock(&self.registry);
        let interest = self.interest.load(Ordering::Relaxed);
        if interest & ANYBODY != 0 {
            self.interest.store(interest | u32::from(subtypes.bits()), Ordering::Release);
        }
    }

    /// Works out anew who wants what.
    pub(crate) fn refresh_interest(&self) {
        let _registry = lock(&self.registry);
        let version = self.version.load();
        self.interest.store(interest(&version.queues, &version.handlers), Ordering::Release);
    }
}

fn interest<F: Family>(queues: &[Subscription<F>], handlers: &[Subscription<F>]) -> u32 {
    let all = queues.iter().chain(handlers);
    all.fold(0, |all, subscription| all | ANYBODY | u32::from(subscription.subtypes().bits()))
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
