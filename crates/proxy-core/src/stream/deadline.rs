//! The one timer of a connection's task.

use std::{
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use crate::host::Timer;

/// A host timer that is moved as seldom as possible.
///
/// Deadlines of a connection go later with all it does and hardly ever pass. So a later one, or none, is
/// not told to the timer: it rings at the old one, and is set anew then.
pub(crate) struct Deadline {
    timer: Box<dyn Timer>,
    /// What the timer was told; `None` once it has rung.
    armed: Option<Instant>,
}

impl Deadline {
    pub(crate) fn new(timer: Box<dyn Timer>) -> Self {
        Self { timer, armed: None }
    }

    /// Waits for `at`; ready once it has passed. The task may be woken earlier, for nothing.
    pub(crate) fn poll(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        loop {
            let armed = match self.armed {
                Some(armed) if armed <= at => armed,
                _ => {
                    self.timer.set(Some(at));
                    *self.armed.insert(at)
                }
            };
            ready!(self.timer.poll_expired(cx));
            self.armed = None;
            if armed == at {
                return Poll::Ready(());
            }
        }
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
