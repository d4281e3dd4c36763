//! The real clock: the one place that reads it.
//!
//! A worker takes a [`Turn`] at the start of each turn of its loop; everything that runs in the
//! turn sees that moment. The simulation has a clock of its own instead.

use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime},
};

/// The moment at which the present turn of a worker began.
#[derive(Debug)]
pub struct Turn {
    now: Cell<Instant>,
    wall: Cell<Option<Duration>>,
}

impl Turn {
    /// Starts at the present moment.
    #[must_use]
    pub fn new() -> Self {
        Self { now: Cell::new(instant()), wall: Cell::new(None) }
    }

    /// The moment of the present turn.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// The wall clock in the present turn, since the Unix epoch; read when first asked for.
    #[must_use]
    pub fn wall(&self) -> Duration {
        self.wall.get().unwrap_or_else(|| {
            let wall = wall();
            self.wall.set(Some(wall));
            wall
        })
    }

    /// Begins a new turn.
    pub fn advance(&self) -> Instant {
        let now = instant();
        self.now.set(now);
        self.wall.set(None);
        now
    }
}

impl Default for Turn {
    fn default() -> Self {
        Self::new()
    }
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the real clock")]
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// The wall clock, since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the real clock")]
#[must_use]
pub fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A thread of this process, as the system numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(i32);

/// The calling thread.
#[must_use]
pub fn thread() -> ThreadId {
    ThreadId(nix::unistd::gettid().as_raw())
}

/// How much CPU time a thread of this process has used; `None` once it has ended.
#[must_use]
pub fn thread_cpu(ThreadId(tid): ThreadId) -> Option<Duration> {
    /// Linux numbers the CPU clocks of threads by their numbers: clock_getcpuclockid(3).
    const PER_THREAD: i32 = 0b110;
    let clock = nix::time::ClockId::from_raw((!tid << 3) | PER_THREAD);
    nix::time::clock_gettime(clock).ok().map(Duration::from)
}
