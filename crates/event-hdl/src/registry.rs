//! Who is subscribed to a list: what only those who change the list need.

use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

use crate::handlers::Book;
use crate::interest::Interest;
use crate::subscription::NOWHERE;
use crate::{Family, Subscription, SubscriptionId};

pub(crate) struct Registry<F: Family> {
    /// By key; the references that a list holds.
    all: Vec<Option<Subscription<F>>>,
    free: Vec<u32>,
    by_id: FxHashMap<SubscriptionId, u32>,
    pub(crate) book: Book<F>,
    pub(crate) handlers_asked: Interest,
    pub(crate) queues_asked: Interest,
    pub(crate) closed: bool,
}

impl<F: Family> Registry<F> {
    pub(crate) fn new() -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            by_id: FxHashMap::default(),
            book: Book::new(),
            handlers_asked: Interest::default(),
            queues_asked: Interest::default(),
            closed: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    pub(crate) fn lookup(&self, id: SubscriptionId) -> Option<&Subscription<F>> {
        self.all[*self.by_id.get(&id)? as usize].as_ref()
    }

    /// Takes a subscription in. If its id is in use: who uses it.
    pub(crate) fn enter(&mut self, subscription: &Subscription<F>) -> Result<(), &Subscription<F>> {
        let key = self.free.last().copied().unwrap_or(self.all.len() as u32);
        if let Some(id) = subscription.id() {
            match self.by_id.entry(id) {
                Entry::Vacant(vacant) => drop(vacant.insert(key)),
                Entry::Occupied(other) => {
                    let other = self.all[*other.get() as usize].as_ref();
                    return Err(other.expect("invariant: an id leads to its subscription"));
                }
            }
        }
        subscription.set_key(key);
        self.interest_of(subscription).add(subscription.registered());
        match self.free.pop() {
            Some(key) => self.all[key as usize] = Some(subscription.clone()),
            None => self.all.push(Some(subscription.clone())),
        }
        Ok(())
    }

    /// Lets a subscription go, if it is in.
    pub(crate) fn leave(&mut self, key: u32) -> Option<Subscription<F>> {
        let left = self.all.get_mut(key as usize)?.take()?;
        self.free.push(key);
        left.set_key(NOWHERE);
        if let Some(id) = left.id() {
            self.by_id.remove(&id);
        }
        self.interest_of(&left).remove(left.registered());
        Some(left)
    }

    /// Lets all go, for good.
    pub(crate) fn close(&mut self) -> Vec<Option<Subscription<F>>> {
        self.closed = true;
        self.by_id = FxHashMap::default();
        self.free = Vec::new();
        (self.handlers_asked, self.queues_asked) = (Interest::default(), Interest::default());
        let all = std::mem::take(&mut self.all);
        for subscription in all.iter().flatten() {
            subscription.set_key(NOWHERE);
            subscription.set_place(NOWHERE);
        }
        all
    }

    pub(crate) fn interest_of(&mut self, subscription: &Subscription<F>) -> &mut Interest {
        if subscription.queue().is_some() { &mut self.queues_asked } else { &mut self.handlers_asked }
    }
}
