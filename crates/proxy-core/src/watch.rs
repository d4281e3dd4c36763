//! A number that one thread changes and tasks of all threads wait to see changed.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// The number. Reading it is one load; waiting for it takes a lock, changing it too.
#[derive(Debug, Default)]
pub struct Watch {
    value: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Watch {
    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.value.load(Acquire)
    }

    /// Counts up and wakes who waits.
    pub fn bump(&self) {
        self.value.fetch_add(1, AcqRel);
        self.wake();
    }

    /// Changes it as `change` says, unless that says None; whether it changed.
    pub fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> bool {
        let changed = self.value.fetch_update(AcqRel, Acquire, change).is_ok();
        if changed {
            self.wake();
        }
        changed
    }

    /// Ready with what it is once that is not `seen`.
    pub fn poll_changed(&self, seen: u64, cx: &mut Context<'_>) -> Poll<u64> {
        let differs = |value| if value == seen { Poll::Pending } else { Poll::Ready(value) };
        if let Poll::Ready(value) = differs(self.get()) {
            return Poll::Ready(value);
        }
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        // It may have changed before we were on the list.
        differs(self.get())
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}
