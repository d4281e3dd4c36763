//! Entries that an exchange or a session tracks.

use std::{sync::Arc, time::Instant};

use super::{DataType, Entry, Key, StickTable};

/// How many entries can be tracked at once (`track-sc0` to `track-sc2`).
pub const TRACKED_MAX: usize = 3;

/// A tracked entry: it does not expire, and counts a connection as long as this lives.
pub struct Tracked {
    /// The table.
    pub table: Arc<StickTable>,
    /// The entry.
    pub entry: Arc<Entry>,
}

impl Tracked {
    /// Begins to track a key. `None`: the table is full.
    #[must_use]
    pub fn start(table: &Arc<StickTable>, key: &Key, now: Instant) -> Option<Self> {
        let entry = table.hold(key, now)?;
        let tracked = Self { table: table.clone(), entry };
        for kind in [DataType::ConnCnt, DataType::ConnRate, DataType::ConnCur] {
            tracked.count(kind, 1, now);
        }
        Some(tracked)
    }

    /// Adds to a value, if it is stored.
    pub fn count(&self, kind: DataType, amount: u64, now: Instant) {
        self.table.add(&self.entry, kind, 0, amount, now);
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.table.decrement(&self.entry, DataType::ConnCur);
        self.entry.leave();
    }
}

/// What one exchange or session tracks. Costs a pointer while it is nothing.
#[derive(Default)]
pub struct Tracking(Option<Box<[Option<Tracked>; TRACKED_MAX]>>);

impl Tracking {
    /// Whether nothing is tracked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is tracked under a number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Tracked> {
        self.0.as_ref()?.get(number)?.as_ref()
    }

    /// Tracks under a number that is free.
    pub fn set(&mut self, number: usize, tracked: Tracked) {
        if let Some(slot) = self.0.get_or_insert_default().get_mut(number) {
            slot.get_or_insert(tracked);
        }
    }

    /// Adds to a value of all that is tracked.
    pub fn count(&self, kinds: &[DataType], amount: u64, now: Instant) {
        for tracked in self.0.iter().flat_map(|all| all.iter().flatten()) {
            kinds.iter().for_each(|kind| tracked.count(*kind, amount, now));
        }
    }

    /// Prolongs the life of all that is tracked.
    pub fn touch(&self, now: Instant) {
        for tracked in self.0.iter().flat_map(|all| all.iter().flatten()) {
            tracked.table.touch(&tracked.entry, now);
        }
    }
}
