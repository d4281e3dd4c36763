//! Figures for people: what ran how often, by name.

/// Counters of all objects spawned under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameStats {
    /// The name given to `spawn`.
    pub name: &'static str,
    /// Objects spawned so far.
    pub spawned: u64,
    /// Objects that have not ended.
    pub live: u64,
    /// Runs so far.
    pub calls: u64,
    /// Objects that ended in a panic.
    pub panics: u64,
}

impl NameStats {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, spawned: 0, live: 0, calls: 0, panics: 0 }
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
    /// Passes so far.
    pub passes: u64,
    /// Runs so far, of all names.
    pub calls: u64,
}
