//! Sync handlers that never run twice at once.

use crate::pins::thread_mark;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::{Event, Family};

type Handler<F> = Box<dyn FnMut(Event<'_, '_, F>) + Send>;

pub(crate) struct Exclusive<F: Family> {
    handler: Mutex<Handler<F>>,
    /// The mark of the thread that runs it, or 0.
    runner: AtomicUsize,
}

/// What became of a call.
pub(crate) enum Called {
    Done,
    /// This thread is inside it already.
    Met,
    /// It ended or was paused while another thread was inside it.
    TooLate,
}

impl<F: Family> Exclusive<F> {
    pub(crate) fn new(handler: Handler<F>) -> Self {
        Self { handler: Mutex::new(handler), runner: AtomicUsize::new(0) }
    }

    /// Calls it when its turn has come, if it is `still` wanted then.
    pub(crate) fn call(&self, event: Event<'_, '_, F>, still: impl FnOnce() -> bool) -> Called {
        if self.runner.load(Ordering::Relaxed) == thread_mark() {
            return Called::Met;
        }
        let mut handler = lock(&self.handler);
        if !still() {
            return Called::TooLate;
        }
        self.runner.store(thread_mark(), Ordering::Relaxed);
        let _clear = Clear(&self.runner);
        handler(event);
        Called::Done
    }
}

/// Clears the mark, also when the handler panics.
struct Clear<'a>(&'a AtomicUsize);

impl Drop for Clear<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
