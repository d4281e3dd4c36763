//! What the clones of a list share: how publications go through it, and how it changes.

use std::sync::Arc;

use crate::handlers::{Handlers, Left};
use crate::hub::Hub;
use crate::interest::may_reach;
use crate::log::{debug, warn};
use crate::pins::{Holder, inside_a_handler, new_list_number};
use crate::registry::Registry;
use crate::subscription::MASK;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};
use crate::{Delivered, Error, Family, Occurrence, Publication, Subscription, SubscriptionId, Subtypes};

pub(crate) struct Inner<F: Family> {
    /// What anybody asks for, so that publishing to nobody is one load; and what sync handlers, and queues, do.
    interest: AtomicU32,
    handlers_interest: AtomicU32,
    queues_interest: AtomicU32,
    handlers: Handlers<F>,
    queues: Arc<Hub<F>>,
    registry: Mutex<Registry<F>>,
}

impl<F: Family> Inner<F> {
    pub(crate) fn new() -> Self {
        Self {
            interest: AtomicU32::new(0),
            handlers_interest: AtomicU32::new(0),
            queues_interest: AtomicU32::new(0),
            handlers: Handlers::new(new_list_number()),
            queues: Arc::new(Hub::new()),
            registry: Mutex::new(Registry::new()),
        }
    }

    #[inline]
    pub(crate) fn has_listeners(&self, subtype: Subtypes) -> bool {
        may_reach(self.interest.load(Ordering::Acquire), subtype)
    }

    pub(crate) fn queues(&self) -> &Arc<Hub<F>> {
        &self.queues
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.registry).len()
    }

    pub(crate) fn lookup(&self, id: SubscriptionId) -> Option<Subscription<F>> {
        lock(&self.registry).lookup(id).cloned()
    }

    /// Feeds the queues, then calls the handlers. `last`: the publication goes to no other list.
    pub(crate) fn publish(&self, publication: &mut Publication<'_, '_, F>, last: bool) -> Delivered {
        let mut delivered = Delivered::default();
        if self.has_queues(publication.occurrence.subtype) {
            self.queues.offer(publication, last, &mut delivered);
        }
        let Delivered { called, lost, .. } = self.call(&publication.occurrence);
        Delivered { called, queued: delivered.queued, lost: delivered.lost + lost }
    }

    /// Whether a publication of `subtype` might reach a queue.
    #[inline]
    pub(crate) fn has_queues(&self, subtype: Subtypes) -> bool {
        may_reach(self.queues_interest.load(Ordering::Acquire), subtype)
    }

    /// Calls the handlers.
    #[inline]
    pub(crate) fn call(&self, occurrence: &Occurrence<'_, '_, F>) -> Delivered {
        if !may_reach(self.handlers_interest.load(Ordering::Acquire), occurrence.subtype) {
            return Delivered::default();
        }
        let _chores = Chores(self);
        self.handlers.call(occurrence)
    }

    pub(crate) fn add(&self, subscription: Subscription<F>) -> Result<Subscription<F>, Error> {
        let mut registry = lock(&self.registry);
        if registry.closed {
            return Err(Error::Closed);
        }
        if let Err(other) = registry.enter(&subscription) {
            let (_mine, _other, id) = (subscription.origin(), other.origin(), other.id());
            drop(registry);
            let id = id.expect("invariant: it was found by its id");
            warn!(family = F::NAME, %id, by = %_mine, used_by = %_other, "subscription refused: its id is in use");
            return Err(Error::DuplicateId(id));
        }
        match subscription.queue() {
            Some(queue) => queue.hub.open(queue.key, subscription.registered()),
            None => self.handlers.push(&mut registry.book, &subscription),
        }
        self.announce(&registry);
        drop(registry);
        drop(Chores(self));
        debug!(family = F::NAME, by = %subscription.origin(), ?subscription, "subscribed");
        Ok(subscription)
    }

    /// Ends a subscription to a handler and waits until no publication sees it; false if it had ended before.
    pub(crate) fn end_handler(&self, subscription: &Subscription<F>) -> bool {
        let mut registry = lock(&self.registry);
        let first = subscription.end_here();
        let held = registry.leave(subscription.key());
        let holders = self.handlers.unlink(&mut registry.book, subscription);
        self.announce(&registry);
        drop(registry);
        self.let_go(held, holders);
        first
    }

    /// Lets the ended subscription to a queue go.
    pub(crate) fn remove_queue(&self, subscription: &Subscription<F>) {
        let mut registry = lock(&self.registry);
        let held = registry.leave(subscription.key());
        self.announce(&registry);
        drop(registry);
        drop(held);
    }

    /// Ends the subscription of this id and lets it go; false if there is none.
    pub(crate) fn end_by_id(&self, id: SubscriptionId) -> bool {
        let mut registry = lock(&self.registry);
        let Some(subscription) = registry.lookup(id) else { return false };
        if subscription.queue().is_some() {
            // Its reader is woken, without our lock.
            let subscription = subscription.clone();
            drop(registry);
            return subscription.unsubscribe();
        }
        let key = subscription.key();
        let held = registry.leave(key).expect("invariant: it was just looked up");
        held.end_here();
        let holders = self.handlers.unlink(&mut registry.book, &held);
        self.announce(&registry);
        drop(registry);
        debug!(family = F::NAME, %id, "unsubscribed");
        self.let_go(Some(held), holders);
        true
    }

    /// Drops a subscription that was unlinked under these publications.
    #[inline]
    fn let_go(&self, held: Option<Subscription<F>>, holders: Vec<Holder>) {
        if holders.is_empty() {
            drop(held);
            drop(Chores(self));
        } else {
            self.settle(Left::new(held, holders));
        }
    }

    /// Drops what was taken out when nobody sees it any more: now, or from inside a handler later.
    fn settle(&self, left: Left<F>) {
        if !left.is_free() {
            if inside_a_handler() {
                return self.handlers.leave(&mut lock(&self.registry).book, left);
            }
            left.wait();
        }
        drop(left);
        drop(Chores(self));
    }

    #[cold]
    fn tidy(&self) {
        let swept = self.handlers.tidy(&mut lock(&self.registry).book);
        drop(swept);
    }

    /// Changes the state of a subscription to a handler; false if it has ended.
    pub(crate) fn change(&self, subscription: &Subscription<F>, new: impl Fn(u32) -> u32) -> bool {
        let registry = lock(&self.registry);
        let changed = subscription.update_here(new);
        self.handlers.refresh(&registry.book, subscription);
        changed
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
        let changed = subscription.update_here(set);
        self.handlers.refresh(&registry.book, subscription);
        registry.interest_of(subscription).remove(if changed { before } else { subtypes });
        self.announce(&registry);
        if changed { Ok(()) } else { Err(Error::Ended) }
    }

    pub(crate) fn close(&self) {
        let mut registry = lock(&self.registry);
        let all = registry.close();
        let left = self.handlers.clear(&mut registry.book);
        self.announce(&registry);
        for handler in all.iter().flatten().filter(|one| one.queue().is_none()) {
            handler.end_here();
        }
        drop(registry);
        for queue in all.iter().flatten() {
            queue.end_queue(false);
        }
        debug!(family = F::NAME, ended = all.iter().flatten().count(), "list closed");
        self.settle(left.with_all(all));
    }

    /// Says who is interested in what.
    fn announce(&self, registry: &Registry<F>) {
        let (handlers, queues) = (registry.handlers_asked.word(), registry.queues_asked.word());
        self.handlers_interest.store(handlers, Ordering::Release);
        self.queues_interest.store(queues, Ordering::Release);
        self.interest.store(handlers | queues, Ordering::Release);
    }
}

/// Does, in the end and also after a panic, what others had to leave.
struct Chores<'i, F: Family>(&'i Inner<F>);

impl<F: Family> Drop for Chores<'_, F> {
    #[inline]
    fn drop(&mut self) {
        if self.0.handlers.has_chores() {
            self.0.tidy();
        }
    }
}

impl<F: Family> Drop for Inner<F> {
    fn drop(&mut self) {
        self.close();
    }
}
