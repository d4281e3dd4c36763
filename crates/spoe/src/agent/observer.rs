//! Metrics hooks: an agent tells, by value, what happens on its connections.

use std::time::Duration;

use crate::frame::Status;

/// Told what happens. Implemented for closures: `|seen: Seen| ...`.
///
/// Called in the middle of serving: count, and return. Nothing is expected back.
pub trait Observer: Send + Sync {
    /// One thing happened.
    fn observe(&self, seen: Seen);
}
const _: Option<&dyn Observer> = None;

impl<F: Fn(Seen) + Send + Sync> Observer for F {
    fn observe(&self, seen: Seen) {
        self(seen);
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// A proxy greeted and was answered.
    Greeted {
        /// Whether it was a health check, which ends here.
        healthcheck: bool,
    },
    /// A request came and its handler begins.
    Asked {
        /// The size of its messages, fragments put together.
        payload_bytes: usize,
    },
    /// A handler answered.
    Answered {
        /// Since the request was there.
        took: Duration,
        /// The size of its actions.
        actions_bytes: usize,
    },
    /// A handler was over its deadline: the late answer was sent in its place.
    Late {
        /// Since the request was there.
        took: Duration,
    },
    /// A handler panicked: an empty answer was sent in its place.
    Panicked,
    /// A handler was dropped because its answer was no longer wanted.
    Unwanted,
    /// An answer went out on another connection of the same engine, its own having broken.
    HandedOver,
    /// A connection that was greeted, and not for a health check, ended. Comes once for each.
    Closed {
        /// Why: the proxy's word, or ours.
        status: Status,
    },
}
