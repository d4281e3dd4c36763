//! A number for each thread, so that a waker knows in two loads whether it is at home.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::thread_local;

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// This thread's number; 0 for one that never had a scheduler.
#[inline]
pub(crate) fn current() -> u64 {
    CURRENT.with(Cell::get)
}

/// This thread's number, never 0 and never used again.
pub(crate) fn join() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if current() == 0 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        CURRENT.with(|current| current.set(number));
    }
    current()
}
