//! One measured round, and what a peer's rounds come to.

use super::meter::Counters;

/// One round of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Requests, gigabytes or connections.
    pub(super) work: f64,
    /// Seconds that the round took.
    pub(super) seconds: f64,
    /// Nanoseconds of the measured process on a core.
    pub(super) cpu_ns: f64,
    /// Hardware counters of that process.
    pub(super) counters: Counters,
    /// Resident memory at the end; for the memory row, what the work added.
    pub(super) resident_bytes: f64,
}

impl Sample {
    /// CPU nanoseconds for one unit of work.
    pub(super) fn cpu(&self) -> f64 {
        self.cpu_ns / self.work
    }

    /// Bytes of memory for one unit of work.
    pub(super) fn memory(&self) -> f64 {
        self.resident_bytes / self.work
    }

    /// What peers are judged by: cycles where they can be counted, run time elsewhere.
    pub(super) fn cost(&self) -> f64 {
        self.counters.cycles.map_or(self.cpu(), |cycles| cycles / self.work)
    }
}

/// The middle value; the mean of the two middle ones if their number is even. NaN of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }
}
