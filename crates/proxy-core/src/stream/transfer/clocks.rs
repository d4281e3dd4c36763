//! Whom a transfer waits for, and how long still.

use std::time::{Duration, Instant};

use crate::stream::deadline::after;

/// Who took too long.
pub(super) enum Late {
    Client,
    Server,
}

/// When one side was active last.
pub(super) struct Activity {
    bytes: u64,
    until: Option<Instant>,
}

impl Activity {
    pub(super) fn new(now: Instant, timeout: Option<Duration>) -> Self {
        Self { bytes: 0, until: after(now, timeout) }
    }

    /// The deadline, moved if bytes went since the last look.
    pub(super) fn until(&mut self, bytes: u64, now: Instant, timeout: Option<Duration>) -> Option<Instant> {
        if bytes != self.bytes {
            self.bytes = bytes;
            self.until = after(now, timeout);
        }
        self.until
    }
}

/// Both sides' activity during a transfer.
pub(super) struct Clocks {
    pub(super) client: Activity,
    pub(super) server: Activity,
}
