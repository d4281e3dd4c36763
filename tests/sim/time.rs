//! The world's time: it moves only when nobody has anything to do, straight to the next thing to happen.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tidegate::wiring::Clocks;

/// The clock that everybody in one world shares. A handle; `Send`, as the event bus asks its clocks to be.
#[derive(Clone, Debug)]
pub(crate) struct Time(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    elapsed: Duration,
    next: u64,
    /// By moment, then in the order of asking.
    wakes: BTreeMap<(Duration, u64), Waker>,
}

impl Time {
    /// A clock at the beginning.
    pub(crate) fn new() -> Self {
        // Any instant will do as the beginning: only differences are ever seen.
        Self(Arc::new(Inner { origin: Instant::now(), state: Mutex::default() }))
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    /// The present.
    pub(crate) fn now(&self) -> Instant {
        self.0.origin + self.elapsed()
    }

    /// The present since the Unix epoch.
    pub(crate) fn wall(&self) -> Duration {
        WALL_AT_ORIGIN + self.elapsed()
    }

    /// That instant as time since the beginning.
    pub(crate) fn since_origin(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.0.origin)
    }

    /// The clocks of the proxy's wiring.
    pub(crate) fn clocks(&self) -> Clocks {
        let (instant, wall) = (self.clone(), self.clone());
        Clocks { instant: Arc::new(move || instant.now()), wall: Arc::new(move || wall.wall()) }
    }

    /// Wakes once that moment has come.
    pub(crate) fn wake_at(&self, at: Duration, waker: &Waker) {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.wakes.insert((at, number), waker.clone());
    }

    /// Waits.
    pub(crate) fn sleep(&self, time: Duration) -> Sleep {
        Sleep { time: self.clone(), until: self.elapsed() + time }
    }

    /// The next moment that somebody waits for.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.state().wakes.first_key_value().map(|((at, _), _)| *at)
    }

    /// Moves to a moment and wakes who waits for it, or for an earlier one.
    pub(crate) fn advance(&self, to: Duration) {
        let due = {
            let mut state = self.state();
            state.elapsed = state.elapsed.max(to);
            let later = state.wakes.split_off(&(to + Duration::from_nanos(1), 0));
            std::mem::replace(&mut state.wakes, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().expect("invariant: nobody panics while holding the clock")
    }
}

/// A wait. `Send`, as agents' handlers must be.
#[derive(Debug)]
pub(crate) struct Sleep {
    time: Time,
    until: Duration,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.time.elapsed() >= self.until {
            return Poll::Ready(());
        }
        self.time.wake_at(self.until, cx.waker());
        Poll::Pending
    }
}

/// The agent's clock.
impl spoe::host::Clock for Time {
    type Timer = Alarm;

    fn now(&self) -> Instant {
        self.now()
    }

    fn timer(&self) -> Alarm {
        Alarm { time: self.clone(), at: None }
    }
}

/// The agent's timer.
#[derive(Debug)]
pub(crate) struct Alarm {
    time: Time,
    at: Option<Duration>,
}

impl spoe::host::Timer for Alarm {
    fn reset(&mut self, at: Instant) {
        self.at = Some(self.time.since_origin(at));
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if self.time.elapsed() >= at {
            return Poll::Ready(());
        }
        self.time.wake_at(at, cx.waker());
        Poll::Pending
    }
}

/// What the wall clock showed when the world began: 2026-01-01, midnight.
const WALL_AT_ORIGIN: Duration = Duration::from_secs(1_767_225_600);
