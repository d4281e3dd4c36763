//! Choosing a server for a request and taking one of its slots, or waiting for one.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{
    counters::bump,
    lb::{Choice, Pick},
    queue::{Line, Outcome, Priority, Ticket, give_back},
    server::Server,
};
use crate::{config::Proxy, txn::Txn};

/// The choice of a server for one request.
///
/// ```text
/// Assign::new(backend) ── poll ──► Ready(Ok(Slot))            a server, with a slot of it
///                          │  └──► Ready(Err(NoServer))       503
///                          └─────► Pending                    queued; woken when there is a slot
/// ```
///
/// The caller holds `timeout queue` against it and drops it when that has passed.
/// Dropping it at any time is safe: a slot that was being handed over goes to the next in line.
pub struct Assign {
    proxy: Arc<Proxy>,
    avoid: Option<Arc<Server>>,
    ticket: Option<Ticket>,
    queued_before: (u32, u32),
}

/// Why no server was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssignError {
    /// None can be chosen: all are down, in maintenance, draining, or without weight.
    #[error("no server is available")]
    NoServer,
}

/// A slot of a server, held while the server works on a request. Dropping it gives it to the next
/// in line.
pub struct Slot {
    proxy: Arc<Proxy>,
    index: usize,
    kills: u64,
}

impl Assign {
    /// Begins a choice among the servers of a backend.
    #[must_use]
    pub fn new(proxy: &Arc<Proxy>) -> Self {
        Self { proxy: proxy.clone(), avoid: None, ticket: None, queued_before: (0, 0) }
    }

    /// Takes that server only if there is no other (redispatch).
    #[must_use]
    pub fn avoiding(mut self, server: &Arc<Server>) -> Self {
        self.avoid = Some(server.clone());
        self
    }

    /// Chooses, or waits on. Allocates nothing unless the request has to wait.
    ///
    /// # Errors
    /// [`AssignError::NoServer`]; final.
    /// # Yield and cancel safety
    /// Pending means queued; the waker of the last call is woken. Drop to give up.
    pub fn poll(&mut self, txn: &mut Txn, cx: &mut Context<'_>) -> Poll<Result<Slot, AssignError>> {
        if let Some(done) = self.poll_ticket(cx) {
            return done.map(Ok);
        }
        let choice = Choice::of(&self.proxy, txn);
        self.poll_choice(choice, || (txn.priority, txn.worker.host.now()), cx)
    }

    /// As [`poll`](Self::poll) for a connection that belongs to no transaction: servers take turns
    /// whatever the algorithm.
    ///
    /// # Errors
    /// [`AssignError::NoServer`]; final.
    pub fn poll_outside(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Result<Slot, AssignError>> {
        self.poll_choice(Choice::default(), || (Priority::default(), now), cx)
    }

    /// Requests before this one in the server's queue and in the backend's when it was queued.
    #[must_use]
    pub fn queued_before(&self) -> (u32, u32) {
        self.queued_before
    }

    /// Waits on, if it is queued. `None`: choose (again).
    fn poll_ticket(&mut self, cx: &Context<'_>) -> Option<Poll<Slot>> {
        let outcome = match self.ticket.as_mut()?.poll(cx) {
            Poll::Pending => return Some(Poll::Pending),
            Poll::Ready(outcome) => outcome,
        };
        self.ticket = None;
        match outcome {
            Outcome::Slot(index) => Some(Poll::Ready(self.slot(index))),
            Outcome::ChooseAgain => None,
        }
    }

    pub(crate) fn poll_choice(
        &mut self,
        choice: Choice,
        place: impl Fn() -> (Priority, Instant),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Slot, AssignError>> {
        loop {
            if let Some(done) = self.poll_ticket(cx) {
                return done.map(Ok);
            }
            let state = &self.proxy.state;
            let line = match state.balancer.pick(&self.proxy, choice, self.avoid.as_ref()) {
                Pick::Taken(index) => return Poll::Ready(Ok(self.slot(index))),
                Pick::None => return Poll::Ready(Err(AssignError::NoServer)),
                Pick::AllFull => Line::Backend,
                Pick::Full(index) => Line::Server(index),
            };
            let ahead = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            self.queued_before = match line {
                Line::Backend => (0, ahead(state.queued.cur())),
                Line::Server(index) => (ahead(self.proxy.servers[index].queued.cur()), 0),
            };
            let (priority, now) = place();
            self.ticket = Some(Ticket::draw(&self.proxy, line, priority, now, cx.waker()));
        }
    }

    fn slot(&self, index: usize) -> Slot {
        let kills = self.proxy.servers[index].kills();
        let slot = Slot { proxy: self.proxy.clone(), index, kills };
        bump(&slot.server().traffic.chosen);
        bump(&self.proxy.state.be.chosen);
        slot
    }
}

impl Slot {
    /// The server it belongs to.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.proxy.servers[self.index]
    }

    /// The backend.
    #[must_use]
    pub fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// Whether somebody has ended the server's sessions since this one began.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.server().kills() != self.kills
    }

    /// Counts an established connection.
    pub fn connected(&self) {
        bump(&self.server().traffic.connects);
        bump(&self.proxy.state.be.connects);
    }

    /// Counts a connection that was used again.
    pub fn reused(&self) {
        bump(&self.server().traffic.reuses);
        bump(&self.proxy.state.be.reuses);
    }

    /// Counts a connection that failed for good.
    pub fn connect_failed(&self) {
        bump(&self.server().traffic.connect_errors);
        bump(&self.proxy.state.be.connect_errors);
    }

    /// Counts a further try on the same server.
    pub fn retried(&self) {
        bump(&self.server().traffic.retries);
        bump(&self.proxy.state.be.retries);
    }

    /// Counts that the request goes to another server after this one.
    pub fn redispatched(&self) {
        bump(&self.server().traffic.redispatches);
        bump(&self.proxy.state.be.redispatches);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        give_back(&self.proxy, self.index);
    }
}
