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

use self::records::{Record, leave, local, record_of_this_thread, records};
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
    place: &'static AtomicU64,
    /// What the place is set to afterwards.
    after: u64,
    /// Its place belongs to this thread.
    here: PhantomData<*const ()>,
}

impl Pin {
    #[inline]
    pub(crate) fn enter(list: u32) -> Self {
        local(|local| {
            let depth = local.depth.get();
            local.depth.set(depth + 1);
            let record = record_of_this_thread(local);
            if depth >= NESTED { Self::deep_inside(record) } else { Self::set(&record.places[depth], list) }
        })
    }

    #[inline]
    fn set(place: &'static AtomicU64, list: u32) -> Self {
        let after = next_era(place.load(Ordering::Relaxed));
        place.store(u64::from(list) << 32 | after, Ordering::SeqCst);
        model_fence();
        Self { place, after, here: PhantomData }
    }

    /// Shares the last place with the publications around it.
    #[cold]
    fn deep_inside(record: &'static Record) -> Self {
        let place = record.places.last().expect("invariant: there are places");
        let after = place.load(Ordering::Relaxed);
        place.store(EVERY << 32 | next_era(after), Ordering::SeqCst);
        model_fence();
        Self { place, after, here: PhantomData }
    }
}

/// The count above that of a word, for no list.
#[inline]
fn next_era(word: u64) -> u64 {
    u64::from((word as u32).wrapping_add(1))
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        self.place.store(self.after, Ordering::Release);
        local(|local| {
            local.depth.set(local.depth.get() - 1);
            leave(local);
        });
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
        ending: Cell<bool>,
    }

    thread_local! {
        static LOCAL: Local =
            const { Local { depth: Cell::new(0), record: Cell::new(None), ending: Cell::new(false) } };
        static AT_EXIT: AtExit = const { AtExit };
    }

    /// Gives the thread's record back when the thread ends.
    struct AtExit;

    impl Drop for AtExit {
        fn drop(&mut self) {
            local(give_back);
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
    }

    pub(crate) fn local<R>(with: impl FnOnce(&Local) -> R) -> R {
        LOCAL.with(with)
    }

    /// The thread's record.
    #[inline]
    pub(crate) fn record_of_this_thread(local: &Local) -> &'static Record {
        local.record.get().unwrap_or_else(|| first_use(local))
    }

    #[cold]
    fn first_use(local: &Local) -> &'static Record {
        let record = take();
        local.record.set(Some(record));
        // A thread that is ending already gives its record back after each use.
        local.ending.set(AT_EXIT.try_with(|_| ()).is_err());
        record
    }

    /// A publication is over.
    #[inline]
    pub(crate) fn leave(local: &Local) {
        if local.ending.get() && local.depth.get() == 0 {
            give_back(local);
        }
    }

    #[cold]
    fn give_back(local: &Local) {
        if let Some(record) = local.record.take() {
            record.taken.store(false, Ordering::Release);
        }
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
    }

    pub(crate) fn local<R>(with: impl FnOnce(&Local) -> R) -> R {
        LOCAL.with(with)
    }

    pub(crate) fn record_of_this_thread(local: &Local) -> &'static Record {
        let record = local.record.get().unwrap_or_else(|| {
            let free = records().find(|record| !record.taken.swap(true, Ordering::AcqRel));
            free.expect("invariant: a model has at most four threads")
        });
        local.record.set(Some(record));
        record
    }

    pub(crate) fn leave(_: &Local) {}

    pub(crate) fn records() -> impl Iterator<Item = &'static Record> {
        RECORDS.iter()
    }
}
