//! Closes the connections of sockets that scripts dropped without closing: soon, but not by a whole collection after
//! each run, which is what HAProxy does.
//!
//! * After every few sockets made, and once more a little after the last, the young part of the heap is collected. That
//!   finds the sockets of runs that are over.
//! * A socket that has lived through that is found only by a whole collection. There is one when twice as many
//!   connections are open as the last one left.
//!
//! INVARIANT: at most one task of the worker waits to collect for a VM.

use std::cell::Cell;
use std::time::Duration;

use crate::raw::machine;
use crate::runtime::Runtime;
use crate::vm::{Startup, VmState};

/// What a VM remembers of its sockets.
pub(crate) struct Reaper {
    /// Sockets made since the last collection of the young.
    made: Cell<usize>,
    /// Sockets made since somebody last looked how many are open.
    unseen: Cell<usize>,
    /// So many open connections call for a whole collection.
    limit: Cell<usize>,
    /// A task is on its way.
    scheduled: Cell<bool>,
}

impl Default for Reaper {
    fn default() -> Self {
        Reaper {
            made: Cell::new(0),
            unseen: Cell::new(0),
            limit: Cell::new(OPEN_MIN),
            scheduled: Cell::new(false),
        }
    }
}

impl Reaper {
    /// A script makes a socket.
    pub(crate) fn made(&self, vm: &VmState) {
        self.made.set(self.made.get() + 1);
        self.unseen.set(self.unseen.get() + 1);
        if self.unseen.get() >= self.limit.get() / 2 {
            self.unseen.set(0);
            self.look(vm);
        }
        if !self.scheduled.replace(true) {
            vm.startup.borrow_mut().push(Startup::Reap);
        }
    }

    /// Collects everything if too many connections are open.
    fn look(&self, vm: &VmState) {
        let worker = vm.worker();
        let open = || worker.sockets.borrow().open_count();
        if open() < self.limit.get() {
            return;
        }
        machine::collect(vm);
        self.limit.set((open() * 2).max(OPEN_MIN));
    }

    /// A run has ended.
    pub(crate) fn run_ended(&self, vm: &VmState) {
        if self.made.get() >= MADE_MAX {
            self.collect(vm);
        }
    }

    fn collect(&self, vm: &VmState) {
        self.made.set(0);
        machine::collect_young(vm);
    }
}

/// The task that collects a little after the last socket was made.
pub(crate) async fn run(runtime: Runtime) {
    for _ in 0..ROUNDS {
        let core = &runtime.worker.core;
        let Some(sleep) = core.sleep_until(core.now() + DELAY) else { break };
        sleep.await;
        runtime.with(|vm| vm.state.reaper.collect(&vm.state));
    }
    runtime.with(|vm| vm.state.reaper.scheduled.set(false));
}

/// Sockets made between two collections of the young.
const MADE_MAX: usize = 16;
/// Fewer open connections are never too many.
const OPEN_MIN: usize = 64;
/// From the making of a socket to the collection that finds it dropped.
const DELAY: Duration = Duration::from_millis(50);
/// Rounds before the task ends; the next socket starts another.
const ROUNDS: usize = 3;
