//! A record of places for each thread. Records are never freed, but used again.

#[cfg(any(loom, shuttle))]
pub(crate) use self::model::*;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use self::real::*;

#[cfg(not(any(loom, shuttle)))]
mod real {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::super::NESTED;
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
        /// The places of the record that are not in use; none if there is no record.
        pub(crate) free: Cell<&'static [AtomicU64]>,
        pub(crate) record: Cell<Option<&'static Record>>,
        /// How many publications are too deep to have a place, and what the last place says without them.
        pub(crate) deep: Cell<usize>,
        pub(crate) covered: Cell<u64>,
        ending: Cell<bool>,
    }

    thread_local! {
        static LOCAL: Local = const {
            Local {
                free: Cell::new(&[]),
                record: Cell::new(None),
                deep: Cell::new(0),
                covered: Cell::new(0),
                ending: Cell::new(false),
            }
        };
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

    #[inline]
    pub(crate) fn local<R>(with: impl FnOnce(&Local) -> R) -> R {
        LOCAL.with(with)
    }

    /// Takes a record for the thread.
    pub(crate) fn first_use(local: &Local) -> &'static Record {
        let record = take();
        local.record.set(Some(record));
        local.ending.set(AT_EXIT.try_with(|_| ()).is_err());
        record
    }

    /// The publication is over that took the record. A thread that is ending gives it back after each.
    pub(crate) fn leave(local: &Local, record: &'static Record) {
        if local.ending.get() { give_back(local) } else { local.free.set(&record.places) }
    }

    fn give_back(local: &Local) {
        local.free.set(&[]);
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

/// The same for models: a fixed number of records, new ones in each run.
#[cfg(any(loom, shuttle))]
mod model {
    use std::cell::Cell;

    #[cfg(loom)]
    use loom::{lazy_static, thread_local};
    #[cfg(shuttle)]
    use shuttle::{lazy_static, thread_local};

    use super::super::NESTED;
    use crate::sync::{AtomicBool, AtomicU64, Ordering};

    pub(crate) struct Record {
        pub(crate) places: Vec<AtomicU64>,
        taken: AtomicBool,
    }

    pub(crate) struct Local {
        pub(crate) free: Cell<&'static [AtomicU64]>,
        pub(crate) record: Cell<Option<&'static Record>>,
        pub(crate) deep: Cell<usize>,
        pub(crate) covered: Cell<u64>,
    }

    /// As many as a model has threads that publish.
    const RECORDS_MAX: usize = if cfg!(loom) { 4 } else { 8 };

    lazy_static! {
        static ref RECORDS: Vec<Record> = (0..RECORDS_MAX).map(|_| Record::new()).collect();
    }

    thread_local! {
        static LOCAL: Local = Local {
            free: Cell::new(&[]),
            record: Cell::new(None),
            deep: Cell::new(0),
            covered: Cell::new(0),
        };
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

    pub(crate) fn first_use(local: &Local) -> &'static Record {
        let free = records().find(|record| !record.taken.swap(true, Ordering::AcqRel));
        let record = free.expect("invariant: a model has few threads");
        local.record.set(Some(record));
        record
    }

    pub(crate) fn leave(local: &Local, record: &'static Record) {
        local.free.set(&record.places);
    }

    pub(crate) fn records() -> impl Iterator<Item = &'static Record> {
        RECORDS.iter()
    }
}
