//! What the clock says of a run that goes on: in time, to give way, or to be ended.

use std::time::Duration;

use crate::context::Group;
use crate::limits::Config;
use crate::vm::VmState;

/// What the hook should do.
pub(crate) enum Judgement {
    GoOn,
    /// The slice is over.
    Slice,
    /// A limit is passed: raise this, and again at every instruction.
    Kill(&'static str),
}

#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    session: Option<Duration>,
    task: Option<Duration>,
    service: Option<Duration>,
    burst: Option<Duration>,
}

impl Timeouts {
    pub(crate) fn of(config: &Config) -> Self {
        Timeouts {
            session: config.session_timeout,
            task: config.task_timeout,
            service: config.service_timeout,
            burst: config.burst_timeout,
        }
    }
}

impl VmState {
    /// Called by the hook: what does the clock say?
    pub(crate) fn judge(&self) -> Judgement {
        if let Some(text) = self.run.kill.get() {
            return Judgement::Kill(text);
        }
        let context = self.run.context.get();
        if context.group() == Group::Start {
            return Judgement::GoOn;
        }
        let now = self.worker().core.now();
        let start = match self.run.sliced_at.get() {
            Some(start) => start,
            None => {
                // The first sign that this run is long: its time counts from here.
                self.run.sliced_at.set(Some(now));
                now
            }
        };
        let slice = now.saturating_duration_since(start);
        let timeouts = self.timeouts.get();
        let limit = match context.group() {
            Group::Start => None,
            Group::Session => timeouts.session,
            Group::Task => timeouts.task,
            Group::Service => timeouts.service,
        };
        let text = if limit.is_some_and(|limit| self.run.used.get() + slice > limit) {
            "execution timeout"
        } else if timeouts.burst.is_some_and(|limit| slice > limit) {
            "burst timeout"
        } else if context.may_yield() {
            return Judgement::Slice;
        } else {
            return Judgement::GoOn;
        };
        self.run.kill.set(Some(text));
        Judgement::Kill(text)
    }
}
