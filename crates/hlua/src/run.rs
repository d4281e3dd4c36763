//! What is true of the run that goes on in a VM, and how a run in a run keeps apart from it.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::context::ContextKind;
use crate::host::{Lent, Value};
use crate::limits::Preemption;
use crate::members::{Members, Objects, Places};
use crate::op::Op;
use crate::vm::VmState;

/// What is true while a coroutine runs. Between runs `handle` is 0 and nothing is lent.
pub(crate) struct Run {
    pub(crate) handle: Cell<i64>,
    pub(crate) context: Cell<ContextKind>,
    pub(crate) lent: Cell<Lent>,
    /// Registry slot of the run's own object.
    pub(crate) slot: Cell<c_int>,
    /// The coroutine's kept member objects, while it runs.
    pub(crate) members: Cell<Option<Box<Members>>>,
    /// Those that are in its own object.
    pub(crate) touched: Cell<Places>,
    pub(crate) objects: Objects,
    /// No C function stands between the innermost coroutine and the scheduler.
    pub(crate) boundary_free: Cell<bool>,
    /// The coroutines are on their way out to the scheduler.
    pub(crate) suspending: Cell<bool>,
    /// …because of the hook, not of an operation.
    pub(crate) preempted: Cell<bool>,
    pub(crate) op: Cell<Option<Op>>,
    pub(crate) op_name: Cell<&'static str>,
    pub(crate) op_error: Cell<Option<String>>,
    /// `core.done` or `txn:done` was called.
    pub(crate) exit: Cell<bool>,
    pub(crate) exit_value: Cell<Option<Value<'static>>>,
    pub(crate) done: Cell<bool>,
    /// `start_response` was called.
    pub(crate) started: Cell<bool>,
    pub(crate) wake_after: Cell<Option<Duration>>,
    /// What `core.wait` of this run waits on, once it asked for it.
    pub(crate) alarm: Cell<Option<Arc<crate::op::Alarm>>>,
    /// Which callback of which filter runs; only looked at in the filter context.
    pub(crate) filter: Cell<crate::filter::Running>,
    pub(crate) panicked: Cell<Option<String>>,
    pub(crate) kill: Cell<Option<&'static str>>,
    pub(crate) used: Cell<Duration>,
    pub(crate) sliced_at: Cell<Option<Instant>>,
}

impl Default for Run {
    fn default() -> Self {
        Run {
            handle: Cell::new(0),
            context: Cell::new(ContextKind::Body),
            lent: Cell::default(),
            slot: Cell::new(0),
            members: Cell::default(),
            touched: Cell::new(0),
            objects: Objects::default(),
            boundary_free: Cell::new(true),
            suspending: Cell::new(false),
            preempted: Cell::new(false),
            op: Cell::new(None),
            op_name: Cell::new(""),
            op_error: Cell::new(None),
            exit: Cell::new(false),
            exit_value: Cell::new(None),
            done: Cell::new(false),
            started: Cell::new(false),
            wake_after: Cell::new(None),
            alarm: Cell::new(None),
            filter: Cell::default(),
            panicked: Cell::new(None),
            kill: Cell::new(None),
            used: Cell::new(Duration::ZERO),
            sliced_at: Cell::new(None),
        }
    }
}

impl Run {
    /// Moves everything out, for a run nested in this one; put back with [`Run::restore`].
    fn set_aside(&self) -> Run {
        let aside = Run::default();
        aside.restore(self);
        aside
    }

    /// Takes over every field of `from`.
    fn restore(&self, from: &Run) {
        self.handle.set(from.handle.get());
        self.context.set(from.context.get());
        self.lent.set(from.lent.take());
        self.slot.set(from.slot.get());
        self.members.set(from.members.take());
        self.touched.set(from.touched.get());
        self.objects.restore(&from.objects);
        self.boundary_free.set(from.boundary_free.get());
        self.suspending.set(from.suspending.get());
        self.preempted.set(from.preempted.get());
        self.op.set(from.op.take());
        self.op_name.set(from.op_name.get());
        self.op_error.set(from.op_error.take());
        self.exit.set(from.exit.get());
        self.exit_value.set(from.exit_value.take());
        self.done.set(from.done.get());
        self.started.set(from.started.get());
        self.wake_after.set(from.wake_after.get());
        self.alarm.set(from.alarm.take());
        self.filter.set(from.filter.get());
        self.panicked.set(from.panicked.take());
        self.kill.set(from.kill.get());
        self.used.set(from.used.get());
        self.sliced_at.set(from.sliced_at.get());
    }

    pub(crate) fn killed(&self) -> bool {
        self.kill.get().is_some()
    }
}

impl VmState {
    /// Begins a stretch of running; gives back what to restore when it is nested in another.
    pub(crate) fn begin_run(
        &self,
        handle: i64,
        context: ContextKind,
        used: Duration,
        start: Option<Instant>,
    ) -> Option<Run> {
        let outer = (self.run.handle.get() != 0).then(|| self.run.set_aside());
        let run = &self.run;
        run.handle.set(handle);
        run.context.set(context);
        run.boundary_free.set(true);
        run.suspending.set(false);
        run.preempted.set(false);
        run.exit.set(false);
        run.exit_value.set(None);
        run.wake_after.set(None);
        run.done.set(false);
        run.kill.set(None);
        run.used.set(used);
        let start = match self.preemption.get() {
            Preemption::Count(_) if !context.is_start() => {
                Some(start.unwrap_or_else(|| self.worker().core.now()))
            }
            _ => start,
        };
        run.sliced_at.set(start);
        outer
    }

    /// Ends it and says how much run time has been used in all.
    pub(crate) fn end_run(&self, outer: Option<Run>, suspended: bool) -> Duration {
        let mut used = self.run.used.get();
        if let Some(start) = self.run.sliced_at.get()
            && suspended
        {
            used += self.worker().core.now().saturating_duration_since(start);
        }
        self.run.handle.set(0);
        if let Some(outer) = outer {
            self.run.restore(&outer);
        }
        used
    }
}
