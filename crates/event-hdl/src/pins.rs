//! Which thread is publishing to which list.
//!
//! ```text
//!   publisher                                 who unlinks
//!   1. announces the list in its own place    1. takes the pointer out of the list
//!   2. reads pointers out of the list         2. reads all places
//!   3. calls, then clears the place           3. frees once those who held the list have left
//! ```
//!
//! Of two such threads at least one sees the other: each writes before it reads, and all four operations are
//! sequentially consistent. A publisher pays one such store and no other; a place belongs to one thread, so
//! publishers on several threads share no cache line.
//!
//! A place is one word: the list's number above, below a count that changes with every announcement, so that
//! whoever waits for a publication does not wait for the next one too.
//!
//! INVARIANT: a place is written by the thread that has taken its record, and by no other.

use std::marker::PhantomData;

use self::records::{Record, local, record_of_this_thread, records};
use crate::sync::{AtomicU64, Ordering, give_way, model_fence};

/// Publications inside publications that have a place of their own. Those deeper inside count as
/// publications to every list.
const NESTED: usize = 8;

/// The list number that stands for all.
const EVERY: u64 = u32::MAX as u64;

/// A number for a new list. After four thousand million lists they repeat; two lists of one number wait for each
/// other's publications, no more.
pub(crate) fn new_list_number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % (u32::MAX - 1) + 1
}

/// Whether the calling thread is inside a publication to any list.
pub(crate) fn inside_a_handler() -> bool {
    local(|local| local.depth.get() > 0)
}

/// A number of the calling thread that no other living thread has; never 0.
pub(crate) fn thread_mark() -> usize {
    local(|local| std::ptr::from_ref(local) as usize)
}

/// While it lives, this thread is publishing to a list.
pub(crate) struct Pin {
    record: &'static Record,
    level: usize,
    /// What its place is set to afterwards.
    after: u64,
    /// The record is taken for this publication only: the thread is ending.
    borrowed: bool,
    /// Its place belongs to this thread.
    here: PhantomData<*const ()>,
}

impl Pin {
    #[inline]
    pub(crate) fn enter(list: u32) -> Self {
        local(|local| {
            let depth = local.depth.get();
            local.depth.set(depth + 1);
            let (record, borrowed) = record_of_this_thread(local);
            let level = depth.min(NESTED - 1);
            let place = &record.places[level];
            let before = place.load(Ordering::Relaxed);
            let era = u64::from((before as u32).wrapping_add(1));
            let (list, after) = if before >> 32 == 0 { (u64::from(list), era) } else { (EVERY, before) };
            place.store(list << 32 | era, Ordering::SeqCst);
            model_fence();
            Self { record, level, after, borrowed, here: PhantomData }
        })
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        self.record.places[self.level].store(self.after, Ordering::Release);
        if self.borrowed {
            self.record.give_back();
        }
        local(|local| local.depth.set(local.depth.get() - 1));
    }
}

/// A publication that was going on when somebody looked.
pub(crate) struct Holder {
    place: &'static AtomicU64,
    word: u64,
}

impl Holder {
    /// Whether it is over.
    pub(crate) fn has_left(&self) -> bool {
        let now = self.place.load(Ordering::SeqCst);
        now != self.word && now >> 32 != EVERY
    }

    /// Waits until it is over.
    pub(crate) fn wait(&self) {
        let mut round = 0;
        while !self.has_left() {
            give_way(round);
            round = round.saturating_add(1);
        }
    }
}

/// The publications to a list going on now. Whoever starts later finds nothing that was unlinked before.
pub(crate) fn holders(list: u32) -> Vec<Holder> {
    model_fence();
    let held = |place: &'static AtomicU64| {
        let word = place.load(Ordering::SeqCst);
        let by = word >> 32;
        (by == u64::from(list) || by == EVERY).then_some(Holder { place, word })
    };
    records().flat_map(|record| record.places.iter().filter_map(held)).collect()
}

/// A record a thread. They are never freed, but used again.
#[cfg(not(loom))]
mod records {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::NESTED;
    use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

    #[repr(align(128))] // two lines: the processor fetches them in pairs
    pub(crate) struct Record {
        pub(crate) places: [AtomicU64; NESTED],
        taken: AtomicBool,
        next: OnceLock<Box<Record>>,
    }

    static FIRST: Record = Record::new();

    /// How many records there are. Counted after a record has been linked and before it is used, so whoever reads
    /// the count in the order of announcements finds the record.
    static COUNT: AtomicUsize = AtomicUsize::new(1);

    pub(crate) struct Local {
        pub(crate) depth: Cell<usize>,
        record: Cell<Option<&'static Record>>,
    }

    thread_local! {
        static LOCAL: Local = const { Local { depth: Cell::new(0), record: Cell::new(None) } };
        static AT_EXIT: AtExit = const { AtExit };
    }

    /// Gives the thread's record back when the thread ends.
    struct AtExit;

    impl Drop for AtExit {
        fn drop(&mut self) {
            if let Some(record) = local(|local| local.record.take()) {
                record.give_back();
            }
        }
    }

    impl Record {
        const fn new() -> Self {
            Self {
                places: [const { AtomicU64::new(0) }; NESTED],
                taken: AtomicBool::new(false),
                next: OnceLock::new(),
            }
        }

        pub(crate) fn give_back(&self) {
            self.taken.store(false, Ordering::Release);
        }
    }

    pub(crate) fn local<R>(with: impl FnOnce(&Local) -> R) -> R {
        LOCAL.with(with)
    }

    /// The thread's record, and whether it is to be given back after one use.
    #[inline]
    pub(crate) fn record_of_this_thread(local: &Local) -> (&'static Record, bool) {
        match local.record.get() {
            Some(record) => (record, false),
            None => first_use(local),
        }
    }

    #[cold]
    fn first_use(local: &Local) -> (&'static Record, bool) {
        let record = take();
        let ends = AT_EXIT.try_with(|_| ()).is_err();
        if !ends {
            local.record.set(Some(record));
        }
        (record, ends)
    }

    fn take() -> &'static Record {
        let mut record = &FIRST;
        let mut number = 1;
        while record.taken.swap(true, Ordering::Acquire) {
            record = record.next.get_or_init(|| Box::new(Record::new()));
            number += 1;
        }
        COUNT.fetch_max(number, Ordering::SeqCst);
        record
    }

    pub(crate) fn records() -> impl Iterator<Item = &'static Record> {
        let count = COUNT.load(Ordering::SeqCst);
        std::iter::successors(Some(&FIRST), |record| record.next.get().map(|next| &**next)).take(count)
    }
}

/// The same for loom: a fixed number of records, new ones in each run.
#[cfg(loom)]
mod records {
    use std::cell::Cell;

    use super::NESTED;
    use crate::sync::{AtomicBool, AtomicU64, Ordering};

    pub(crate) struct Record {
        pub(crate) places: Vec<AtomicU64>,
        taken: AtomicBool,
    }

    pub(crate) struct Local {
        pub(crate) depth: Cell<usize>,
        record: Cell<Option<&'static Record>>,
    }

    loom::lazy_static! {
        static ref RECORDS: Vec<Record> = (0..4).map(|_| Record::new()).collect();
    }

    loom::thread_local! {
        static LOCAL: Local = Local { depth: Cell::new(0), record: Cell::new(None) };
    }

    impl Record {
        fn new() -> Self {
            // Fewer places keep the model small; no model publishes deeper.
            Self {
                places: (0..NESTED.min(2)).map(|_| AtomicU64::new(0)).collect(),
                taken: AtomicBool::new(false),
            }
        }

        pub(crate) fn give_back(&self) {
            self.taken.store(false, Ordering::Release);
        }
    }

    pub(crate) fn local<R>(with: impl FnOnce(&Local) -> R) -> R {
        LOCAL.with(with)
    }

    pub(crate) fn record_of_this_thread(local: &Local) -> (&'static Record, bool) {
        let record = local.record.get().unwrap_or_else(|| {
            let free = records().find(|record| !record.taken.swap(true, Ordering::AcqRel));
            free.expect("invariant: a model has at most four threads")
        });
        local.record.set(Some(record));
        (record, false)
    }

    pub(crate) fn records() -> impl Iterator<Item = &'static Record> {
        RECORDS.iter()
    }
}
