//! What scripts cost so far: counters a function, and the memory a VM holds.
//!
//! Counted once a run, with plain stores: one thread at a time runs a VM. No clock is read for it. Run time is sampled:
//! whoever watches the runs ([`Interrupter::sample`](crate::Interrupter::sample)) adds the time between two looks to
//! the function that it finds running.

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::context::ContextKind;

/// One VM's counters, readable from any thread.
#[derive(Debug, Clone)]
pub struct VmUsage(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    thread: u32,
    memory_bytes: AtomicUsize,
    /// The place in `functions` of what runs now, or [`NOTHING`].
    running: AtomicU32,
    functions: Mutex<Vec<Arc<Counters>>>,
}

/// What one function cost so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUsage {
    /// Where it runs.
    pub context: ContextKind,
    /// Its registered name; the file for a main chunk, empty for tasks and handlers.
    pub name: String,
    /// Where it is defined: `file.lua:12`.
    pub place: String,
    /// Runs begun.
    pub calls: u64,
    /// Times a run waited because the script asked for it.
    pub yields: u64,
    /// Times a run was stopped for having run for long.
    pub preemptions: u64,
    /// Runs that ended by an error.
    pub errors: u64,
    /// Time spent running, as sampled.
    pub run_time: Duration,
}

#[derive(Debug)]
struct Counters {
    context: ContextKind,
    name: String,
    place: String,
    calls: AtomicU64,
    yields: AtomicU64,
    preemptions: AtomicU64,
    errors: AtomicU64,
    run_ns: AtomicU64,
}

const NOTHING: u32 = u32::MAX;

impl VmUsage {
    /// What `core.thread` gives in this VM: 0 for the shared one.
    #[must_use]
    pub fn thread(&self) -> u32 {
        self.0.thread
    }

    /// What the VM held when it last said so, which is every few runs.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.0.memory_bytes.load(Relaxed)
    }

    /// Every function that ran so far, in the order of their first runs.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionUsage> {
        let functions = self.0.functions.lock();
        let read = |counters: &Arc<Counters>| FunctionUsage {
            context: counters.context,
            name: counters.name.clone(),
            place: counters.place.clone(),
            calls: counters.calls.load(Relaxed),
            yields: counters.yields.load(Relaxed),
            preemptions: counters.preemptions.load(Relaxed),
            errors: counters.errors.load(Relaxed),
            run_time: Duration::from_nanos(counters.run_ns.load(Relaxed)),
        };
        functions.iter().map(read).collect()
    }

    /// Adds time to what runs now.
    pub(crate) fn sample(&self, time: Duration) {
        let running = self.0.running.load(Relaxed);
        if let Some(counters) = self.0.functions.lock().get(running as usize) {
            counters.run_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        }
    }
}

/// The VM's own side.
pub(crate) struct Usage {
    shared: VmUsage,
    functions: RefCell<Vec<Arc<Counters>>>,
    /// By registry reference: the place in `functions` plus 1, 0 for none.
    of_reference: RefCell<Vec<u32>>,
    known: RefCell<FxHashMap<(ContextKind, String, String), u32>>,
}

impl Usage {
    pub(crate) fn new(thread: u32) -> Self {
        let shared = Shared {
            thread,
            memory_bytes: AtomicUsize::new(0),
            running: AtomicU32::new(NOTHING),
            functions: Mutex::default(),
        };
        Usage {
            shared: VmUsage(Arc::new(shared)),
            functions: RefCell::default(),
            of_reference: RefCell::default(),
            known: RefCell::default(),
        }
    }

    pub(crate) fn shared(&self) -> &VmUsage {
        &self.shared
    }

    /// The number of the function that a reference names, if it ran before.
    pub(crate) fn find(&self, reference: c_int) -> Option<u32> {
        let of_reference = self.of_reference.borrow();
        of_reference.get(usize::try_from(reference).ok()?)?.checked_sub(1)
    }

    /// The number of a function by what is told of it.
    pub(crate) fn number(&self, context: ContextKind, name: &str, place: String) -> u32 {
        let key = (context, name.to_owned(), place);
        let known = self.known.borrow().get(&key).copied();
        known.unwrap_or_else(|| self.make(key))
    }

    /// From now on a reference names the function of that number.
    pub(crate) fn keep(&self, reference: c_int, number: u32) {
        let Ok(at) = usize::try_from(reference) else { return };
        let mut of_reference = self.of_reference.borrow_mut();
        if of_reference.len() <= at {
            of_reference.resize(at + 1, 0);
        }
        of_reference[at] = number + 1;
    }

    fn make(&self, key: (ContextKind, String, String)) -> u32 {
        let (context, name, place) = key.clone();
        let counters = Arc::new(Counters {
            context,
            name,
            place,
            calls: AtomicU64::new(0),
            yields: AtomicU64::new(0),
            preemptions: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            run_ns: AtomicU64::new(0),
        });
        let mut functions = self.functions.borrow_mut();
        let number = u32::try_from(functions.len()).expect("invariant: scripts have fewer functions");
        functions.push(counters.clone());
        self.shared.0.functions.lock().push(counters);
        self.known.borrow_mut().insert(key, number);
        number
    }

    /// A reference is free to name something else.
    pub(crate) fn forget(&self, reference: c_int) {
        let at = usize::try_from(reference).unwrap_or(usize::MAX);
        if let Some(number) = self.of_reference.borrow_mut().get_mut(at) {
            *number = 0;
        }
    }

    pub(crate) fn count_call(&self, function: u32) {
        self.count(function, |counters| &counters.calls);
    }

    pub(crate) fn count_yield(&self, function: u32, forced: bool) {
        self.count(function, |counters| if forced { &counters.preemptions } else { &counters.yields });
    }

    /// A yield that went straight back into the function that runs.
    pub(crate) fn count_turn(&self, forced: bool) {
        self.count_yield(self.shared.0.running.load(Relaxed), forced);
    }

    pub(crate) fn count_error(&self, function: u32) {
        self.count(function, |counters| &counters.errors);
    }

    /// Only this VM's runner writes, so no read-modify-write is needed.
    fn count(&self, function: u32, counter: impl Fn(&Counters) -> &AtomicU64) {
        if let Some(counters) = self.functions.borrow().get(function as usize) {
            let counter = counter(counters);
            counter.store(counter.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Says what runs now, and gives back what ran until now.
    pub(crate) fn enter(&self, function: u32) -> u32 {
        let running = &self.shared.0.running;
        let before = running.load(Relaxed);
        running.store(function, Relaxed);
        before
    }

    pub(crate) fn leave(&self, before: u32) {
        self.shared.0.running.store(before, Relaxed);
    }

    pub(crate) fn publish_memory(&self, bytes: usize) {
        self.shared.0.memory_bytes.store(bytes, Relaxed);
    }
}
