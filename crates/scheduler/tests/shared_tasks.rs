//! Tasks that are bound to no thread: where they run, and that they never run twice at once.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::Instant;

use scheduler::{Budget, Next, Remote, Scheduler, SharedTask, Woken};
use support::{World, ms};

/// Where and why it ran.
type Runs = Arc<Mutex<Vec<(ThreadId, Woken)>>>;

fn noted(world: &World) -> (SharedTask, Runs) {
    let runs = Runs::default();
    let noted = Arc::clone(&runs);
    let task = world.scheduler.spawn_shared("shared", move |woken: Woken, _: Instant| {
        noted.lock().unwrap().push((thread::current().id(), woken));
        Next::Wait
    });
    (task, runs)
}

/// A scheduler that another thread steps until this is dropped.
struct Other {
    remote: Remote,
    id: ThreadId,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Other {
    #[expect(clippy::disallowed_methods, reason = "a second thread is what is tested")]
    fn start(now: Instant) -> Self {
        let (tell, told) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut scheduler = Scheduler::new(now);
            tell.send(scheduler.remote()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                if !scheduler.run(now, Budget::default()).more {
                    thread::yield_now();
                }
            }
        });
        Self { remote: told.recv().unwrap(), id: thread.thread().id(), stop, thread: Some(thread) }
    }

    /// Does something on its thread, and waits until that is done.
    fn call(&self, job: impl FnOnce() + Send + 'static) {
        let (tell, told) = mpsc::channel();
        let job = Box::new(move |_: &scheduler::Handle| {
            job();
            tell.send(()).unwrap();
        });
        self.remote.spawn(job).unwrap();
        told.recv().unwrap();
    }

    /// Waits until all that it has been told to do is done: until a second pass from now has begun.
    fn settle(&self) {
        for _ in 0..2 {
            let (tell, told) = mpsc::channel();
            let job = Box::new(move |handle: &scheduler::Handle| {
                handle.spawn_tasklet("probe", async move { tell.send(()).unwrap() });
            });
            self.remote.spawn(job).unwrap();
            told.recv().unwrap();
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_shared_task_runs_on_the_thread_that_woke_it() {
    let mut world = World::new();
    let other = Other::start(world.start);
    let (task, runs) = noted(&world);
    let here = thread::current().id();
    world.settle();
    assert_eq!(*runs.lock().unwrap(), [(here, Woken::INIT)]);
    let there = task.clone();
    other.call(move || there.wake(Woken::IO));
    other.settle();
    assert_eq!(runs.lock().unwrap()[1..], [(other.id, Woken::IO)]);
    task.wake(Woken::MSG);
    world.settle();
    assert_eq!(runs.lock().unwrap()[2..], [(here, Woken::MSG)]);
}

#[test]
fn wake_on_chooses_the_thread_of_one_run_and_set_thread_of_all() {
    let mut world = World::new();
    let other = Other::start(world.start);
    let (task, runs) = noted(&world);
    world.settle();
    let ran_on = |runs: &Runs| runs.lock().unwrap().last().unwrap().0;
    task.wake_on(&other.remote, Woken::MSG);
    other.settle();
    assert_eq!(ran_on(&runs), other.id);
    task.wake(Woken::MSG);
    world.settle();
    assert_eq!(ran_on(&runs), thread::current().id());
    task.set_thread(Some(&other.remote));
    for _ in 0..2 {
        task.wake(Woken::MSG);
        other.settle();
        assert_eq!(ran_on(&runs), other.id);
    }
    task.set_thread(None);
    task.wake(Woken::MSG);
    world.settle();
    assert_eq!(ran_on(&runs), thread::current().id());
    assert_eq!(runs.lock().unwrap().len(), 6);
}

#[test]
fn a_thread_without_scheduler_wakes_it_where_it_was_spawned() {
    let mut world = World::new();
    let (task, runs) = noted(&world);
    world.settle();
    thread::scope(|s| {
        s.spawn(|| task.wake(Woken::MSG));
    });
    world.settle();
    assert_eq!(*runs.lock().unwrap(), [Woken::INIT, Woken::MSG].map(|woken| (thread::current().id(), woken)));
}

#[test]
fn a_shared_task_never_runs_twice_at_once_and_misses_no_wake() {
    const WAKES: usize = 20_000;
    let mut world = World::new();
    let others = [Other::start(world.start), Other::start(world.start)];
    let (inside, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (wanted, result) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&seen));
    let want = Arc::clone(&wanted);
    let task = world.scheduler.spawn_shared("shared", move |_: Woken, _: Instant| {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "runs twice at once");
        seen.store(want.load(Ordering::SeqCst), Ordering::SeqCst);
        inside.fetch_sub(1, Ordering::SeqCst);
        Next::Wait
    });
    for n in 0..WAKES {
        wanted.store(n, Ordering::SeqCst);
        match n % 3 {
            0 => task.wake(Woken::MSG),
            other => task.wake_on(&others[other - 1].remote, Woken::MSG),
        }
        world.pass();
    }
    others.iter().for_each(Other::settle);
    world.settle();
    others.iter().for_each(Other::settle);
    assert_eq!(result.load(Ordering::SeqCst), WAKES - 1, "a run started after the last wake");
    assert!(!task.is_finished(), "it has not panicked");
}

#[test]
fn a_wake_during_the_run_is_one_more_run_in_the_next_pass() {
    let mut world = World::new();
    let own = Arc::new(Mutex::new(None::<SharedTask>));
    let (inner, mut left) = (Arc::clone(&own), 3);
    let task = world.scheduler.spawn_shared("again", move |_: Woken, _: Instant| {
        left -= 1;
        if left == 0 {
            return Next::Done;
        }
        inner.lock().unwrap().as_ref().unwrap().wake(Woken::USER1);
        Next::Wait
    });
    *own.lock().unwrap() = Some(task.clone());
    for expected in [true, true, false] {
        let outcome = world.pass();
        assert_eq!((outcome.ran, outcome.more), (1, expected));
    }
    assert!(task.is_finished());
}

#[test]
fn the_timer_of_a_shared_task_follows_it_from_thread_to_thread() {
    let mut world = World::new();
    let other = Other::start(world.start);
    let runs = Arc::new(AtomicUsize::new(0));
    let (count, start) = (Arc::clone(&runs), world.start);
    let at = [ms(10), ms(20), ms(50)];
    let mut number = 0;
    // Armed here for 10 ms, then there for 20, then here for 50: only the last one counts.
    let task = world.scheduler.spawn_shared("timed", move |woken: Woken, now: Instant| {
        count.fetch_add(1, Ordering::Relaxed);
        if woken.contains(Woken::TIMER) {
            assert!(now >= start + at[2], "early");
            return Next::Done;
        }
        number += 1;
        Next::At(start + at[number - 1])
    });
    world.settle();
    task.wake_on(&other.remote, Woken::MSG);
    other.settle();
    task.wake(Woken::MSG);
    world.settle();
    for past in [10, 20, 49] {
        world.now = world.start + ms(past);
        world.settle();
        assert_eq!(runs.load(Ordering::Relaxed), 3, "at {past} ms");
    }
    world.now = world.start + ms(50);
    world.settle();
    assert_eq!(runs.load(Ordering::Relaxed), 4);
    assert!(task.is_finished());
    assert_eq!(world.scheduler.next_expiry(), None);
}

#[test]
fn one_killer_of_a_shared_task_succeeds_and_its_process_is_dropped_once() {
    let mut world = World::new();
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    let task = world.scheduler.spawn_shared("victim", move |_: Woken, now: Instant| {
        let _ = &inner;
        Next::At(now + ms(1000))
    });
    world.settle();
    assert!(task.kill());
    assert!(!task.kill());
    assert_eq!(world.settle(), 0, "killed tasks do not run");
    assert!(task.is_finished());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_shared_task_whose_thread_has_gone_ends_with_its_next_wake() {
    let world = World::new();
    let other = Other::start(world.start);
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    let task = world.scheduler.spawn_shared("bound", move |_: Woken, _: Instant| {
        let _ = &inner;
        Next::Wait
    });
    task.set_thread(Some(&other.remote));
    other.settle();
    drop((other, world));
    task.wake(Woken::MSG);
    assert!(task.is_finished());
    assert_eq!(Arc::strong_count(&held), 1);
}
