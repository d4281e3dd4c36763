//! Tasks as functions: called at each run with the reasons, answering when to be called again.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::core::Core;
use crate::woken::Woken;

/// What a [`Process`] wants after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has ended.
    Done,
    /// To be woken; no timer.
    Wait,
    /// To be woken at this instant at the latest, with [`Woken::TIMER`]. One that has passed is due at once.
    At(Instant),
}

/// A task that is a function of why it runs and when.
///
/// Closures of that form are processes.
///
/// # Source
/// The process function of HAProxy's tasks, which answers by its task's `expire`.
pub trait Process {
    /// Runs once. `now` is that of the pass.
    fn run(&mut self, woken: Woken, now: Instant) -> Next;
}

const _: Option<&dyn Process> = None;

impl<F: FnMut(Woken, Instant) -> Next> Process for F {
    fn run(&mut self, woken: Woken, now: Instant) -> Next {
        self(woken, now)
    }
}

/// A process as the future of a task.
pub(crate) struct Processing<P> {
    core: Rc<Core>,
    process: P,
}

impl<P> Processing<P> {
    pub(crate) fn new(core: Rc<Core>, process: P) -> Self {
        Self { core, process }
    }
}

// Nothing is pinned inside.
impl<P> Unpin for Processing<P> {}

impl<P: Process> Future for Processing<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let next = this.process.run(this.core.woken(), this.core.now());
        let own = this.core.current.get().expect("a process runs as a task");
        match next {
            Next::Done => return Poll::Ready(()),
            Next::Wait => this.core.set_deadline(own, None),
            Next::At(at) => this.core.set_deadline(own, Some(at)),
        }
        Poll::Pending
    }
}
