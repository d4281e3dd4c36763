//! Sync handlers: plain ones, and those that never run twice at once.

use std::cell::Cell;

use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::{Event, Family};

type Shared<F> = Box<dyn Fn(&Event<'_, '_, F>) + Send + Sync>;
type Exclusive<F> = Box<dyn FnMut(&Event<'_, '_, F>) + Send>;

pub(crate) enum Handler<F: Family> {
    Shared(Shared<F>),
    Exclusive {
        handler: Mutex<Exclusive<F>>,
        /// The mark of the thread that runs it, or 0.
        runner: AtomicUsize,
    },
}

thread_local! {
    /// How many publications of this thread are calling handlers. Its address is the thread's mark.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether the calling thread is inside a sync handler of any list.
pub(crate) fn inside_a_handler() -> bool {
    DEPTH.with(|depth| depth.get() > 0)
}

/// While it lives, this thread is inside handlers.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter() -> Self {
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Self(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

fn mark() -> usize {
    DEPTH.with(|depth| std::ptr::from_ref(depth) as usize)
}

impl<F: Family> Handler<F> {
    pub(crate) fn exclusive(handler: Exclusive<F>) -> Self {
        Self::Exclusive { handler: Mutex::new(handler), runner: AtomicUsize::new(0) }
    }

    /// Calls it; false if it is exclusive and this thread is inside it already.
    pub(crate) fn call(&self, event: &Event<'_, '_, F>) -> bool {
        match self {
            Self::Shared(handler) => handler(event),
            Self::Exclusive { handler, runner } => {
                if runner.load(Ordering::Relaxed) == mark() {
                    return false;
                }
                let mut handler = lock(handler);
                runner.store(mark(), Ordering::Relaxed);
                let _clear = Clear(runner);
                handler(event);
            }
        }
        true
    }
}

/// Clears the mark, also when the handler panics.
struct Clear<'a>(&'a AtomicUsize);

impl Drop for Clear<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
