//! Times counted in buckets of a bounded width: quantiles exact to a hundredth, in constant memory.

use std::time::Duration;

/// A distribution of times.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: Duration,
}

/// Buckets between one power of two and the next.
const STEPS_LOG2: u32 = 7;
const STEPS: u64 = 1 << STEPS_LOG2;

impl Histogram {
    /// Nothing counted.
    pub(super) fn new() -> Self {
        let buckets = (u64::BITS - STEPS_LOG2 + 1) as usize * STEPS as usize;
        Self { counts: vec![0; buckets], count: 0, max: Duration::ZERO }
    }

    /// Counts one.
    pub(super) fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// How many were counted.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub(super) fn max(&self) -> Duration {
        self.max
    }

    /// What the given part (from 0 to 1) of all took at most; zero of nothing.
    pub(super) fn quantile(&self, part: f64) -> Duration {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper(bucket as u64)).min(self.max);
            }
        }
        self.max
    }
}

/// The bucket of a time: below `STEPS` each has its own, then `STEPS` for each power of two.
fn bucket(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEPS_LOG2 + 1);
    (u64::from(shift) * STEPS + (nanos >> shift)) as usize
}

/// The largest time of a bucket.
fn upper(bucket: u64) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = bucket - shift * STEPS;
    ((step + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket_within_a_hundredth() {
        for nanos in (0..2000).chain([12_345, 999_999, 1_000_000, 123_456_789, 60_000_000_000]) {
            let bound = upper(bucket(nanos) as u64);
            assert!(nanos <= bound && bound - nanos <= nanos / 100, "{nanos} {bound}");
        }
        let last = Histogram::new().counts.len();
        assert!(bucket(u64::MAX) < last);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (part, micros) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let got = histogram.quantile(part).as_secs_f64() * 1e6;
            assert!((got - micros).abs() <= micros / 100.0, "{part}: {got}");
        }
        assert_eq!(histogram.max(), Duration::from_millis(1));
        assert_eq!(histogram.count(), 1000);
    }
}
