//! What owners outside of a VM dropped, for the VM to free when it runs next.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What others want from a VM while it runs: that it frees what their owners dropped, and, of the shared one, that it
/// is let go.
#[derive(Default)]
pub(crate) struct Garbage {
    pub(crate) list: Mutex<Vec<Dropped>>,
    pub(crate) any: AtomicBool,
    /// Another worker waits for the shared VM.
    pub(crate) waiting: AtomicBool,
}

pub(crate) enum Dropped {
    Reference(c_int),
    Suspended(u32),
}

impl Garbage {
    pub(crate) fn add(&self, dropped: Dropped) {
        self.list.lock().push(dropped);
        self.any.store(true, Ordering::Release);
    }
}
