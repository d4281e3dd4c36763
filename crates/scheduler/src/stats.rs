//! Figures for people: what ran how often, for how long, and how long it waited.

use std::time::Duration;

use crate::site::Site;

/// Counters of all objects spawned under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameStats {
    /// The name given to `spawn`.
    pub name: &'static str,
    /// The type of the future that was spawned first under the name.
    pub function: &'static str,
    /// Objects spawned so far.
    pub spawned: u64,
    /// Objects that have not ended.
    pub live: u64,
    /// Objects that wait in a run queue.
    pub queued: u64,
    /// Runs so far.
    pub calls: u64,
    /// Objects that ended in a panic.
    pub panics: u64,
    /// Times, of the runs made while profiling was on.
    pub profile: Profile,
}

impl NameStats {
    pub(crate) fn new(name: &'static str, function: &'static str) -> Self {
        Self {
            name,
            function,
            spawned: 0,
            live: 0,
            queued: 0,
            calls: 0,
            panics: 0,
            profile: Profile::default(),
        }
    }

    /// Adds a site with the calls and ends that were counted beside it.
    pub(crate) fn add_site(&mut self, site: &Site, calls: u64, ended: u64, queued: u64) {
        self.spawned += site.spawned;
        self.live += site.spawned - site.ended - ended;
        self.queued += queued;
        self.calls += site.calls + calls;
        self.panics += site.panics;
        if let Some(profile) = &site.profile {
            self.profile.add(profile);
        }
    }
}

impl NameStats {
    /// Adds what another scheduler counted under the name.
    pub fn add(&mut self, other: &Self) {
        self.spawned += other.spawned;
        self.live += other.live;
        self.queued += other.queued;
        self.calls += other.calls;
        self.panics += other.panics;
        self.profile.add(&other.profile);
    }
}

/// How long runs took and how long objects waited for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// From the start to the end of a run, by the host's clock.
    pub cpu: Histogram,
    /// From the first wake to the run. A wake from another thread, or from outside the pass, counts
    /// from the start of the pass that takes it in.
    pub latency: Histogram,
}

impl Profile {
    fn add(&mut self, other: &Self) {
        self.cpu.add(&other.cpu);
        self.latency.add(&other.latency);
    }
}

/// Durations, counted by their order of magnitude. Sums are of 64 bits: they do not wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Histogram {
    /// How many were counted.
    pub count: u64,
    /// Their sum.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
    /// Element `n` counts those of `2^(n−1)` nanoseconds and more, below `2^n`; the last all longer ones.
    pub buckets: [u64; 48],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { count: 0, total: Duration::ZERO, max: Duration::ZERO, buckets: [0; 48] }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - nanos.leading_zeros()) as usize;
        self.buckets[bucket.min(self.buckets.len() - 1)] += 1;
        self.count += 1;
        self.total = self.total.saturating_add(time);
        self.max = self.max.max(time);
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.max(other.max);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(ours, theirs)| *ours += theirs);
    }

    /// The mean; zero if nothing was counted.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let nanos = self.total.as_nanos().checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// A time that at most a share of `1 − share` exceeded: the upper end of its bucket, at most twice
    /// the true one.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_nanos(1 << bucket).min(self.max);
            }
        }
        self.max
    }
}

/// A scheduler's figures at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Counters by name, in the order of first use.
    pub names: Vec<NameStats>,
    /// Objects that have not ended.
    pub live: usize,
    /// Objects waiting in each class, in the order of [`Class::ALL`](crate::Class::ALL).
    pub waiting: [usize; 4],
    /// Timers in the wait queue; one that was cancelled may still be counted.
    pub timers: usize,
    /// Runs so far, of all names.
    pub calls: u64,
    /// How much was done, by kind.
    pub activity: Activity,
}

/// Counters of a scheduler's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Calls of [`Scheduler::run`](crate::Scheduler::run).
    pub loops: u64,
    /// Passes: calls that found something to do.
    pub passes: u64,
    /// Passes that ran no object.
    pub empty: u64,
    /// Passes that left work over.
    pub long: u64,
    /// Objects taken from the order by nice.
    pub by_nice: u64,
    /// Timers expired.
    pub expired: u64,
    /// Wakes and kills taken in from other threads.
    pub remote: u64,
    /// Remote jobs run.
    pub jobs: u64,
    /// Times it fell asleep.
    pub sleeps: u64,
}
