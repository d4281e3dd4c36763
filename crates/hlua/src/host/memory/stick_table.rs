//! A stick table in memory: what a test puts in, unchanging.

use crate::host::{StickEntry, StickFilter, StickTable, StickTableInfo};

/// A table and its entries, which have values for all of `info.data`.
#[derive(Clone)]
pub struct MemoryStickTable {
    /// What `info` answers; `used` is counted.
    pub info: StickTableInfo,
    /// The entries in the order of their keys.
    pub entries: Vec<StickEntry>,
}

impl StickTable for MemoryStickTable {
    fn info(&self) -> StickTableInfo {
        StickTableInfo { used: self.entries.len() as i64, ..self.info.clone() }
    }

    fn lookup(&self, key: &[u8]) -> Option<StickEntry> {
        self.entries.iter().find(|entry| entry.key == key).cloned()
    }

    fn entries(&self, filters: &[StickFilter]) -> Vec<StickEntry> {
        let passes = |entry: &StickEntry, filter: &StickFilter| {
            let stored = entry.data.iter().find(|(name, _)| *name == filter.name);
            stored.is_some_and(|(_, stored)| filter.operator.holds(*stored, filter.value))
        };
        let entries = self.entries.iter().filter(|entry| filters.iter().all(|filter| passes(entry, filter)));
        entries.cloned().collect()
    }
}
