//! Requests that wait for a slot, of a backend and of its servers.
//!
//! One small lock per proxy, taken only while something waits. Each waiter has a rank: its priority
//! class, when it came (moved by its priority offset), and a number. Ranks are served in order, across
//! the backend's queue and the queue of the server that has room. Source: configuration.txt,
//! `set-priority-class` and `set-priority-offset`.
//! A slot is taken in a waiter's name before the waiter is woken, so nobody can overtake it; a
//! waiter that dies with a slot in its name gives it back.
//!
//! INVARIANT: no wake-up is lost. A releaser first gives the slot back, then looks at the count of
//! waiters; a waiter first counts itself, then looks for a slot; both sequentially consistent.
//! Lock order: a server's core before this queue; nothing is taken while this queue is held.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::server::Server;
use crate::config::Proxy;

/// The queue of a proxy.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    next: u64,
    waiting: BTreeMap<Line, BTreeMap<Rank, Waker>>,
    ended: BTreeMap<u64, Outcome>,
}

/// What rules say about a request's place in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority {
    class: i16,
    offset_ms: i32,
}

impl Priority {
    /// Which class it belongs to, cut to -2047 to 2047: lower ones are served first.
    pub fn set_class(&mut self, class: i64) {
        self.class = class.clamp(-CLASS_MAX, CLASS_MAX) as i16;
    }

    /// By how many milliseconds it counts as having come later, cut to -524287 to 524287.
    pub fn set_offset(&mut self, offset_ms: i64) {
        self.offset_ms = offset_ms.clamp(-OFFSET_MS_MAX, OFFSET_MS_MAX) as i32;
    }

    /// The class.
    #[must_use]
    pub fn class(self) -> i64 {
        self.class.into()
    }

    /// The offset in milliseconds.
    #[must_use]
    pub fn offset_ms(self) -> i64 {
        self.offset_ms.into()
    }

    /// The moment that counts for a request that came at `now`, and the class. Offsets are counted from the lowest
    /// one, so that no instant is asked for that lies before the system's first.
    fn due(self, now: Instant) -> (i16, Instant) {
        let after = self.offset_ms().saturating_add(OFFSET_MS_MAX).unsigned_abs();
        (self.class, now + Duration::from_millis(after))
    }
}

const CLASS_MAX: i64 = 2047;
const OFFSET_MS_MAX: i64 = 524_287;

/// A place among those who wait; the lowest is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    due: (i16, Instant),
    number: u64,
}

/// Which line a waiter stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    /// Any server of the backend will do.
    Backend,
    /// This server only, by its index in the proxy.
    Server(usize),
}

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A slot of that server was taken in the waiter's name.
    Slot(usize),
    /// The server can no longer be chosen: choose again.
    ChooseAgain,
}

/// Tasks to wake once no lock is held.
#[derive(Default)]
pub(crate) struct Wakes(SmallVec<[Waker; 4]>);

impl Wakes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// A place in a line. Dropping it leaves the line.
pub(crate) struct Ticket {
    proxy: Arc<Proxy>,
    line: Line,
    rank: Rank,
}

impl Queue {
    /// Serves who waits for this server or for any, as far as it has room.
    pub(crate) fn dispatch(&self, proxy: &Proxy, server: &Server, wakes: &mut Wakes) {
        if proxy.state.waiting.load(SeqCst) == 0 {
            return;
        }
        if let Some(index) = index_of(proxy, server) {
            self.0.lock().dispatch(proxy, index, wakes);
        }
    }

    /// Sends those who wait for this server to choose again; how many.
    pub(crate) fn evict(&self, proxy: &Proxy, server: &Server, wakes: &mut Wakes) -> usize {
        let Some(index) = index_of(proxy, server).filter(|_| proxy.state.waiting.load(SeqCst) > 0) else {
            return 0;
        };
        let mut inner = self.0.lock();
        let line = Line::Server(index);
        let ranks: Vec<Rank> =
            inner.waiting.get(&line).map_or_else(Vec::new, |waiting| waiting.keys().copied().collect());
        for rank in &ranks {
            inner.end(proxy, line, *rank, Outcome::ChooseAgain, wakes);
        }
        ranks.len()
    }
}

impl Inner {
    fn dispatch(&mut self, proxy: &Proxy, index: usize, wakes: &mut Wakes) {
        let server = &proxy.servers[index];
        if !server.is_usable() {
            return;
        }
        while let Some((line, rank)) = self.first_for(index) {
            if !server.try_acquire() {
                return;
            }
            self.end(proxy, line, rank, Outcome::Slot(index), wakes);
        }
    }

    /// The first of those a server may serve.
    fn first_for(&self, index: usize) -> Option<(Line, Rank)> {
        [Line::Backend, Line::Server(index)]
            .into_iter()
            .filter_map(|line| Some((line, *self.waiting.get(&line)?.first_key_value()?.0)))
            .min_by_key(|(_, rank)| *rank)
    }

    fn end(&mut self, proxy: &Proxy, line: Line, rank: Rank, outcome: Outcome, wakes: &mut Wakes) {
        let waker = self.leave(proxy, line, rank).expect("invariant: it was found waiting under this lock");
        self.ended.insert(rank.number, outcome);
        wakes.0.push(waker);
    }

    fn leave(&mut self, proxy: &Proxy, line: Line, rank: Rank) -> Option<Waker> {
        let waker = self.waiting.get_mut(&line)?.remove(&rank)?;
        proxy.state.waiting.fetch_sub(1, SeqCst);
        match line {
            Line::Backend => proxy.state.queued.leave(),
            Line::Server(index) => proxy.servers[index].queued.leave(),
        }
        Some(waker)
    }
}

impl Ticket {
    /// Joins a line at `now`. A slot that came free meanwhile is given at once: poll afterwards.
    pub(crate) fn draw(
        proxy: &Arc<Proxy>,
        line: Line,
        priority: Priority,
        now: Instant,
        waker: &Waker,
    ) -> Self {
        let mut wakes = Wakes::new();
        let mut inner = proxy.state.queue.0.lock();
        let rank = Rank { due: priority.due(now), number: inner.next };
        inner.next += 1;
        inner.waiting.entry(line).or_default().insert(rank, waker.clone());
        proxy.state.waiting.fetch_add(1, SeqCst);
        match line {
            Line::Backend => {
                proxy.state.queued.enter();
                for index in 0..proxy.servers.len() {
                    inner.dispatch(proxy, index, &mut wakes);
                }
            }
            Line::Server(index) => {
                proxy.servers[index].queued.enter();
                if proxy.servers[index].is_usable() {
                    inner.dispatch(proxy, index, &mut wakes);
                } else {
                    inner.end(proxy, line, rank, Outcome::ChooseAgain, &mut wakes);
                }
            }
        }
        drop(inner);
        wakes.wake();
        Self { proxy: proxy.clone(), line, rank }
    }

    /// How waiting ended, once it has; the ticket is used up then.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Outcome> {
        let mut inner = self.proxy.state.queue.0.lock();
        if let Some(outcome) = inner.ended.remove(&self.rank.number) {
            return Poll::Ready(outcome);
        }
        let waiting = inner.waiting.get_mut(&self.line);
        if let Some(waker) = waiting.and_then(|waiting| waiting.get_mut(&self.rank)) {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let state = &self.proxy.state;
        let mut inner = state.queue.0.lock();
        if inner.leave(&self.proxy, self.line, self.rank).is_some() {
            return;
        }
        if let Some(Outcome::Slot(index)) = inner.ended.remove(&self.rank.number) {
            drop(inner);
            give_back(&self.proxy, index);
        }
    }
}

/// Gives a slot back and serves who waits for it.
pub(crate) fn give_back(proxy: &Proxy, index: usize) {
    let server = &proxy.servers[index];
    server.release();
    if proxy.state.waiting.load(SeqCst) > 0 {
        let mut wakes = Wakes::new();
        proxy.state.queue.0.lock().dispatch(proxy, index, &mut wakes);
        wakes.wake();
    }
}

fn index_of(proxy: &Proxy, server: &Server) -> Option<usize> {
    proxy.servers.iter().position(|s| std::ptr::eq(&raw const **s, server))
}

#[cfg(test)]
mod tests;
