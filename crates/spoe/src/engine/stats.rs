//! What an engine is doing and has done, as values: take a copy, print it, add the copies of several threads.
//!
//! Source: SPOE.txt §3.5 (status codes); SPOE.txt 1.1 (HAProxy 2.8) §4 (the counters of a log line).

use std::time::Duration;

use crate::error::StreamError;
use crate::frame::Status;

/// What an engine is doing (the first group) and has done since it began (the rest).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Connections, in any state.
    pub connections: usize,
    /// Those not greeted yet.
    pub greeting: usize,
    /// Those greeted on which nothing waits.
    pub idle: usize,
    /// Exchanges that wait for a connection with room.
    pub queued: usize,
    /// Exchanges sent and not answered.
    pub waiting: usize,
    /// Exchanges that exist: queued, waiting, or answered and not fetched.
    pub exchanges: usize,

    /// Exchanges ever started.
    pub processed: u64,
    /// Exchanges that got their ACK.
    pub answered: u64,
    /// Exchanges that failed.
    pub errors: u64,
    /// Exchanges that their owner gave up before the outcome was there.
    pub abandoned: u64,
    /// ACKs for which nobody waited any more, or ever.
    pub late_acks: u64,
    /// Connections ever tried.
    pub connects: u64,
    /// Connections that could not be made or greeted.
    pub greetings_failed: u64,
    /// Greeted connections that ended for a fault, or with exchanges waiting on them.
    pub disconnects: u64,
    /// Frames of all kinds handed to connections, each fragment one.
    pub frames_sent: u64,
    /// Whole frames of all kinds that came.
    pub frames_received: u64,
    /// Bytes of the frames sent.
    pub bytes_sent: u64,
    /// Bytes of the frames received.
    pub bytes_received: u64,
    /// The failed exchanges, by reason.
    pub failures: Failures,
    /// How long answered exchanges took, from their start to their ACK.
    pub latency: Latency,
}

impl EngineStats {
    /// Adds what another engine, the same agent's on another thread, is doing and has done.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.greeting += other.greeting;
        self.idle += other.idle;
        self.queued += other.queued;
        self.waiting += other.waiting;
        self.exchanges += other.exchanges;
        self.processed += other.processed;
        self.answered += other.answered;
        self.errors += other.errors;
        self.abandoned += other.abandoned;
        self.late_acks += other.late_acks;
        self.connects += other.connects;
        self.greetings_failed += other.greetings_failed;
        self.disconnects += other.disconnects;
        self.frames_sent += other.frames_sent;
        self.frames_received += other.frames_received;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.failures.add(&other.failures);
        self.latency.add(&other.latency);
    }
}

/// Failed exchanges, counted by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    counts: [u64; REASONS.len()],
}

impl Failures {
    /// How many failed for this reason. Statuses without a name of their own count as [`Status::UNKNOWN`].
    pub fn of(&self, reason: StreamError) -> u64 {
        self.counts[place(reason)]
    }

    /// Every reason that occurred, with its count, in the order of the codes.
    pub fn iter(&self) -> impl Iterator<Item = (StreamError, u64)> + '_ {
        REASONS.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    pub(super) fn count(&mut self, reason: StreamError) {
        self.counts[place(reason)] += 1;
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }
}

fn place(reason: StreamError) -> usize {
    let place = REASONS.iter().position(|known| *known == reason);
    place.unwrap_or(REASONS.len() - 1)
}

/// Every reason that is counted apart, in the order of the codes; the last stands for all other statuses.
const REASONS: [StreamError; 21] = [
    StreamError::Timeout,
    StreamError::Resources,
    StreamError::TooBig,
    StreamError::FragmentAborted,
    StreamError::Interrupted,
    StreamError::Unknown,
    StreamError::Spop(Status::NORMAL),
    StreamError::Spop(Status::IO),
    StreamError::Spop(Status::TIMEOUT),
    StreamError::Spop(Status::TOO_BIG),
    StreamError::Spop(Status::INVALID),
    StreamError::Spop(Status::NO_VERSION),
    StreamError::Spop(Status::NO_FRAME_SIZE),
    StreamError::Spop(Status::NO_CAPABILITIES),
    StreamError::Spop(Status::BAD_VERSION),
    StreamError::Spop(Status::BAD_FRAME_SIZE),
    StreamError::Spop(Status::FRAGMENTATION_NOT_SUPPORTED),
    StreamError::Spop(Status::INTERLACED),
    StreamError::Spop(Status::FRAME_ID_NOT_FOUND),
    StreamError::Spop(Status::RESOURCES),
    StreamError::Spop(Status::UNKNOWN),
];

/// A distribution of times: count, sum, largest, and a histogram with a bound at each power of two microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
    /// The longest.
    pub max: Duration,
    buckets: [u64; BUCKETS],
}

impl Latency {
    /// The histogram: how many took at most this long and longer than the bound before. The last bound is
    /// [`Duration::MAX`].
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.buckets.iter().enumerate().map(|(at, count)| (Self::bound(at), *count))
    }

    /// The time that the given part (from 0 to 1) of all took at most, rounded up to the next bound and never above
    /// [`max`](Self::max). Zero if there are none.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(Duration::ZERO, |(bound, _)| bound.min(self.max))
    }

    /// The average; zero if there are none.
    pub fn mean(&self) -> Duration {
        match self.count {
            0 => Duration::ZERO,
            count => Duration::from_nanos((self.sum.as_nanos() / u128::from(count)) as u64),
        }
    }

    pub(super) fn record(&mut self, took: Duration) {
        self.count += 1;
        self.sum += took;
        self.max = self.max.max(took);
        // The first bucket ends at one microsecond, each further one at twice the one before.
        let micros = took.as_nanos().div_ceil(1_000).max(1) as u64;
        let at = (u64::BITS - (micros - 1).leading_zeros()) as usize;
        self.buckets[at.min(BUCKETS - 1)] += 1;
    }

    fn bound(at: usize) -> Duration {
        if at == BUCKETS - 1 { Duration::MAX } else { Duration::from_micros(1 << at) }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
    }
}

/// Up to a good 16 seconds, and beyond.
const BUCKETS: usize = 26;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        for (nanos, bound) in [
            (0, 1),
            (1_000, 1),
            (1_001, 2),
            (2_000, 2),
            (2_001, 4),
            (100_000, 128),
            (16_777_216_000, 16_777_216),
        ] {
            let mut latency = Latency::default();
            latency.record(Duration::from_nanos(nanos));
            let (at, _) = latency.buckets().find(|(_, count)| *count == 1).unwrap();
            assert_eq!(at, Duration::from_micros(bound), "{nanos} ns");
        }
        let mut latency = Latency::default();
        latency.record(Duration::from_secs(17));
        assert_eq!(latency.buckets().last(), Some((Duration::MAX, 1)));
        assert_eq!(latency.quantile(0.5), Duration::from_secs(17));
    }

    #[test]
    fn quantiles_are_bounds_that_so_many_did_not_exceed() {
        let mut latency = Latency::default();
        assert_eq!((latency.quantile(0.99), latency.mean()), (Duration::ZERO, Duration::ZERO));
        for _ in 0..99 {
            latency.record(Duration::from_micros(100));
        }
        latency.record(Duration::from_micros(5_000));
        assert_eq!(latency.quantile(0.5), Duration::from_micros(128));
        assert_eq!(latency.quantile(0.99), Duration::from_micros(128));
        assert_eq!(latency.quantile(1.0), Duration::from_micros(5_000));
        assert_eq!(latency.mean(), Duration::from_micros(149));
    }

    #[test]
    fn failures_are_counted_by_reason_and_strange_statuses_as_unknown() {
        let mut failures = Failures::default();
        for reason in [StreamError::Timeout, StreamError::Spop(Status(200)), StreamError::Timeout] {
            failures.count(reason);
        }
        let seen: Vec<_> = failures.iter().map(|(reason, count)| (reason.code(), count)).collect();
        assert_eq!(seen, [(1, 2), (256 + 99, 1)]);
        assert_eq!(failures.of(StreamError::Spop(Status(200))), 1);
    }

    #[test]
    fn the_stats_of_two_threads_add_up() {
        let mut one = EngineStats { connections: 1, answered: 2, ..EngineStats::default() };
        one.latency.record(Duration::from_millis(1));
        one.failures.count(StreamError::TooBig);
        let mut both = one;
        both.add(&one);
        assert_eq!((both.connections, both.answered, both.latency.count), (2, 4, 2));
        assert_eq!(both.failures.of(StreamError::TooBig), 2);
        assert_eq!(both.latency.sum, Duration::from_millis(2));
    }
}
