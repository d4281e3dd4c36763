//! An event-driven cache: readers on other threads are told what has changed, and notice when they were
//! told too little.
//!
//! A store publishes each change of a key. A cache keeps copies and drops those it hears about; its queue
//! is small on purpose. When the queue loses events it says how many, and the cache, which can then no
//! longer know what is stale, forgets everything. A sync handler counts changes as they happen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_hdl::{EventQueue, Family, Item, Overflow, SubscriptionList, Subtypes};

/// Changes of a key.
struct Change;

impl Change {
    const SET: Subtypes = Subtypes::bit(1);
    const DEL: Subtypes = Subtypes::bit(2);
}

impl Family for Change {
    type Live<'a> = &'a str;
    type Snapshot = String;
    const NAME: &'static str = "CHANGE";
    const SUBTYPES: &'static [(&'static str, Subtypes)] =
        &[("CHANGE_SET", Self::SET), ("CHANGE_DEL", Self::DEL)];
    fn snapshot(key: &&str) -> String {
        (*key).to_owned()
    }
}

/// The truth.
#[derive(Default)]
struct Store {
    rows: Mutex<BTreeMap<String, u64>>,
    changes: SubscriptionList<Change>,
}

impl Store {
    fn set(&self, key: &str, value: u64, when: Duration) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value);
        self.changes.publish(&key, Change::SET, when);
    }

    fn delete(&self, key: &str, when: Duration) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.changes.publish(&key, Change::DEL, when);
    }

    fn read(&self, key: &str) -> Option<u64> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }
}

/// Copies of what was read, each valid until a change of its key is heard of.
struct Cache {
    store: Arc<Store>,
    changes: EventQueue<Change>,
    copies: BTreeMap<String, Option<u64>>,
    hits: u64,
    misses: u64,
    forgotten: u64,
}

impl Cache {
    fn new(store: &Arc<Store>) -> Self {
        let changes = store
            .changes
            .queue(Subtypes::ALL, Overflow::DropNewest { max: 32 })
            .expect("the store's list is open");
        Self { store: Arc::clone(store), changes, copies: BTreeMap::new(), hits: 0, misses: 0, forgotten: 0 }
    }

    fn get(&mut self, key: &str) -> Option<u64> {
        self.catch_up();
        if let Some(copy) = self.copies.get(key) {
            self.hits += 1;
            return *copy;
        }
        self.misses += 1;
        let value = self.store.read(key);
        self.copies.insert(key.to_owned(), value);
        value
    }

    /// Drops what is stale. What changes after this is seen at the next call.
    fn catch_up(&mut self) {
        while let Some(item) = self.changes.try_pop() {
            match item {
                Item::Event(event) => drop(self.copies.remove(&event.data)),
                Item::Lost(_) | Item::End => {
                    self.forgotten += self.copies.len() as u64;
                    self.copies.clear();
                }
            }
        }
    }
}

fn main() {
    let store = Arc::new(Store::default());
    let changes = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&changes);
    let counter = store.changes.subscribe(Subtypes::ALL, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut cache = Cache::new(&store);
    let mut wrong = 0;
    for step in 0..10_000_u64 {
        let when = Duration::from_millis(step);
        let key = format!("key{}", step * 7 % 50);
        match step % 1000 {
            0..40 => store.set(&key, step, when), // a burst: more than the queue holds
            500 => store.delete(&key, when),
            n if n % 10 == 0 => store.set(&key, step, when),
            _ => wrong += u64::from(cache.get(&key) != store.read(&key)),
        }
    }
    assert_eq!(wrong, 0, "a cache that hears of every change, or of its loss, is never stale");
    println!("{} changes, {} hits, {} misses", changes.load(Ordering::Relaxed), cache.hits, cache.misses);
    let lost = cache.changes.subscription().lost();
    println!("{lost} changes lost by the queue and told of; {} copies forgotten for it", cache.forgotten);
    drop(counter);
}
