//! What holds an engine back: back-off after failed greetings, and rates per second.
//!
//! Source: `maxconnrate`, `maxerrrate`: SPOE.txt 1.1 (HAProxy 2.8) §2.2.

use std::time::{Duration, Instant};

/// Keeps connections from being retried at once when greetings fail.
#[derive(Default)]
pub(super) struct BackOff {
    pub(super) until: Option<Instant>,
    delay: Duration,
}

impl BackOff {
    pub(super) fn step(&mut self, now: Instant) {
        // Connections that fail together count once.
        if self.until.is_none_or(|until| now >= until) {
            self.delay = (self.delay * 2).clamp(BACK_OFF_MIN, BACK_OFF_MAX);
            self.until = Some(now + self.delay);
        }
    }
}

/// Events of the current second.
#[derive(Default)]
pub(super) struct Rate {
    since: Option<Instant>,
    count: u32,
}

impl Rate {
    pub(super) fn count(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now >= since + Duration::from_secs(1)) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count += 1;
    }

    /// If `max` (0: no limit) is reached in this second, when that ends.
    pub(super) fn exceeds(&self, now: Instant, max: u32) -> Option<Instant> {
        let end = self.since? + Duration::from_secs(1);
        (max > 0 && now < end && self.count >= max).then_some(end)
    }
}

const BACK_OFF_MIN: Duration = Duration::from_millis(10);
/// Short enough that an agent which behaves again is in use within 100 ms.
pub(super) const BACK_OFF_MAX: Duration = Duration::from_millis(80);
