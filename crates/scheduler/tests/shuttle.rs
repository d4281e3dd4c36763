//! Wakes, kills and shared tasks of several threads, under shuttle: random schedules of three and four threads,
//! more than loom can try in full. A lost wake shows as a deadlock.
//!
//! The crate is compiled a second time here, with shuttle's atomics, locks and thread-locals in place of its `sync`
//! module. `SHUTTLE_ITERATIONS` sets how many schedules are tried; `cargo xtask soak shuttle` tries many.
#![cfg(not(loom))]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of the crate")]
#![allow(clippy::duplicate_mod, reason = "the crate's own modules, compiled for shuttle")]

#[path = "../src/batch.rs"]
mod batch;
#[path = "../src/body.rs"]
mod body;
#[path = "../src/budget.rs"]
mod budget;
#[path = "../src/core.rs"]
mod core;
#[path = "../src/deadlines.rs"]
mod deadlines;
#[path = "../src/ending.rs"]
mod ending;
#[path = "../src/handle.rs"]
mod handle;
#[path = "../src/here.rs"]
mod here;
#[path = "../src/list.rs"]
mod list;
#[path = "../src/panics.rs"]
mod panics;
#[path = "../src/pass.rs"]
mod pass;
#[path = "../src/process.rs"]
mod process;
#[path = "../src/profile.rs"]
mod profile;
#[path = "../src/remote.rs"]
mod remote;
#[path = "../src/rounds.rs"]
mod rounds;
#[path = "../src/run_queue.rs"]
mod run_queue;
#[path = "../src/scheduler.rs"]
mod scheduler;
#[path = "../src/site.rs"]
mod site;
#[path = "../src/slot.rs"]
mod slot;
#[path = "../src/stats.rs"]
mod stats;
#[path = "../src/sync_queues.rs"]
mod sync_queues;
#[path = "../src/task.rs"]
mod task;
#[path = "../src/thread.rs"]
mod thread;
#[path = "../src/timer.rs"]
mod timer;
#[path = "../src/unbound.rs"]
mod unbound;
#[path = "../src/wait_queue.rs"]
mod wait_queue;
#[path = "../src/waker.rs"]
mod waker;
#[path = "../src/wheel.rs"]
mod wheel;
#[path = "../src/woken.rs"]
mod woken;

/// `sync` of the crate, on shuttle.
mod sync {
    pub(crate) use shuttle::sync::Mutex;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use shuttle::thread_local;

    pub(crate) use crate::sync_queues::{ArrayQueue, SegQueue};

    pub(crate) const PLACES: usize = 8;
    pub(crate) const EXACT: bool = false;
}

pub use crate::budget::{Budget, Class, Outcome};
pub use crate::handle::Handle;
pub use crate::panics::TaskPanic;
pub use crate::process::{Next, Process};
pub use crate::remote::{Progress, Rejected, Remote, Running, Watch};
pub use crate::scheduler::{Config, Scheduler};
pub use crate::stats::{Activity, Histogram, NameStats, Profile, Snapshot};
pub use crate::task::{TaskHandle, TaskId, TaskRef};
pub use crate::timer::{Sleep, Timer, yield_now};
pub use crate::unbound::SharedTask;
pub use crate::woken::Woken;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Instant;

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread as threads;

/// Tries `model` in many random schedules, half of them with few changes of thread at chosen places.
fn explore(model: fn()) {
    let iterations =
        std::env::var("SHUTTLE_ITERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    shuttle::check_random(model, iterations / 2);
    shuttle::check_pct(model, iterations / 2, 3);
}

/// Where an owner sleeps.
#[derive(Default)]
struct Bed {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Bed {
    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.ring.wait(rung).unwrap();
        }
    }
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.ring.notify_one();
    }
}

/// A scheduler and where its thread sleeps.
struct Owner {
    scheduler: Scheduler,
    now: Instant,
    bed: Arc<Bed>,
}

impl Owner {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    fn new() -> Self {
        let (now, bed) = (Instant::now(), Arc::new(Bed::default()));
        let scheduler = Scheduler::new(now);
        scheduler.set_pender(&Waker::from(Arc::clone(&bed)));
        Self { scheduler, now, bed }
    }

    /// Runs and sleeps until `done`; a wake that is lost leaves it asleep for ever.
    fn run_until(&mut self, done: impl Fn() -> bool) {
        while !done() {
            if !self.scheduler.run(self.now, Budget::new(4)).more && !done() {
                self.bed.sleep();
            }
        }
    }
}

#[test]
fn wakes_of_three_threads_reach_a_sleeping_owner() {
    explore(|| {
        let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut owner = Owner::new();
        let (counted, noted) = (Arc::clone(&sent), Arc::clone(&seen));
        let task = owner.scheduler.spawn_tasklet(
            "target",
            poll_fn(move |_| {
                noted.store(counted.load(Ordering::SeqCst), Ordering::SeqCst);
                Poll::<()>::Pending
            }),
        );
        let wakers: Vec<_> = (0..3)
            .map(|_| {
                let (task, sent) = (task.handle(), Arc::clone(&sent));
                threads::spawn(move || {
                    for _ in 0..2 {
                        sent.fetch_add(1, Ordering::SeqCst);
                        task.wake(Woken::MSG);
                    }
                })
            })
            .collect();
        // A run that sees all six can only be one that started after the last wake.
        owner.run_until(|| seen.load(Ordering::SeqCst) == 6);
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn one_of_three_killers_succeeds_while_others_wake() {
    explore(|| {
        let (dropped, kills) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut owner = Owner::new();
        let guard = Dropped(Arc::clone(&dropped));
        let task = owner.scheduler.spawn_tasklet(
            "victim",
            poll_fn(move |_| {
                let _kept = &guard;
                Poll::<()>::Pending
            }),
        );
        let killers: Vec<_> = (0..3)
            .map(|_| {
                let (task, kills) = (task.handle(), Arc::clone(&kills));
                threads::spawn(move || {
                    task.wake(Woken::IO);
                    kills.fetch_add(usize::from(task.kill()), Ordering::SeqCst);
                    task.wake(Woken::IO);
                })
            })
            .collect();
        drop(task);
        owner.run_until(|| dropped.load(Ordering::SeqCst) == 1);
        killers.into_iter().for_each(|killer| killer.join().unwrap());
        owner.scheduler.run(owner.now, Budget::default());
        assert_eq!((dropped.load(Ordering::SeqCst), kills.load(Ordering::SeqCst)), (1, 1));
        // The slot can be used again, by a task that the old handles do not reach.
        let ran = Rc::new(Cell::new(0));
        let noted = Rc::clone(&ran);
        owner.scheduler.spawn_tasklet(
            "next",
            poll_fn(move |_| {
                noted.set(noted.get() + 1);
                Poll::<()>::Pending
            }),
        );
        while owner.scheduler.run(owner.now, Budget::default()).more {}
        assert_eq!(ran.get(), 1);
    });
}

#[test]
fn a_scheduler_goes_while_two_threads_wake_and_kill_its_task() {
    explore(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut owner = Owner::new();
        let guard = Dropped(Arc::clone(&dropped));
        let task = owner.scheduler.spawn(
            "short-lived",
            poll_fn(move |_| {
                let _kept = &guard;
                Poll::<()>::Pending
            }),
        );
        let others: Vec<_> = (0..2)
            .map(|_| {
                let handle = task.handle();
                threads::spawn(move || {
                    handle.wake(Woken::RES);
                    handle.kill();
                    let waker = handle.waker();
                    drop(handle);
                    waker.wake();
                })
            })
            .collect();
        drop(task);
        owner.scheduler.run(owner.now, Budget::default());
        drop(owner);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// A shared task that notes how many wakes it has seen, and fails if it runs twice at once.
fn shared(owner: &Owner, sent: &Arc<AtomicUsize>, seen: &Arc<AtomicUsize>) -> SharedTask {
    let (sent, seen, running) = (Arc::clone(sent), Arc::clone(seen), Arc::new(AtomicUsize::new(0)));
    owner.scheduler.spawn_shared("shared", move |_: Woken, _: Instant| {
        assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two threads run it at once");
        seen.store(sent.load(Ordering::SeqCst), Ordering::SeqCst);
        running.fetch_sub(1, Ordering::SeqCst);
        Next::Wait
    })
}

/// Runs a second owner that wakes the task `wakes` times, once it has said which it is.
fn second(
    task: &SharedTask,
    sent: &Arc<AtomicUsize>,
    seen: &Arc<AtomicUsize>,
    all: usize,
) -> threads::JoinHandle<()> {
    let (task, sent, seen) = (task.clone(), Arc::clone(sent), Arc::clone(seen));
    threads::spawn(move || {
        let mut owner = Owner::new();
        for turn in 0..2 {
            sent.fetch_add(1, Ordering::SeqCst);
            task.wake(Woken::MSG);
            if turn == 0 {
                owner.scheduler.run(owner.now, Budget::default());
            }
        }
        // What was queued here is run here.
        while seen.load(Ordering::SeqCst) < all {
            owner.scheduler.run(owner.now, Budget::default());
            threads::yield_now();
        }
    })
}

#[test]
fn a_shared_task_runs_once_at_a_time_whoever_wakes_it() {
    explore(|| {
        let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut owner = Owner::new();
        let task = shared(&owner, &sent, &seen);
        let others = [second(&task, &sent, &seen, 5), second(&task, &sent, &seen, 5)];
        let (last, counted) = (task.clone(), Arc::clone(&sent));
        // A thread without scheduler: the task runs at home.
        let outsider = threads::spawn(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            last.wake(Woken::OTHER);
        });
        while seen.load(Ordering::SeqCst) < 5 {
            owner.scheduler.run(owner.now, Budget::default());
            threads::yield_now();
        }
        outsider.join().unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

#[test]
fn a_shared_task_may_be_bound_elsewhere_while_it_is_woken() {
    explore(|| {
        let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut owner = Owner::new();
        let task = shared(&owner, &sent, &seen);
        let others = [second(&task, &sent, &seen, 4), second(&task, &sent, &seen, 4)];
        let (bound, home) = (task.clone(), owner.scheduler.remote());
        let binder = threads::spawn(move || {
            bound.set_thread(Some(&home));
            bound.wake_on(&home, Woken::RES);
            bound.set_thread(None);
        });
        while seen.load(Ordering::SeqCst) < 4 {
            owner.scheduler.run(owner.now, Budget::default());
            threads::yield_now();
        }
        binder.join().unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        // A wake that came last may have queued it on a thread that has gone: then it has ended.
        assert!(task.kill() || task.is_finished());
        while !task.is_finished() {
            owner.scheduler.run(owner.now, Budget::default());
        }
    });
}
