//! Waking who waits for a queue of the VM, from whichever worker fills it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use std::sync::Arc;

use parking_lot::Mutex;

/// Says that a queue has something. The shared VM's queues are filled and waited for on different threads.
#[derive(Default)]
pub(crate) struct Bell {
    items: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    wakers: Vec<Waker>,
    alarms: Vec<Arc<Alarm>>,
}

impl Bell {
    /// `count` more items are there: everyone who waits looks.
    pub(crate) fn ring(&self, count: usize) {
        self.items.fetch_add(count, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.wakers.into_iter().for_each(Waker::wake);
        waiting.alarms.iter().for_each(|alarm| alarm.ring());
    }

    /// One item was taken.
    pub(crate) fn took(&self) {
        self.items.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ready once there is an item.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        if self.items.load(Ordering::SeqCst) > 0 {
            return Poll::Ready(());
        }
        if !waiting.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Rings the alarm, once, when there is an item; at once if there is one.
    pub(crate) fn set(&self, alarm: Arc<Alarm>) {
        let mut waiting = self.waiting.lock();
        if self.items.load(Ordering::SeqCst) > 0 {
            drop(waiting);
            return alarm.ring();
        }
        if !waiting.alarms.iter().any(|known| Arc::ptr_eq(known, &alarm)) {
            waiting.alarms.push(alarm);
        }
    }
}

/// What `core.wait` of one run waits on.
#[derive(Default)]
pub(crate) struct Alarm {
    rang: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Alarm {
    fn ring(&self) {
        self.rang.store(true, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    /// Ready if it has rung since it was last ready.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.waker.lock();
        if self.rang.swap(false, Ordering::SeqCst) {
            return Poll::Ready(());
        }
        *waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_that_rang_before_anyone_waits_is_heard_once() {
        let (bell, alarm) = (Bell::default(), Arc::new(Alarm::default()));
        let cx = &mut Context::from_waker(Waker::noop());
        bell.set(alarm.clone());
        bell.set(alarm.clone());
        assert_eq!(alarm.poll(cx), Poll::Pending);
        bell.ring(1);
        assert_eq!(alarm.poll(cx), Poll::Ready(()));
        assert_eq!(alarm.poll(cx), Poll::Pending);
    }
}
