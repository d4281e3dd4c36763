//! What the tests share: a family whose snapshots are counted, and a log.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_hdl::{EventQueue, Family, Item, Subtypes};

/// Live data: a number, and where snapshots of it are counted.
pub(crate) struct Live<'a> {
    pub(crate) number: u64,
    pub(crate) tally: &'a Tally,
}

/// Snapshots made, and those alive.
#[derive(Default)]
pub(crate) struct Tally {
    made: AtomicUsize,
    alive: Arc<AtomicUsize>,
}

impl Tally {
    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
    pub(crate) fn live(&self, number: u64) -> Live<'_> {
        Live { number, tally: self }
    }
}

pub(crate) struct Snapshot {
    pub(crate) number: u64,
    alive: Arc<AtomicUsize>,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Door;

pub(crate) const OPEN: Subtypes = Subtypes::bit(1);
pub(crate) const SHUT: Subtypes = Subtypes::bit(2);
pub(crate) const LOCK: Subtypes = Subtypes::bit(16);

impl Family for Door {
    type Live<'a> = Live<'a>;
    type Snapshot = Snapshot;
    const NAME: &'static str = "DOOR";
    const SUBTYPES: &'static [(&'static str, Subtypes)] =
        &[("DOOR_OPEN", OPEN), ("DOOR_SHUT", SHUT), ("DOOR_LOCK", LOCK)];
    fn snapshot(live: &Live<'_>) -> Snapshot {
        live.tally.made.fetch_add(1, Ordering::SeqCst);
        live.tally.alive.fetch_add(1, Ordering::SeqCst);
        Snapshot { number: live.number, alive: Arc::clone(&live.tally.alive) }
    }
}

pub(crate) const WHEN: Duration = Duration::from_micros(1_700_000_000_123_456);

/// What a reader got, in words.
pub(crate) fn words(item: &Item<Door>) -> String {
    match item {
        Item::Event(event) => event.data.number.to_string(),
        Item::Lost(count) => format!("lost {count}"),
        Item::End => "end".to_owned(),
    }
}

/// Reads all there is now.
pub(crate) fn drain(queue: &mut EventQueue<Door>) -> Vec<String> {
    std::iter::from_fn(|| queue.try_pop()).map(|item| words(&item)).collect()
}

/// What happened, in order, from any thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
