//! Atomics, locks and thread-locals, swapped for loom's under `--cfg loom`.
//!
//! Only what is touched by more than one thread goes through here: the shared state word of a slot, the
//! queues of wakes and jobs from other threads and the sleep flag. `tests/shuttle.rs` compiles the crate with
//! shuttle's in place of this file.

#[cfg(loom)]
pub(crate) use self::model::*;
#[cfg(not(loom))]
pub(crate) use self::real::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use crossbeam_queue::{ArrayQueue, SegQueue};
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use std::thread_local;

    /// Places of a chunk of slots, that of its header included.
    pub(crate) const PLACES: usize = 128;
    /// Whether a slot has the size it is to have.
    pub(crate) const EXACT: bool = true;
}

#[cfg(loom)]
mod model {
    pub(crate) use crate::sync_queues::{ArrayQueue, SegQueue};
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

    /// loom's knows no const initializers.
    macro_rules! modelled {
        (static $name:ident: $type:ty = const { $init:expr };) => {
            loom::thread_local! {
                static $name: $type = $init;
            }
        };
    }
    pub(crate) use modelled as thread_local;

    pub(crate) const PLACES: usize = 8;
    pub(crate) const EXACT: bool = false;
}
