//! The one timer of a connection's task.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::host::Timer;

/// A host timer that is told only of changes.
pub(crate) struct Deadline {
    timer: Box<dyn Timer>,
    at: Option<Instant>,
}

impl Deadline {
    pub(crate) fn new(timer: Box<dyn Timer>) -> Self {
        Self { timer, at: None }
    }

    /// Waits for `at`; ready once it has passed.
    pub(crate) fn poll(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if at != self.at {
            self.timer.set(at);
            self.at = at;
        }
        if at.is_none() {
            return Poll::Pending;
        }
        let expired = self.timer.poll_expired(cx);
        if expired.is_ready() {
            self.at = None;
        }
        expired
    }
}

/// `now` plus a timeout that may be infinite.
pub(crate) fn after(now: Instant, timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|t| now.checked_add(t))
}

/// The earlier of two deadlines.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// Whether a deadline has passed.
pub(crate) fn passed(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now >= at)
}
