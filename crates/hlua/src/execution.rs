//! One run of one Lua function that may yield.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::host::{Lent, Value};
use crate::{Error, Runtime};

/// One run of an action, service, task or handler: begin it with [`Runtime::start`], poll it to its end.
///
/// Dropping it ends the run wherever it waits; what the script holds is collected.
pub struct Execution {
    pub(crate) runtime: Runtime,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What the function returned. For an action the first is its `act.…` code.
    pub values: Vec<Value<'static>>,
    /// `txn:done()` was called: the transaction ends here.
    pub done: bool,
    /// `act.wake_time(ms)` was called.
    pub wake_after: Option<Duration>,
}

impl Outcome {
    /// The `act.…` code of an action; 0 (`act.CONTINUE`) if it returned none.
    pub fn action_code(&self) -> i64 {
        match self.values.first() {
            Some(Value::Int(code)) => *code,
            _ => 0,
        }
    }
}

impl Execution {
    /// Runs until the script ends, fails or must wait.
    ///
    /// `lent` goes in with every poll and comes back with every answer; while the answer is `Pending` the script
    /// has no way to reach it. `now` is the worker's current instant. Pending always has `cx` registered.
    ///
    /// # Errors
    /// The run is over; the text is ready to log.
    pub fn poll(
        &mut self,
        lent: Lent,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> (Lent, Poll<Result<Outcome, Error>>) {
        self.runtime.poll_execution(lent, now, cx)
    }
}
