//! Bounded queues: the way of an event to a reader on another thread or in another task.
//!
//! ```text
//!   publish ─▶ bound? ──room──▶ [ e e e e ]  ──pop──▶ Event … Lost(n) … Event … End
//!                 └───full──▶ counted, the count kept at its place among the events
//! ```
//!
//! INVARIANT: End comes last and exactly once; nothing is taken in after the subscription has ended.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard, lock};
use crate::{Family, Item, QueuedEvent, Subscription};

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
    /// Takes everything: memory is bounded only by what is published between two reads.
    Unbounded,
}

impl Overflow {
    /// What HAProxy's Lua event subscriptions do.
    pub const LUA: Self = Self::Pause { above: 100 };
}

struct Entry<F: Family> {
    /// Events lost just before this one.
    lost: u64,
    event: Arc<QueuedEvent<F>>,
}

struct State<F: Family> {
    entries: VecDeque<Entry<F>>,
    /// Events lost after the last entry.
    lost: u64,
    /// Paused by its own bound until the reader has drained it.
    throttled: bool,
    ended: bool,
    end_told: bool,
    waker: Option<Waker>,
}

pub(crate) struct Queue<F: Family> {
    overflow: Overflow,
    state: Mutex<State<F>>,
}

impl<F: Family> Queue<F> {
    pub(crate) fn new(overflow: Overflow) -> Self {
        let state = State {
            entries: VecDeque::new(),
            lost: 0,
            throttled: false,
            ended: false,
            end_told: false,
            waker: None,
        };
        Self { overflow, state: Mutex::new(state) }
    }

    /// Takes an event in; answers how many were lost by it, or `None` if the queue has ended.
    pub(crate) fn push(&self, event: &Arc<QueuedEvent<F>>) -> Option<Pushed> {
        let mut state = lock(&self.state);
        if state.ended {
            return None;
        }
        let waiting = state.entries.len();
        let mut dropped = None;
        match self.overflow {
            Overflow::Pause { above } if state.throttled || waiting >= above => {
                state.throttled = true;
                state.lost += 1;
                return Some(Pushed::Lost);
            }
            Overflow::DropNewest { max } if waiting >= max => {
                state.lost += 1;
                return Some(Pushed::Lost);
            }
            Overflow::DropOldest { max } if waiting >= max => {
                let Some(oldest) = state.entries.pop_front() else {
                    state.lost += 1;
                    return Some(Pushed::Lost);
                };
                let lost = oldest.lost + 1;
                match state.entries.front_mut() {
                    Some(next) => next.lost += lost,
                    None => state.lost += lost,
                }
                dropped = Some(oldest);
            }
            _ => {}
        }
        let lost = std::mem::take(&mut state.lost);
        state.entries.push_back(Entry { lost, event: Arc::clone(event) });
        wake(state);
        Some(if dropped.is_some() { Pushed::Displaced } else { Pushed::Queued })
    }

    /// Counts events that the subscription missed while it was paused.
    pub(crate) fn miss(&self) {
        let mut state = lock(&self.state);
        if !state.ended {
            state.lost += 1;
        }
    }

    /// Wakes the reader if it has something to hear, such as what was lost during a pause.
    pub(crate) fn resumed(&self) {
        let state = lock(&self.state);
        if state.lost > 0 {
            wake(state);
        }
    }

    /// Ends the queue: END is poppable from now on, after what waits. Answers how many were discarded.
    pub(crate) fn end(&self, discard: bool) -> u64 {
        let mut state = lock(&self.state);
        let mut discarded = VecDeque::new();
        if discard {
            discarded = std::mem::take(&mut state.entries);
            let lost: u64 = discarded.iter().map(|entry| entry.lost + 1).sum();
            state.lost += lost;
        }
        state.ended = true;
        wake(state);
        discarded.len() as u64
    }

    fn pop(&self, paused: bool) -> Option<Item<F>> {
        lock(&self.state).pop(paused)
    }
}

impl<F: Family> State<F> {
    fn pop(&mut self, paused: bool) -> Option<Item<F>> {
        if let Some(first) = self.entries.front_mut() {
            if first.lost > 0 {
                return Some(Item::Lost(std::mem::take(&mut first.lost)));
            }
            return self.entries.pop_front().map(|entry| Item::Event(entry.event));
        }
        // Drained: a queue that its bound had paused goes on from here.
        self.throttled = false;
        if self.lost > 0 && (!paused || self.ended) {
            return Some(Item::Lost(std::mem::take(&mut self.lost)));
        }
        (self.ended && !std::mem::replace(&mut self.end_told, true)).then_some(Item::End)
    }
}

/// Lets go of the lock, then wakes the reader.
fn wake<F: Family>(mut state: MutexGuard<'_, State<F>>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// How a push ended.
pub(crate) enum Pushed {
    Queued,
    /// Queued in place of an older one.
    Displaced,
    Lost,
}

/// The reading end of a subscription: a `futures_core::Stream` that any executor polls.
///
/// Its items are the events in order of publication, [`Item::Lost`] where some are missing, and
/// [`Item::End`] last. Dropping it ends the subscription.
///
/// # Thread affinity
/// `Send`: read it on whichever thread. Publishers on others wait for nothing but a short lock.
pub struct EventQueue<F: Family> {
    queue: Arc<Queue<F>>,
    subscription: Subscription<F>,
}

impl<F: Family> EventQueue<F> {
    pub(crate) fn new(queue: Arc<Queue<F>>, subscription: Subscription<F>) -> Self {
        Self { queue, subscription }
    }

    /// The subscription behind the queue.
    #[must_use]
    pub fn subscription(&self) -> &Subscription<F> {
        &self.subscription
    }

    /// The next item, if there is one now. After [`Item::End`] there is none.
    pub fn try_pop(&mut self) -> Option<Item<F>> {
        self.queue.pop(self.subscription.is_paused())
    }

    /// Appends up to `max` items to `batch` under one lock; answers how many.
    pub fn pop_batch(&mut self, max: usize, batch: &mut Vec<Item<F>>) -> usize {
        let paused = self.subscription.is_paused();
        let mut state = lock(&self.queue.state);
        let before = batch.len();
        batch.extend(std::iter::from_fn(|| state.pop(paused)).take(max));
        batch.len() - before
    }

    /// The first event waiting, left in its place.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<QueuedEvent<F>>> {
        lock(&self.queue.state).entries.front().map(|entry| Arc::clone(&entry.event))
    }

    /// How many events wait, exactly.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.queue.state).entries.len()
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its bound has paused it: events are being lost until it is drained.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        lock(&self.queue.state).throttled
    }

    /// The next item, or pending; `None` after [`Item::End`].
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item<F>>> {
        let paused = self.subscription.is_paused();
        let mut state = lock(&self.queue.state);
        match state.pop(paused) {
            Some(item) => Poll::Ready(Some(item)),
            None if state.end_told => Poll::Ready(None),
            None => {
                let known = state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
                let old = if known { None } else { state.waker.replace(cx.waker().clone()) };
                drop(state);
                drop(old);
                Poll::Pending
            }
        }
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
    }
}

impl<F: Family> std::fmt::Debug for EventQueue<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}
