//! What wakes a worker's loop for its scheduler's next expiry.
//!
//! tokio's timers count whole milliseconds and round up: a millisecond's sleep takes one to two. What is due soon is
//! therefore left to the kernel's own timer, which is exact to some microseconds and costs a system call to arm; what
//! is far off (nearly all timeouts of connections) stays with tokio, which costs none.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::io::unix::AsyncFd;

/// From here on a millisecond more or less is nothing.
const FAR: Duration = Duration::from_millis(20);

/// The alarm of one worker. Lives inside the worker's tokio runtime.
pub struct Alarm {
    near: Near,
    far: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// The kernel's timer, and when it rings, if it does.
struct Near {
    fd: AsyncFd<Timer>,
    armed: Option<Instant>,
}

/// The kernel's timer as tokio asks for it.
struct Timer(TimerFd);

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// Makes one.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: the timer owns its descriptor, never changes it, and lives as long as the registration.
        #[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays the same")]
        let fd = unsafe { AsyncFd::register(Timer(timer)) }?;
        Ok(Self { near: Near { fd, armed: None }, far: None })
    }

    /// Wakes `cx` at `deadline` at the latest. An earlier time that is still armed is left: the turn it causes finds
    /// nothing due, which is cheaper than moving it each turn.
    pub fn until(&mut self, deadline: Option<Instant>, now: Instant, cx: &mut Context<'_>) {
        let Some(deadline) = deadline else { return };
        let left = deadline.saturating_duration_since(now);
        let rings = if left < FAR { self.near.until(deadline, left, cx) } else { self.far(deadline, cx) };
        if rings {
            cx.waker().wake_by_ref();
        }
    }

    /// True if that time has come.
    fn far(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        // What was far comes near: it is armed again, exactly, a little before.
        let deadline = tokio::time::Instant::from_std(deadline - FAR / 2);
        let sleep = self.far.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline || sleep.is_elapsed() {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl Near {
    /// True if that time has come, or cannot be waited for.
    fn until(&mut self, deadline: Instant, left: Duration, cx: &mut Context<'_>) -> bool {
        if left.is_zero() {
            return true;
        }
        self.hear(cx);
        if self.armed.is_none_or(|armed| armed > deadline) {
            let once = Expiration::OneShot(TimeSpec::from_duration(left));
            if self.fd.get_ref().0.set(once, TimerSetTimeFlags::empty()).is_err() {
                return true;
            }
            self.armed = Some(deadline);
        }
        false
    }

    /// Takes a ring that has come, and has `cx` woken by the next.
    fn hear(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Ok(mut ready)) = self.fd.poll_read_ready(cx) {
            let rang = ready.try_io(|fd| {
                let read = nix::unistd::read(fd.get_ref(), &mut [0; 8]);
                read.map(drop).map_err(io::Error::from)
            });
            if rang.is_ok() {
                self.armed = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn, task::Poll, time::Duration};

    use super::Alarm;
    use crate::clock::instant;

    /// Sleeps so long; how long that was.
    fn slept(alarm: &mut Alarm, runtime: &tokio::runtime::Runtime, long: Duration) -> Duration {
        let start = instant();
        let deadline = start + long;
        let turns = Cell::new(0);
        runtime.block_on(poll_fn(|cx| {
            turns.set(turns.get() + 1);
            let now = instant();
            if now >= deadline {
                return Poll::Ready(());
            }
            alarm.until(Some(deadline), now, cx);
            Poll::Pending
        }));
        assert!(turns.get() < 20, "{} turns: it spins", turns.get());
        instant() - start
    }

    #[test]
    fn rings_never_early_near_and_far_one_after_the_other() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut alarm = {
            let _guard = runtime.enter();
            Alarm::new().unwrap()
        };
        for millis in [1, 3, 40, 0, 2, 25, 1] {
            let long = Duration::from_millis(millis);
            assert!(slept(&mut alarm, &runtime, long) >= long);
        }
    }

    #[test]
    fn an_earlier_deadline_is_not_missed_behind_a_later_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        let mut alarm = Alarm::new().unwrap();
        let start = instant();
        runtime.block_on(poll_fn(|cx| {
            let now = instant();
            if now - start >= Duration::from_millis(2) {
                return Poll::Ready(());
            }
            alarm.until(Some(start + Duration::from_secs(600)), now, cx);
            alarm.until(Some(start + Duration::from_millis(15)), now, cx);
            alarm.until(Some(start + Duration::from_millis(2)), now, cx);
            Poll::Pending
        }));
    }
}
