//! Stopping: one signal that every worker waits for.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicU8, AtomicUsize, Ordering},
    task::{Poll, Waker},
};

use parking_lot::Mutex;

/// How far a stop has gone. Only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stop {
    /// Running.
    No = 0,
    /// Soft: nothing new is accepted, what runs may finish.
    Soft = 1,
    /// Now.
    Now = 2,
}

/// The process's stop signal, shared by all threads.
#[derive(Debug, Default)]
pub struct StopSignal {
    state: AtomicU8,
    /// Workers that have nothing left to finish.
    finished: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl StopSignal {
    /// How far it has gone.
    #[must_use]
    pub fn state(&self) -> Stop {
        match self.state.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Soft,
            _ => Stop::Now,
        }
    }

    /// Asks for a stop; asking for less than there is changes nothing.
    pub fn ask(&self, stop: Stop) {
        self.state.fetch_max(stop as u8, Ordering::AcqRel);
        self.wake();
    }

    /// Waits until the stop has gone at least that far.
    pub async fn reached(&self, stop: Stop) {
        self.until(|| self.state() >= stop).await;
    }

    /// Says that one worker has finished what ran on it, and waits for all `workers` to have said so:
    /// what serves the whole process runs on one of them.
    pub async fn finish(&self, workers: usize) {
        self.finished.fetch_add(1, Ordering::AcqRel);
        self.wake();
        self.until(|| self.finished.load(Ordering::Acquire) >= workers).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        poll_fn(|cx| {
            if is_so() {
                return Poll::Ready(());
            }
            self.waiting.lock().push(cx.waker().clone());
            // It may have become so before we were on the list.
            if is_so() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for waker in waiting {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    #[test]
    fn a_soft_stop_is_not_a_stop_now_and_never_goes_back() {
        let signal = StopSignal::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut soft = Box::pin(signal.reached(Stop::Soft));
        let mut now = Box::pin(signal.reached(Stop::Now));
        assert!(soft.as_mut().poll(&mut cx).is_pending());
        signal.ask(Stop::Soft);
        assert!(soft.as_mut().poll(&mut cx).is_ready());
        assert!(now.as_mut().poll(&mut cx).is_pending());
        signal.ask(Stop::Now);
        signal.ask(Stop::Soft);
        assert!(now.as_mut().poll(&mut cx).is_ready());
        assert_eq!(signal.state(), Stop::Now);
    }

    #[test]
    fn workers_leave_together() {
        let signal = StopSignal::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut idle = Box::pin(signal.finish(2));
        assert!(idle.as_mut().poll(&mut cx).is_pending());
        let mut busy = Box::pin(signal.finish(2));
        assert!(busy.as_mut().poll(&mut cx).is_ready());
        assert!(idle.as_mut().poll(&mut cx).is_ready());
    }
}
