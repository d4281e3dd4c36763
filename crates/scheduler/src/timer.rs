//! The objects that wait for an instant.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::core::Core;

/// A re-armable deadline.
///
/// Made for the timeouts of a proxy, which are pushed back on every request and hardly ever expire:
/// moving the deadline later, and cancelling, is a store. It never fires early, has no horizon and
/// allocates nothing when armed.
///
/// # Thread affinity
/// `!Send`: belongs to its scheduler's thread.
pub struct Timer {
    core: Rc<Core>,
    index: u32,
}

impl Timer {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        let index = core.new_timer();
        Self { core, index }
    }

    /// Sets the deadline, or disarms the timer with `None`.
    ///
    /// A deadline that has passed is due at once. Whoever was told "pending" last stays the one to be woken.
    pub fn set(&self, deadline: Option<Instant>) {
        self.core.set_timer(self.index, deadline);
    }

    /// Sets the deadline to a time from now, that is from the pass that runs: what a timeout needs, and a
    /// third of the work of [`set`](Self::set), as there is no `Instant` to convert.
    ///
    /// # Source
    /// `tick_add(now_ms, timeout)` of HAProxy's tasks.
    #[inline]
    pub fn set_after(&self, timeout: Duration) {
        self.core.set_timer_after(self.index, timeout);
    }

    /// The deadline that was set last; one before the scheduler's own start counts as that.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.core.timer_deadline(self.index)
    }

    /// Ready once the deadline has been reached, and until it is set anew; pending while disarmed.
    ///
    /// The clock is the `now` of the last [`Scheduler::run`](crate::Scheduler::run). The task polling is woken with
    /// [`Woken::TIMER`](crate::Woken::TIMER) when the deadline comes.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.core.poll_timer(self.index, cx)
    }

    /// Waits for the deadline; see [`poll_expired`](Self::poll_expired).
    ///
    /// # Yield and cancel safety
    /// Dropping the future leaves the timer as it is.
    pub async fn expired(&self) {
        std::future::poll_fn(|cx| self.poll_expired(cx)).await;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.core.drop_timer(self.index);
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").field("deadline", &self.deadline()).finish()
    }
}

/// A future that is ready when an instant has come; made by [`Handle::sleep_until`](crate::Handle::sleep_until).
#[derive(Debug)]
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep(pub(crate) Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_expired(cx)
    }
}

/// Lets the others run once, then goes on. A tasklet that yields moves to the bulk class.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
