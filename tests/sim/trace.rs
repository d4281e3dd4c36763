//! What happened, a line each: the same seed must give the same lines.

use std::{cell::RefCell, fmt::Display, rc::Rc};

use super::time::Time;

/// The lines of one world. A handle.
#[derive(Clone)]
pub(crate) struct Trace(Rc<Inner>);

struct Inner {
    time: Time,
    lines: RefCell<Vec<String>>,
}

impl Trace {
    /// An empty one.
    pub(crate) fn new(time: &Time) -> Self {
        Self(Rc::new(Inner { time: time.clone(), lines: RefCell::default() }))
    }

    /// Says that `what` happened to `who` now.
    pub(crate) fn say(&self, who: impl Display, what: impl Display) {
        let elapsed = self.0.time.elapsed();
        let line = format!("{:>4}.{:06} {who}: {what}", elapsed.as_secs(), elapsed.subsec_micros());
        self.0.lines.borrow_mut().push(line);
    }

    /// Everything that happened so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lines.borrow().clone()
    }
}
