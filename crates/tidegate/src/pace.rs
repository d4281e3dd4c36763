//! How long a worker's turns take, on average, and whether its tasks are measured for it.
//!
//! Source: configuration.txt `profiling.tasks`, management.txt `show activity` (`avg_loop_us`).

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

/// When runs of tasks are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Profiling {
    /// On a worker while its turns take long.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always.
    On,
}

/// What a worker tells of its turns. The worker writes it; anybody may read it.
#[derive(Debug, Default)]
pub struct Pace {
    /// The average of a turn in nanoseconds, times [`TURNS`].
    sum: AtomicU64,
    profiling: AtomicU8,
}

/// So many turns count for the average: each new one for so much of it.
const TURNS: u64 = 1024;
/// On average: from here on a worker's tasks are measured by themselves.
const SLOW: Duration = Duration::from_micros(1000);
/// And below this no more.
const FAST: Duration = Duration::from_micros(990);

impl Pace {
    /// The average time of a turn, its wait for sockets and timers excepted.
    #[must_use]
    pub fn average(&self) -> Duration {
        Duration::from_nanos(self.sum.load(Ordering::Relaxed) / TURNS)
    }

    /// Says when to measure.
    pub fn profile(&self, profiling: Profiling) {
        self.profiling.store(profiling as u8, Ordering::Relaxed);
    }

    /// Counts a turn; `Some` if its worker is to begin or to end measuring.
    pub fn took(&self, turn: Duration, measured: bool) -> Option<bool> {
        let sum = self.sum.load(Ordering::Relaxed);
        let nanos = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX / TURNS).min(u64::MAX / TURNS);
        self.sum.store(sum - sum.div_ceil(TURNS) + nanos, Ordering::Relaxed);
        if self.profiling.load(Ordering::Relaxed) != Profiling::Auto as u8 {
            return None;
        }
        match (measured, self.average()) {
            (false, average) if average >= SLOW => Some(true),
            (true, average) if average < FAST => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_the_turns_slowly() {
        let pace = Pace::default();
        (0..20_000).for_each(|_| assert_eq!(pace.took(Duration::from_micros(500), false), None));
        assert!(pace.average().abs_diff(Duration::from_micros(500)) < Duration::from_micros(1));
        pace.took(Duration::from_millis(500), false);
        assert!(pace.average() < Duration::from_millis(1), "one long turn is a thousandth of it");
    }

    #[test]
    fn slow_turns_turn_measuring_on_and_fast_ones_off_again() {
        let pace = Pace::default();
        let mut measured = false;
        let turn = |micros, measured: &mut bool| {
            if let Some(on) = pace.took(Duration::from_micros(micros), *measured) {
                *measured = on;
            }
        };
        (0..20_000).for_each(|_| turn(995, &mut measured));
        assert!(!measured, "995 is not slow");
        (0..20_000).for_each(|_| turn(1200, &mut measured));
        assert!(measured);
        (0..20_000).for_each(|_| turn(995, &mut measured));
        assert!(measured, "995 is not fast");
        (0..20_000).for_each(|_| turn(100, &mut measured));
        assert!(!measured);
    }

    #[test]
    fn only_auto_changes_its_mind() {
        let pace = Pace::default();
        for profiling in [Profiling::On, Profiling::Off] {
            pace.profile(profiling);
            let changed = (0..5000).filter_map(|_| pace.took(Duration::from_millis(5), false)).count();
            assert_eq!(changed, 0);
        }
    }
}
