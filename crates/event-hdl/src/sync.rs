//! Atomics, locks and cells, exchanged for loom's under `--cfg loom` and for shuttle's under `--cfg shuttle`.
//!
//! Loom takes sequentially consistent loads and stores for weaker ones; only its fences are whole. The two sides of
//! [`pins`](crate::pins) rely on their order, so each has a fence here that exists under loom alone.

#[cfg(loom)]
pub(crate) use self::model::*;
#[cfg(not(loom))]
pub(crate) use self::real::*;

#[cfg(not(loom))]
mod real {
    #[cfg(shuttle)]
    pub(crate) use shuttle::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    };
    #[cfg(not(shuttle))]
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    #[cfg(not(any(tsan, shuttle)))]
    pub(crate) use std::sync::{Mutex, MutexGuard};

    // The thread sanitizer does not see into std, which comes compiled, nor does it know fences.
    #[cfg(tsan)]
    pub(crate) use parking_lot::{Mutex, MutexGuard};

    /// Orders what was announced or unlinked before what is looked at next. Their own operations do that here.
    pub(crate) fn model_fence() {}

    /// Everything before the releases that led to this count has happened.
    pub(crate) fn acquire(count: &AtomicUsize) {
        if cfg!(any(tsan, shuttle)) {
            count.load(Ordering::Acquire);
        } else {
            std::sync::atomic::fence(Ordering::Acquire);
        }
    }

    /// Lets others go on while this thread waits for them for the `round`th time.
    #[cfg(shuttle)]
    pub(crate) fn give_way(_: u32) {
        shuttle::thread::yield_now();
    }

    /// Lets others go on while this thread waits for them for the `round`th time.
    #[cfg(not(shuttle))]
    pub(crate) fn give_way(round: u32) {
        if round < 64 { std::hint::spin_loop() } else { std::thread::yield_now() }
    }

    /// Memory that loom watches: read while it is in use, changed when it is written or freed.
    pub(crate) struct Watched;

    impl Watched {
        pub(crate) fn new() -> Self {
            Self
        }
        pub(crate) fn read(&self) {}
        pub(crate) fn change(&self) {}
    }
}

#[cfg(loom)]
mod model {
    use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn model_fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }

    pub(crate) fn acquire(_count: &AtomicUsize) {
        loom::sync::atomic::fence(Ordering::Acquire);
    }

    pub(crate) fn give_way(_: u32) {
        loom::thread::yield_now();
    }

    pub(crate) struct Watched(UnsafeCell<()>);

    #[expect(unsafe_code, reason = "whether the accesses race is what loom is asked")]
    // SAFETY: it holds nothing.
    unsafe impl Send for Watched {}
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: it holds nothing; loom reports accesses that race.
    unsafe impl Sync for Watched {}

    impl Watched {
        pub(crate) fn new() -> Self {
            Self(UnsafeCell::new(()))
        }
        pub(crate) fn read(&self) {
            self.0.with(|_| ());
        }
        pub(crate) fn change(&self) {
            self.0.with_mut(|_| ());
        }
    }
}

/// Locks; a panic elsewhere leaves our data whole, so poison is no news.
#[cfg(not(tsan))]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(tsan)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
