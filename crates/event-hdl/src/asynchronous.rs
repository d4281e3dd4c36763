//! Asynchronous handlers: HAProxy's "normal" async mode, a queue whose reader is a task of the host's.

use crate::host::Spawn;
use crate::{Error, Family, Item, Overflow, Request, Subscription, SubscriptionList};

/// How an asynchronous handler is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// What happens when it does not keep up.
    pub overflow: Overflow,
    /// How many items it handles before other tasks have their turn; 0 counts as 1.
    ///
    /// # Source
    /// `tune.events.max-events-at-once` in configuration.txt.
    pub at_once: usize,
}

impl Default for Feed {
    /// Takes everything, a hundred at once.
    fn default() -> Self {
        Self { overflow: Overflow::Unbounded, at_once: 100 }
    }
}

impl<F: Family> SubscriptionList<F> {
    /// Subscribes a handler that runs in a task on the thread that subscribes: one item at a time, in order, up to and
    /// with [`Item::End`]. It is dropped after that.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn subscribe_here(
        &self,
        host: &dyn Spawn,
        request: impl Into<Request>,
        feed: Feed,
        handler: impl FnMut(Item<F>, &Subscription<F>) + 'static,
    ) -> Result<Subscription<F>, Error> {
        let queue = self.queue(request, feed.overflow)?;
        let subscription = queue.subscription().clone();
        host.spawn_here(Box::pin(queue.for_each(feed.at_once, handler)));
        Ok(subscription)
    }

    /// As [`subscribe_here`](Self::subscribe_here), on whichever thread publishes, or the host finds for it. Calls never
    /// overlap.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn subscribe_anywhere(
        &self,
        host: &dyn Spawn,
        request: impl Into<Request>,
        feed: Feed,
        handler: impl FnMut(Item<F>, &Subscription<F>) + Send + 'static,
    ) -> Result<Subscription<F>, Error> {
        let queue = self.queue(request, feed.overflow)?;
        let subscription = queue.subscription().clone();
        host.spawn_anywhere(Box::pin(queue.for_each(feed.at_once, handler)));
        Ok(subscription)
    }
}
