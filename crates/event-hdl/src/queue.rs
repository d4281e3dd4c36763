//! The reader's end of a queue, and what the queue does when its reader does not keep up.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::reading::Desk;
use crate::subscription::Queue;
use crate::{EventRef, Family, Item, Subscription};

/// What a queue does when its reader does not keep up. The bound is held when publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Pauses once `above` events wait and another comes; resumes when the reader has drained the queue,
    /// who is then told the exact number missed.
    ///
    /// # Source
    /// `core.event_sub` in lua-api, which pauses above 100.
    Pause {
        /// The most events that wait.
        above: usize,
    },
    /// Loses what comes while `max` wait.
    DropNewest {
        /// The most events that wait.
        max: usize,
    },
    /// Loses the oldest waiting when `max` wait and another comes.
    DropOldest {
        /// The most events that wait.
        max: usize,
    },
    /// Takes everything: memory is bounded only by what is published between two reads. (Of more than 2³²-1 events
    /// that wait, the newest are lost.)
    Unbounded,
}

impl Overflow {
    /// What HAProxy's Lua event subscriptions do.
    pub const LUA: Self = Self::Pause { above: 100 };
}

/// The reading end of a subscription: a `futures_core::Stream` that any executor polls.
///
/// Its items are the events in order of publication, [`Item::Lost`] where some are missing, and
/// [`Item::End`] last. Dropping it ends the subscription.
///
/// # Thread affinity
/// `Send`: read it on whichever thread. Publishers on others wait for nothing but a short lock.
pub struct EventQueue<F: Family> {
    subscription: Subscription<F>,
    desk: Desk<F>,
}

impl<F: Family> EventQueue<F> {
    /// The subscription must be one to a queue.
    pub(crate) fn new(subscription: Subscription<F>) -> Self {
        Self { subscription, desk: Desk::new() }
    }

    fn queue(&self) -> &Queue<F> {
        self.subscription.queue().expect("invariant: made for a subscription to a queue")
    }

    /// The subscription behind the queue.
    #[must_use]
    pub fn subscription(&self) -> &Subscription<F> {
        &self.subscription
    }

    /// The next item, if there is one now. After [`Item::End`] there is none.
    pub fn try_pop(&mut self) -> Option<Item<F>> {
        let queue = self.queue();
        queue.hub.pop(queue.key)
    }

    /// Appends up to `max` items to `batch` under one lock; answers how many.
    pub fn pop_batch(&mut self, max: usize, batch: &mut Vec<Item<F>>) -> usize {
        let (queue, before) = (self.queue(), batch.len());
        queue.hub.pop_batch(queue.key, max, batch);
        batch.len() - before
    }

    /// Shows up to `max` items to `read`, in order; answers how many. The cheapest way to read: events are taken out
    /// and put back under one lock each for the whole batch, and none is counted for itself. An item that is to be
    /// kept can be cloned.
    ///
    /// # Panics
    /// If `read` does; the rest of the batch is lost then, and the reader is told so next.
    pub fn read_batch(&mut self, max: usize, read: impl FnMut(&Item<F>)) -> usize {
        let queue = self.subscription.queue().expect("invariant: made for a subscription to a queue");
        self.desk.read(queue, max, read)
    }

    /// The first event waiting, left in its place.
    #[must_use]
    pub fn peek(&self) -> Option<EventRef<F>> {
        let queue = self.queue();
        queue.hub.peek(queue.key)
    }

    /// How many events wait, exactly.
    #[must_use]
    pub fn len(&self) -> usize {
        let queue = self.queue();
        queue.hub.len(queue.key)
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its bound has paused it: events are being lost until it is drained.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        let queue = self.queue();
        queue.hub.is_throttled(queue.key)
    }

    /// The next item, or pending; `None` after [`Item::End`].
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item<F>>> {
        let queue = self.queue();
        queue.hub.poll_pop(queue.key, cx)
    }

    /// Waits for the next item; `None` after [`Item::End`].
    ///
    /// # Yield and cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Item<F>> {
        std::future::poll_fn(|cx| self.poll_pop(cx)).await
    }

    /// Runs a handler on every item up to and with [`Item::End`]: HAProxy's "normal" async mode. The host
    /// spawns the future on the thread of its choice.
    ///
    /// After `at_once` items (0 counts as 1) it wakes itself and yields, so a long queue neither blocks
    /// the thread nor loses its tail.
    ///
    /// # Source
    /// `tune.events.max-events-at-once` in configuration.txt, default 100.
    pub async fn for_each(mut self, at_once: usize, mut handler: impl FnMut(Item<F>, &Subscription<F>)) {
        std::future::poll_fn(|cx| {
            for _ in 0..at_once.max(1) {
                match self.poll_pop(cx) {
                    Poll::Ready(Some(item)) => handler(item, &self.subscription),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl<F: Family> futures_core::Stream for EventQueue<F> {
    type Item = Item<F>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item<F>>> {
        self.poll_pop(cx)
    }
}

impl<F: Family> Drop for EventQueue<F> {
    fn drop(&mut self) {
        self.subscription.unsubscribe_discarding();
        self.subscription.release_queue();
    }
}

impl<F: Family> std::fmt::Debug for EventQueue<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}
