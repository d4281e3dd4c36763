//! A table: entries by key, in the order in which they expire.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Cell, Column, DataType, Key, KeyType};

/// What a `stick-table` line says.
#[derive(Clone, Debug)]
pub struct StickTableConfig {
    /// The name: that of the proxy.
    pub name: String,
    /// What keys are.
    pub key_type: KeyType,
    /// How many entries there may be.
    pub size: usize,
    /// After how long without use they go; `None`: only when the table is full.
    pub expire: Option<Duration>,
    /// Refuse new entries when full instead of giving up the oldest.
    pub nopurge: bool,
    /// What is stored.
    pub columns: Vec<Column>,
}

/// A table. Shared by all threads.
pub struct StickTable {
    /// What its line says.
    pub config: StickTableConfig,
    width: usize,
    base: OnceLock<Instant>,
    inner: Mutex<Inner>,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Inner {
    entries: FxHashMap<Key, Arc<Entry>>,
    /// Every entry by when it was due when it was put here, and its number; it may have been used since.
    order: BTreeMap<(u64, u64), Key>,
}

/// An entry.
pub struct Entry {
    /// Its number, unique in the table.
    pub id: u64,
    /// Its key.
    pub key: Key,
    /// How many track it.
    users: AtomicU32,
    /// When it was last used, in milliseconds of the table's clock.
    touched_ms: AtomicU64,
    /// Under which time it stands in the order. Changed with the table locked.
    queued_ms: AtomicU64,
    cells: Mutex<Box<[Cell]>>,
}

impl Entry {
    /// How many exchanges and sessions track it.
    #[must_use]
    pub fn users(&self) -> u32 {
        self.users.load(Relaxed)
    }

    pub(super) fn enter(&self) {
        self.users.fetch_add(1, Relaxed);
    }

    pub(super) fn leave(&self) {
        self.users.fetch_sub(1, Relaxed);
    }
}

impl StickTable {
    /// An empty table.
    #[must_use]
    pub fn new(mut config: StickTableConfig) -> Self {
        config.columns.sort_by_key(|column| column.kind);
        let mut width = 0;
        for column in &mut config.columns {
            column.at = width;
            width += column.len;
        }
        Self { config, width, base: OnceLock::new(), inner: Mutex::default(), next_id: AtomicU64::new(1) }
    }

    /// The table's clock: milliseconds since the first time it was asked, and one.
    fn ms(&self, now: Instant) -> u64 {
        let base = *self.base.get_or_init(|| now);
        u64::try_from(now.saturating_duration_since(base).as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn expire_ms(&self) -> Option<u64> {
        self.config.expire.map(|expire| u64::try_from(expire.as_millis()).unwrap_or(u64::MAX))
    }

    /// The column of a kind, if it is stored.
    #[must_use]
    pub fn column(&self, kind: DataType) -> Option<&Column> {
        self.config.columns.iter().find(|column| column.kind == kind)
    }

    /// How many entries there are; those that have expired are given up.
    #[must_use]
    pub fn used(&self, now: Instant) -> usize {
        let mut inner = self.inner.lock();
        self.sweep(&mut inner, self.ms(now), usize::MAX);
        inner.entries.len()
    }

    /// How many entries there are, counting those that have expired and were not yet given up.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // ---- entries ----

    /// The entry of a key. Looking at it does not prolong its life.
    #[must_use]
    pub fn find(&self, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        let now = self.ms(now);
        let inner = self.inner.lock();
        inner.entries.get(key).filter(|entry| !self.is_expired(entry, now)).cloned()
    }

    /// The entry of a key, made if need be, used now. `None`: the table is full and gives none up.
    pub fn get_or_insert(&self, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        self.with_entry(key, now, Clone::clone)
    }

    /// As [`StickTable::get_or_insert`], and counts the caller among those who track it.
    pub(super) fn hold(&self, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        self.with_entry(key, now, |entry| {
            entry.enter();
            entry.clone()
        })
    }

    fn with_entry<R>(&self, key: &Key, now: Instant, with: impl FnOnce(&Arc<Entry>) -> R) -> Option<R> {
        let now = self.ms(now);
        let mut inner = self.inner.lock();
        self.sweep(&mut inner, now, SWEPT_AT_ONCE);
        if let Some(entry) = inner.entries.get(key) {
            if !self.is_expired(entry, now) {
                entry.touched_ms.store(now, Relaxed);
                return Some(with(entry));
            }
            inner.remove(key);
        }
        if inner.entries.len() >= self.config.size && !self.make_room(&mut inner) {
            return None;
        }
        let entry = Arc::new(Entry {
            id: self.next_id.fetch_add(1, Relaxed),
            key: key.clone(),
            users: AtomicU32::new(0),
            touched_ms: AtomicU64::new(now),
            queued_ms: AtomicU64::new(self.due(now)),
            cells: Mutex::new(vec![Cell::default(); self.width].into()),
        });
        inner.order.insert((self.due(now), entry.id), key.clone());
        let result = with(&entry);
        inner.entries.insert(key.clone(), entry);
        Some(result)
    }

    /// Prolongs an entry's life.
    pub fn touch(&self, entry: &Entry, now: Instant) {
        entry.touched_ms.store(self.ms(now), Relaxed);
    }

    /// Every entry in the order of their keys, without the expired ones.
    #[must_use]
    pub fn entries(&self, now: Instant) -> Vec<Arc<Entry>> {
        let now = self.ms(now);
        let mut inner = self.inner.lock();
        self.sweep(&mut inner, now, usize::MAX);
        let mut all: Vec<Arc<Entry>> = inner.entries.values().cloned().collect();
        drop(inner);
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Removes an entry. `false`: it is tracked, and stays.
    pub fn remove(&self, entry: &Entry) -> bool {
        let mut inner = self.inner.lock();
        // Tracking begins under the lock.
        if entry.users() > 0 {
            return false;
        }
        if inner.entries.get(&entry.key).is_some_and(|present| present.id == entry.id) {
            inner.remove(&entry.key);
        }
        true
    }

    /// Removes all that are not tracked.
    pub fn clear(&self) {
        let mut inner = self.inner.lock();
        let Inner { entries, order } = &mut *inner;
        entries.retain(|_, entry| entry.users() > 0);
        order.retain(|_, key| entries.contains_key(key));
    }

    /// How long until an entry expires; zero where entries do not.
    #[must_use]
    pub fn expires_in(&self, entry: &Entry, now: Instant) -> Duration {
        let Some(expire) = self.expire_ms() else { return Duration::ZERO };
        let due = entry.touched_ms.load(Relaxed).saturating_add(expire);
        Duration::from_millis(due.saturating_sub(self.ms(now)))
    }

    /// How long an entry was not used.
    #[must_use]
    pub fn idle(&self, entry: &Entry, now: Instant) -> Duration {
        Duration::from_millis(self.ms(now).saturating_sub(entry.touched_ms.load(Relaxed)))
    }

    /// When something used at `ms` is due.
    fn due(&self, ms: u64) -> u64 {
        ms.saturating_add(self.expire_ms().unwrap_or(0))
    }

    fn is_expired(&self, entry: &Entry, now: u64) -> bool {
        let due = self.expire_ms().map(|expire| entry.touched_ms.load(Relaxed).saturating_add(expire));
        entry.users() == 0 && due.is_some_and(|due| due <= now)
    }

    /// Gives up entries that have expired, looking at `max` of those that may have.
    fn sweep(&self, inner: &mut Inner, now: u64, max: usize) {
        if self.config.expire.is_none() {
            return;
        }
        for _ in 0..max {
            match inner.order.first_key_value() {
                Some(((due, _), _)) if *due <= now => {}
                _ => return,
            }
            let Some(((_, id), key)) = inner.order.pop_first() else { return };
            let Some(entry) = inner.entries.get(&key).cloned() else { continue };
            if self.is_expired(&entry, now) {
                inner.entries.remove(&key);
            } else {
                // Used since, or tracked: looked at again later.
                inner.queue(&entry, self.due(entry.touched_ms.load(Relaxed)).max(now + 1), id);
            }
        }
    }

    /// Gives up the oldest entry that nobody tracks. Whether there is room then.
    fn make_room(&self, inner: &mut Inner) -> bool {
        if self.config.nopurge {
            return false;
        }
        let mut later = Vec::new();
        let mut found = false;
        for _ in 0..LOOKED_AT_FOR_ROOM {
            let Some(((due, id), key)) = inner.order.pop_first() else { break };
            let Some(entry) = inner.entries.get(&key).cloned() else { continue };
            let used = self.due(entry.touched_ms.load(Relaxed));
            if entry.users() > 0 {
                later.push((entry, used.max(due + 1), id));
            } else if used > due {
                inner.queue(&entry, used, id);
            } else {
                inner.entries.remove(&key);
                found = true;
                break;
            }
        }
        later.into_iter().for_each(|(entry, due, id)| inner.queue(&entry, due, id));
        found
    }

    // ---- values ----

    /// A value of an entry; `None` if it is not stored. `at` counts within an array.
    #[must_use]
    pub fn value(&self, entry: &Entry, kind: DataType, at: usize, now: Instant) -> Option<u64> {
        let (column, cell) = self.place(kind, at)?;
        Some(entry.cells.lock()[cell].value(column.period_ms, self.ms(now)))
    }

    /// Adds to a value; gives what it is then, or `None` if it is not stored.
    pub fn add(&self, entry: &Entry, kind: DataType, at: usize, amount: u64, now: Instant) -> Option<u64> {
        let (column, cell) = self.place(kind, at)?;
        Some(entry.cells.lock()[cell].add(amount, column.period_ms, self.ms(now)))
    }

    /// Sets a value; gives what it was, or `None` if it is not stored.
    pub fn set(&self, entry: &Entry, kind: DataType, at: usize, value: u64, now: Instant) -> Option<u64> {
        let (column, cell) = self.place(kind, at)?;
        let now = self.ms(now);
        let mut cells = entry.cells.lock();
        let before = cells[cell].value(column.period_ms, now);
        cells[cell].set(value, column.period_ms, now);
        Some(before)
    }

    /// Takes one from a count, without a clock.
    pub(super) fn decrement(&self, entry: &Entry, kind: DataType) {
        if let Some((_, cell)) = self.place(kind, 0) {
            entry.cells.lock()[cell].decrement();
        }
    }

    /// Where a value lies. What has an array is found there under its own name too.
    fn place(&self, kind: DataType, at: usize) -> Option<(&Column, usize)> {
        let (kind, at) = match (kind, self.column(kind)) {
            (_, Some(_)) => (kind, at),
            (DataType::Gpc0, None) => (DataType::Gpc, 0),
            (DataType::Gpc1, None) => (DataType::Gpc, 1),
            (DataType::Gpc0Rate, None) => (DataType::GpcRate, 0),
            (DataType::Gpc1Rate, None) => (DataType::GpcRate, 1),
            (DataType::Gpt0, None) => (DataType::Gpt, 0),
            (_, None) => return None,
        };
        let column = self.column(kind)?;
        (at < column.len).then_some((column, column.at + at))
    }
}

impl Inner {
    fn queue(&mut self, entry: &Entry, due: u64, id: u64) {
        entry.queued_ms.store(due, Relaxed);
        self.order.insert((due, id), entry.key.clone());
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&(entry.queued_ms.load(Relaxed), entry.id));
        }
    }
}

/// Entries that may have expired and are looked at with each insertion.
const SWEPT_AT_ONCE: usize = 4;
/// Entries that a full table looks at to find one to give up.
const LOOKED_AT_FOR_ROOM: usize = 256;
