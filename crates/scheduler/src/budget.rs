//! How much one pass may do, how it is shared among the classes, and what came of it.
//!
//! The shares are HAProxy's: 64 : 60 : 4 : 1 for URGENT, NORMAL, BULK and HEAVY, split among the
//! classes that have work and rounded up, so every class that has work runs at least one object a pass.

use std::time::Instant;

/// The class of an object: which share of a pass it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Tasklets woken from outside the pass: I/O, timers, other threads.
    Urgent = 0,
    /// Tasks, and tasklets woken by another running object.
    Normal = 1,
    /// Tasklets that wake themselves for no reason: there is more of the same to do.
    Bulk = 2,
    /// Long computations, such as a TLS handshake: about one a pass.
    Heavy = 3,
}

impl Class {
    /// All classes, in the order in which a pass visits them.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::Normal, Self::Bulk, Self::Heavy];

    const WEIGHTS: [usize; 4] = [64, 60, 4, 1];

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// How many objects one call of [`Scheduler::run`](crate::Scheduler::run) may run, and, separately,
/// how many timers it may expire and how many remote jobs it may start.
///
/// Shares are rounded up, so a pass may exceed this by three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    objects: usize,
}

impl Budget {
    /// A budget of `objects`; zero counts as one, so that a pass always makes progress.
    #[must_use]
    pub const fn new(objects: usize) -> Self {
        Self { objects: if objects == 0 { 1 } else { objects } }
    }

    /// HAProxy's default depth for a process of `threads` threads: 280 for one, 140 for four, 35 for 64.
    ///
    /// # Source
    /// `tune.runqueue-depth` in configuration.txt.
    #[must_use]
    pub const fn for_threads(threads: usize) -> Self {
        let threads = if threads == 0 { 1 } else { threads };
        let bits = (usize::BITS - threads.leading_zeros()) as usize;
        Self::new(560 / (bits + threads / bits))
    }

    /// The number of objects.
    #[must_use]
    pub const fn objects(self) -> usize {
        self.objects
    }

    /// What a pass may run when `backlog` objects wait: between one and two budgets of backlog are
    /// split in halves, so that the second pass is not a stub.
    pub(crate) fn smoothed(self, backlog: usize) -> usize {
        if backlog > self.objects && backlog < 2 * self.objects { backlog.div_ceil(2) } else { self.objects }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::for_threads(1)
    }
}

/// The share of each class in `budget`, given how many objects wait in each.
pub(crate) fn shares(budget: usize, waiting: [usize; 4], low_latency: bool) -> [usize; 4] {
    let total: usize = (0..4).filter(|&c| waiting[c] > 0).map(|c| Class::WEIGHTS[c]).sum();
    let mut shares = [0; 4];
    for class in 0..4 {
        if waiting[class] > 0 {
            shares[class] = (budget * Class::WEIGHTS[class]).div_ceil(total);
        }
    }
    let heavy = Class::Heavy.index();
    if waiting[heavy] > 0 {
        shares[heavy] = shares[heavy].min(heavy_limit(waiting, low_latency));
    }
    shares
}

/// HEAVY runs one object a pass, and more only when the backlog calls for it.
fn heavy_limit(waiting: [usize; 4], low_latency: bool) -> usize {
    let backlog: usize = waiting.iter().sum();
    match (low_latency, waiting[Class::Heavy.index()] == backlog) {
        (true, _) => 1,
        (false, true) => 1 + backlog / 128,
        (false, false) => 1 + backlog / 1024,
    }
}

/// What one call of [`Scheduler::run`](crate::Scheduler::run) did, and when to call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Objects that ran, panicked ones included.
    pub ran: usize,
    /// Timers that expired.
    pub expired: usize,
    /// Objects and remote jobs that panicked; each was reported to the panic hook and freed.
    pub panicked: usize,
    /// Work is left over: call again without sleeping. When false, the pender is woken as soon as
    /// there is work again.
    pub more: bool,
    /// When to call again at the latest. It may lie a little before the first expiry (never after):
    /// a call that finds nothing due is harmless and answers a better instant.
    pub next_expiry: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_depths_are_haproxys() {
        let got: Vec<_> =
            [1, 2, 4, 8, 16, 64].map(|n| Budget::for_threads(n).objects()).into_iter().collect();
        assert_eq!(got, [280, 186, 140, 93, 70, 35]);
    }

    #[test]
    fn shares_of_four_busy_classes_are_haproxys() {
        assert_eq!(shares(280, [1000; 4], false), [139, 131, 9, 3]);
    }

    #[test]
    fn empty_classes_leave_their_share_to_the_others() {
        assert_eq!(shares(280, [0, 10, 0, 0], false), [0, 280, 0, 0]);
        assert_eq!(shares(280, [0, 0, 10, 0], false), [0, 0, 280, 0]);
    }

    #[test]
    fn heavy_runs_one_unless_backlogged() {
        assert_eq!(shares(280, [0, 0, 0, 100], false)[3], 1);
        assert_eq!(shares(280, [0, 0, 0, 1280], false)[3], 11);
        assert_eq!(shares(280, [1, 0, 0, 500], false)[3], 1);
        assert_eq!(shares(280, [1000; 4], true)[3], 1);
    }

    #[test]
    fn a_backlog_just_over_the_budget_is_halved() {
        let budget = Budget::new(280);
        assert_eq!(budget.smoothed(400), 200);
        assert_eq!(budget.smoothed(280), 280);
        assert_eq!(budget.smoothed(560), 280);
    }
}
