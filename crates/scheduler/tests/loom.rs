//! Wakes and kills from other threads under loom: every interleaving of a small case.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p scheduler --test loom --release`. A lost wake shows as a
//! deadlock: the owner sleeps and nobody rings.
#![cfg(loom)]

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Instant;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use scheduler::{Budget, Scheduler, TaskHandle, Woken};

/// Where the owner sleeps. (loom's `park` cannot be used beside its `join`: an unpark ends either.)
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

struct Owner {
    scheduler: Scheduler,
    now: Instant,
    bed: Arc<Bed>,
}

#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
fn owner() -> Owner {
    let (now, bed) = (Instant::now(), Arc::new(Bed::default()));
    let config = scheduler::Config { remote_jobs_max: 2, low_latency: false };
    let scheduler = Scheduler::with_config(now, config);
    scheduler.set_pender(&Waker::from(Arc::clone(&bed)));
    Owner { scheduler, now, bed }
}

impl Owner {
    fn run(&mut self) -> scheduler::Outcome {
        self.scheduler.run(self.now, Budget::new(4))
    }

    /// The owner's loop: runs, and sleeps when there is nothing to do, until told to stop.
    fn run_until(&mut self, done: impl Fn() -> bool) {
        loop {
            let outcome = self.run();
            if done() {
                return;
            }
            if !outcome.more {
                self.bed.sleep();
            }
        }
    }
}

/// A task that adds the reasons it sees to a set, and counts its runs.
fn listener(scheduler: &Scheduler) -> (TaskHandle, Rc<Cell<Woken>>, Rc<Cell<usize>>) {
    let (seen, runs) = (Rc::new(Cell::new(Woken::NONE)), Rc::new(Cell::new(0)));
    let (see, count, handle) = (Rc::clone(&seen), Rc::clone(&runs), scheduler.handle());
    let task = scheduler.spawn_tasklet(
        "listener",
        poll_fn(move |_| {
            see.set(see.get() | handle.woken());
            count.set(count.get() + 1);
            Poll::Pending
        }),
    );
    (task.handle(), seen, runs)
}

#[test]
fn a_wake_from_another_thread_reaches_a_sleeping_owner() {
    loom::model(|| {
        let mut owner = owner();
        let value = Arc::new(AtomicUsize::new(0));
        let (inner, seen) = (Arc::clone(&value), Rc::new(Cell::new(0)));
        let see = Rc::clone(&seen);
        let task = owner.scheduler.spawn(
            "reader",
            poll_fn(move |_| {
                see.set(inner.load(Ordering::Relaxed));
                Poll::Pending
            }),
        );
        let task = task.handle();
        let waker = thread::spawn(move || {
            // The run after the wake must see what was written before it.
            value.store(1, Ordering::Relaxed);
            task.wake(Woken::MSG);
        });
        owner.run_until(|| seen.get() == 1);
        waker.join().unwrap();
    });
}

#[test]
fn wakes_of_two_threads_are_merged_and_none_is_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let mut owner = owner();
        let (task, seen, runs) = listener(&owner.scheduler);
        let wakers = [Woken::MSG, Woken::IO].map(|reason| {
            let task = task.clone();
            thread::spawn(move || task.wake(reason))
        });
        owner.run_until(|| seen.get().contains(Woken::MSG | Woken::IO));
        assert!(runs.get() <= 3, "the first run and one a wake");
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        assert_eq!(owner.run().ran, 0);
    });
}

#[test]
fn one_of_two_killers_succeeds_and_the_task_is_freed_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let mut owner = owner();
        let held = Rc::new(());
        let inner = Rc::clone(&held);
        let task = owner.scheduler.spawn(
            "victim",
            poll_fn(move |_| {
                let _ = &inner;
                Poll::Pending
            }),
        );
        let task = task.handle();
        let other = task.clone();
        let killer = thread::spawn(move || {
            other.wake(Woken::MSG);
            other.kill()
        });
        owner.run();
        let here = task.kill();
        owner.run_until(|| task.is_finished());
        assert!(here ^ killer.join().unwrap(), "exactly one kill counts");
        owner.run();
        assert_eq!(Rc::strong_count(&held), 1);
    });
}

#[test]
fn a_job_reaches_a_sleeping_owner() {
    loom::model(|| {
        let mut owner = owner();
        let ran = Arc::new(AtomicUsize::new(0));
        let (remote, count) = (owner.scheduler.remote(), Arc::clone(&ran));
        let sender = thread::spawn(move || {
            remote
                .spawn(Box::new(move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                }))
                .unwrap();
        });
        owner.run_until(|| ran.load(Ordering::Relaxed) == 1);
        sender.join().unwrap();
    });
}

#[test]
fn a_wake_while_the_scheduler_goes_is_harmless() {
    loom::model(|| {
        let mut owner = owner();
        let (task, _, _) = listener(&owner.scheduler);
        owner.run();
        let waker = thread::spawn(move || {
            task.wake(Woken::MSG);
            task.kill();
        });
        drop(owner);
        waker.join().unwrap();
    });
}

/// The last waker of an ended task is dropped on another thread while the owner looks, spawns or goes.
#[test]
fn the_slot_of_an_ended_task_comes_home_or_goes_with_the_scheduler() {
    for end in [false, true] {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let mut owner = owner();
            let (task, _, _) = listener(&owner.scheduler);
            owner.run();
            let (waker, id) = (task.waker(), task.id());
            assert!(task.kill());
            drop(task);
            let dropper = thread::spawn(move || {
                waker.wake_by_ref();
                drop(waker);
            });
            if end {
                drop(owner);
                dropper.join().unwrap();
                return;
            }
            owner.run();
            dropper.join().unwrap();
            // Whatever is still under way is taken in now, and the slot is free.
            owner.run();
            let next = owner.scheduler.spawn("next", std::future::ready(()));
            assert_ne!(next.id(), id);
            let slot = |id: scheduler::TaskId| format!("{id:?}").split('.').next().unwrap().to_owned();
            assert_eq!(slot(next.id()), slot(id), "the slot was not used again");
        });
    }
}

/// Two threads clone and drop wakers of a task that ends meanwhile.
#[test]
fn clones_and_drops_on_two_threads_free_the_slot_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let mut owner = owner();
        let (task, _, _) = listener(&owner.scheduler);
        owner.run();
        let threads = [task.waker(), task.waker()].map(|waker| {
            thread::spawn(move || {
                let other = waker.clone();
                drop(waker);
                drop(other);
            })
        });
        task.kill();
        drop(task);
        owner.run();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        owner.run();
        assert_eq!(owner.scheduler.snapshot().live, 0);
    });
}

/// A task bound to no thread is woken by two threads, one of which runs it; the other has no scheduler.
#[test]
fn a_shared_task_runs_once_at_a_time_and_after_every_wake() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let mut owner = owner();
        let (wanted, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (want, see) = (Arc::clone(&wanted), Arc::clone(&seen));
        let task = owner.scheduler.spawn_shared("shared", move |_: Woken, _: Instant| {
            see.store(want.load(Ordering::Relaxed), Ordering::Relaxed);
            scheduler::Next::Wait
        });
        let other = task.clone();
        let waker = thread::spawn(move || {
            wanted.store(1, Ordering::Relaxed);
            other.wake(Woken::MSG);
        });
        task.wake(Woken::IO);
        owner.run_until(|| seen.load(Ordering::Relaxed) == 1);
        waker.join().unwrap();
        task.kill();
        owner.run_until(|| task.is_finished());
    });
}
