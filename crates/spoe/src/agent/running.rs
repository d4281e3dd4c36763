//! The handlers of one connection that have not answered. Those that answer when first polled never wait for another turn.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::handler::Reply;
use crate::frame::{FrameId, StreamId};

pub(super) struct Running<F> {
    tasks: Vec<Task<F>>,
    /// How many of `tasks` have been polled before.
    polled: usize,
    spare: Vec<Pin<Box<Option<F>>>>,
}

struct Task<F> {
    of: Of,
    deadline: Option<Instant>,
    future: Pin<Box<Option<F>>>,
}

/// Which request a handler runs for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    pub(super) stream: StreamId,
    pub(super) frame: FrameId,
    /// When the request was there.
    pub(super) since: Instant,
}

/// How a handler ended.
pub(super) enum End {
    Answered(Reply),
    Late,
    Panicked,
}

impl<F> Default for Running<F> {
    fn default() -> Self {
        Self { tasks: Vec::new(), polled: 0, spare: Vec::new() }
    }
}

impl<F: Future<Output = Reply>> Running<F> {
    pub(super) fn push(&mut self, of: Of, deadline: Option<Instant>, future: F) {
        let future = match self.spare.pop() {
            Some(mut memory) => {
                memory.set(Some(future));
                memory
            }
            None => Box::pin(Some(future)),
        };
        self.tasks.push(Task { of, deadline, future });
    }

    /// Polls all that run.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ended: impl FnMut(Of, End)) {
        self.polled = 0;
        self.poll_new(cx, ended);
    }

    /// Polls those that were pushed since the last poll.
    pub(super) fn poll_new(&mut self, cx: &mut Context<'_>, mut ended: impl FnMut(Of, End)) {
        while let Some(task) = self.tasks.get_mut(self.polled) {
            let future = task.future.as_mut().as_pin_mut();
            let future = future.expect("invariant: a task that runs has its future");
            match unless_panic(|| future.poll(cx)) {
                Some(Poll::Pending) => self.polled += 1,
                Some(Poll::Ready(reply)) => ended(self.remove(self.polled), End::Answered(reply)),
                None => ended(self.remove(self.polled), End::Panicked),
            }
        }
    }

    /// Drops what is over its deadline.
    pub(super) fn expire(&mut self, now: Instant, mut ended: impl FnMut(Of, End)) {
        let over = |task: &Task<F>| task.deadline.is_some_and(|deadline| deadline <= now);
        while let Some(at) = self.tasks.iter().position(over) {
            ended(self.remove(at), End::Late);
            self.polled -= usize::from(at < self.polled);
        }
    }

    /// The next deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.tasks.iter().filter_map(|task| task.deadline).min()
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Drops all; gives how many there were.
    pub(super) fn clear(&mut self) -> usize {
        self.polled = 0;
        std::mem::take(&mut self.tasks).len()
    }

    fn remove(&mut self, at: usize) -> Of {
        let mut task = self.tasks.remove(at);
        // What a handler holds may panic when dropped, like anything of it.
        if unless_panic(|| task.future.set(None)).is_some() && self.spare.len() < SPARE_MAX {
            self.spare.push(task.future);
        }
        task.of
    }
}

/// Runs a piece of a handler; `None` if it panics, which the panic hook has told by then. What it panicked in is dropped and
/// never run again, so no broken invariant of it can be seen.
pub(super) fn unless_panic<T>(piece: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(piece)).ok()
}

const SPARE_MAX: usize = 64;
