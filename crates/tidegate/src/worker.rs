//! One worker: a thread with one tokio runtime and one scheduler.
//!
//! ```text
//!   loop ──► take the time ──► scheduler.run(now, budget) ──► park in tokio until
//!                 ▲                                             a socket is ready (its waker is a task's),
//!                 └───────────────────────────────────────────── another thread wakes us, or the next expiry
//! ```
//!
//! tokio's driver wakes tasks of our scheduler directly; the first such wake of a turn wakes the
//! loop. All time that tasks see is taken here, once a turn.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use pin_project_lite::pin_project;
use scheduler::{Budget, Remote, Scheduler, Snapshot};
pub use scheduler::{Handle, NameStats, TaskRef};

use crate::{
    alarm::Alarm,
    clock::{self, Turn},
    pace::{Pace, Profiling},
};

/// A worker's loop, before it runs.
pub struct Worker {
    alarm: Alarm,
    runtime: tokio::runtime::Runtime,
    scheduler: Scheduler,
    turn: Rc<Turn>,
    budget: Budget,
    stop: Rc<Cell<bool>>,
    pace: Arc<Pace>,
}

impl Worker {
    /// Makes a worker on this thread, one of `threads`.
    ///
    /// # Errors
    /// The system refuses an event queue.
    pub fn new(threads: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let turn = Rc::new(Turn::new());
        let scheduler = Scheduler::new(turn.now());
        scheduler.on_panic(|panic| {
            eprintln!(
                "[ALERT]    ({}) : task '{}' failed: {}",
                std::process::id(),
                panic.name,
                panic.message()
            );
        });
        let alarm = {
            let _guard = runtime.enter();
            Alarm::new()?
        };
        Ok(Self {
            alarm,
            runtime,
            scheduler,
            turn,
            budget: Budget::for_threads(threads),
            stop: Rc::default(),
            pace: Arc::default(),
        })
    }

    /// The scheduler, to spawn on.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.scheduler.handle()
    }

    /// This worker's time.
    #[must_use]
    pub fn turn(&self) -> Rc<Turn> {
        self.turn.clone()
    }

    /// What ends the loop once set, at the end of the turn.
    #[must_use]
    pub fn stop_flag(&self) -> Rc<Cell<bool>> {
        self.stop.clone()
    }

    /// Lets sockets be registered outside the loop.
    pub fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs until the stop flag is set. What is left then is dropped.
    pub fn run(self) {
        let Self { runtime, mut alarm, mut scheduler, turn, budget, stop, pace } = self;
        let turns = poll_fn(|cx| {
            scheduler.set_pender(cx.waker());
            let now = turn.advance();
            let outcome = scheduler.run(now, budget);
            if let Some(on) = pace.took(clock::instant() - now, scheduler.is_profiling()) {
                measure(&scheduler, on);
            }
            if stop.get() {
                return Poll::Ready(());
            }
            if outcome.more {
                cx.waker().wake_by_ref(); // look at the sockets, then go on
                return Poll::Pending;
            }
            alarm.until(outcome.next_expiry, now, cx);
            Poll::Pending
        });
        runtime.block_on(tokio::task::coop::unconstrained(turns));
        let guard = runtime.enter(); // sockets unregister as tasks are dropped
        drop(scheduler);
        drop(guard);
        // Names still being looked up are not waited for.
        runtime.shutdown_background();
    }
}

/// The schedulers of all workers, to be asked for their figures.
#[derive(Debug, Default)]
pub struct Schedulers(Mutex<Registered>);

#[derive(Debug, Default)]
struct Registered {
    all: Vec<Member>,
    profiling: Profiling,
}

/// One worker, as other threads see it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number, from 0.
    pub thread: usize,
    /// The way to its scheduler.
    pub remote: Remote,
    /// How its turns go.
    pub pace: Arc<Pace>,
    /// Its thread, as the system numbers it.
    pub tid: clock::ThreadId,
}

/// What one worker's scheduler has done.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The worker's number, from 0.
    pub thread: usize,
    /// Its figures.
    pub snapshot: Snapshot,
}

impl Schedulers {
    /// Adds a worker's, on its thread.
    pub fn add(&self, thread: usize, worker: &Worker) {
        let mut registered = self.lock();
        worker.pace.profile(registered.profiling);
        measure(&worker.scheduler, registered.profiling == Profiling::On);
        registered.all.push(Member {
            thread,
            remote: worker.scheduler.remote(),
            pace: worker.pace.clone(),
            tid: clock::thread(),
        });
    }

    /// Each worker.
    #[must_use]
    pub fn all(&self) -> Vec<Member> {
        self.lock().all.clone()
    }

    /// Whether runs are to be measured.
    #[must_use]
    pub fn profiling(&self) -> Profiling {
        self.lock().profiling
    }

    /// Measures runs from now on, from nothing, or no more, or as each worker's load asks for.
    pub fn profile(&self, profiling: Profiling) {
        let mut registered = self.lock();
        registered.profiling = profiling;
        for member in &registered.all {
            member.pace.profile(profiling);
            if profiling != Profiling::Auto {
                let on = profiling == Profiling::On;
                // One that has gone, or has a thousand jobs waiting, is not worth measuring.
                let _ = member.remote.spawn(Box::new(move |handle| measure(handle, on)));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn measure(handle: &Handle, on: bool) {
    handle.set_profiler(on.then(|| -> Rc<dyn Fn() -> Instant> { Rc::new(clock::instant) }));
}

/// The tasks that serve connections on one worker: counted, and woken together when a stop begins.
#[derive(Default)]
pub struct Sessions {
    running: RefCell<slab::Slab<TaskRef>>,
    emptied: RefCell<Option<std::task::Waker>>,
}

impl Sessions {
    /// Starts a session's task; `held` is dropped when it has ended.
    pub fn spawn(
        self: &Rc<Self>,
        handle: &Handle,
        session: impl Future<Output = ()> + 'static,
        held: impl Sized + 'static,
    ) {
        let mut running = self.running.borrow_mut();
        let entry = running.vacant_entry();
        let leave = Leave { sessions: self.clone(), key: entry.key() };
        entry.insert(handle.spawn_tasklet("session", Holding { future: session, _held: (held, leave) }));
    }

    /// How many run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.running.borrow().len()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.borrow().is_empty()
    }

    /// Wakes each, so that idle ones see that a stop began.
    pub fn wake_all(&self) {
        for (_, task) in self.running.borrow().iter() {
            task.wake(scheduler::Woken::SIGNAL);
        }
    }

    /// Ready once none runs.
    pub fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Ready(());
        }
        *self.emptied.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

pin_project! {
    /// A future that holds something until it is dropped.
    ///
    /// An async block that awaits a captured future has room for it twice; this has it once, and there
    /// is one for each idle connection.
    struct Holding<F, T> {
        #[pin]
        future: F,
        _held: T,
    }
}

impl<F: Future, T> Future for Holding<F, T> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

/// Takes a session off the list, however it ends.
struct Leave {
    sessions: Rc<Sessions>,
    key: usize,
}

impl Drop for Leave {
    fn drop(&mut self) {
        // A scheduler that is being dropped drops its tasks while nobody looks at the list any more.
        if let Ok(mut running) = self.sessions.running.try_borrow_mut() {
            running.try_remove(self.key);
            if running.is_empty()
                && let Some(waker) = self.sessions.emptied.take()
            {
                waker.wake();
            }
        }
    }
}
