//! Tasks: wakes, kills, panics, and wakers that outlive what they wake.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};

use scheduler::{Class, Rejected, Scheduler, TaskRef, Woken, yield_now};
use support::{Bell, Log, World, ms};

/// A task that never ends and counts its runs.
fn counter(world: &World, tasklet: bool) -> (TaskRef, Rc<Cell<usize>>) {
    let runs = Rc::new(Cell::new(0));
    let count = Rc::clone(&runs);
    let future = poll_fn(move |_| {
        count.set(count.get() + 1);
        Poll::Pending
    });
    let spawn = if tasklet {
        world.scheduler.spawn_tasklet("counter", future)
    } else {
        world.scheduler.spawn("counter", future)
    };
    (spawn, runs)
}

#[test]
fn a_spawned_task_runs_once_with_init() {
    let mut world = World::new();
    let log = Log::new();
    let (handle, entries) = (world.scheduler.handle(), log.clone());
    let task = world.scheduler.spawn("init", async move { entries.add(handle.woken()) });
    assert_eq!(world.settle(), 1);
    assert_eq!(log.take(), [Woken::INIT]);
    assert!(task.is_finished());
    assert_eq!(world.settle(), 0);
}

#[test]
fn wakes_before_a_run_are_one_run_with_all_reasons() {
    let mut world = World::new();
    let log = Log::new();
    let (handle, entries) = (world.scheduler.handle(), log.clone());
    let task = world.scheduler.spawn(
        "reasons",
        poll_fn(move |_| {
            entries.add(handle.woken());
            Poll::Pending
        }),
    );
    world.settle();
    task.wake(Woken::MSG);
    task.wake(Woken::IO);
    task.wake(Woken::MSG);
    assert_eq!(world.settle(), 1);
    assert_eq!(log.take(), [Woken::INIT, Woken::MSG | Woken::IO]);
}

#[test]
fn a_wake_during_the_run_gives_another_run_in_the_next_pass() {
    let mut world = World::new();
    let task = world.scheduler.spawn("again", async {
        yield_now().await;
        yield_now().await;
    });
    let first = world.pass();
    assert_eq!((first.ran, first.more), (1, true));
    assert_eq!(world.pass().ran, 1);
    let last = world.pass();
    assert_eq!((last.ran, last.more), (1, false));
    assert!(task.is_finished());
}

#[test]
fn kill_frees_an_idle_task_at_once_and_a_queued_one_without_running_it() {
    let mut world = World::new();
    let held = Rc::new(());
    let spawn = |world: &World| {
        let held = Rc::clone(&held);
        world.scheduler.spawn("victim", async move {
            pending::<()>().await;
            drop(held);
        })
    };
    let idle = spawn(&world);
    world.settle();
    let queued = spawn(&world);
    assert!(idle.kill());
    assert!(queued.kill());
    assert!(!queued.kill(), "only one killer");
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(world.settle(), 0, "killed tasks do not run");
}

#[test]
fn a_task_that_kills_itself_ends_when_it_returns() {
    let mut world = World::new();
    let own = Rc::new(RefCell::new(None::<TaskRef>));
    let held = Rc::new(());
    let (handle, inner) = (Rc::clone(&own), Rc::clone(&held));
    let task = world.scheduler.spawn(
        "suicide",
        poll_fn(move |cx| {
            let _ = &inner;
            assert!(handle.borrow_mut().take().unwrap().kill());
            cx.waker().wake_by_ref();
            Poll::Pending
        }),
    );
    *own.borrow_mut() = Some(task.clone());
    assert_eq!(world.settle(), 1);
    assert!(task.is_finished());
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn a_kill_from_another_thread_is_carried_out_on_the_owners() {
    let mut world = World::new();
    let (idle, idle_runs) = counter(&world, false);
    world.settle();
    let (queued, queued_runs) = counter(&world, true);
    let killers = [idle.handle(), queued.handle()]
        .map(|task| std::thread::scope(|s| s.spawn(move || (task.kill(), task.kill())).join().unwrap()));
    assert_eq!(killers, [(true, false); 2]);
    assert!(!idle.is_finished());
    world.settle();
    assert!(idle.is_finished() && queued.is_finished());
    assert_eq!((idle_runs.get(), queued_runs.get()), (1, 0));
}

#[test]
fn a_kill_from_another_thread_in_mid_pass_keeps_a_queued_task_from_running() {
    let mut world = World::new();
    let victim = Rc::new(RefCell::new(None::<TaskRef>));
    let inner = Rc::clone(&victim);
    world.scheduler.spawn("killer", async move {
        let victim = inner.borrow_mut().take().unwrap().handle();
        assert!(std::thread::scope(|s| s.spawn(move || victim.kill()).join().unwrap()));
    });
    let (task, runs) = counter(&world, false);
    *victim.borrow_mut() = Some(task.clone());
    assert_eq!(world.settle(), 1);
    assert!(task.is_finished());
    assert_eq!(runs.get(), 0);
}

#[test]
fn a_waker_outlives_its_task_and_its_scheduler() {
    let mut world = World::new();
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let slot = Rc::clone(&waker);
    world.scheduler.spawn(
        "short",
        poll_fn(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }),
    );
    world.settle();
    let stale = waker.borrow_mut().take().unwrap();
    let (_, runs) = counter(&world, false);
    world.settle();
    stale.wake_by_ref();
    assert_eq!((world.settle(), runs.get()), (0, 1), "the slot's next task is not woken");
    drop(world);
    stale.wake_by_ref();
    std::thread::scope(|s| {
        s.spawn(|| stale.wake_by_ref());
    });
}

#[test]
fn dropping_the_scheduler_drops_its_tasks_even_if_they_hold_its_handle() {
    let mut world = World::new();
    let held = Rc::new(());
    let (inner, handle) = (Rc::clone(&held), world.scheduler.handle());
    let task = world.scheduler.spawn("cycle", async move {
        let _held = (inner, handle.timer());
        handle.sleep_until(handle.now() + ms(10)).await;
    });
    world.settle();
    let handle = world.scheduler.handle();
    drop(world);
    assert_eq!(Rc::strong_count(&held), 1);
    assert!(task.is_finished());
    assert!(handle.spawn("late", async {}).is_finished(), "spawned after the end: dropped at once");
    assert_eq!(handle.remote().spawn(Box::new(|_| ())), Err(Rejected::Closed));
}

/// Runs something whose panics are expected, without printing them.
fn quietly<R>(run: impl FnOnce() -> R) -> R {
    let old = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let result = run();
    panic::set_hook(old);
    result
}

#[test]
fn a_panic_ends_its_task_only_and_is_reported() {
    let mut world = World::new();
    let log = Log::new();
    let entries = log.clone();
    world.scheduler.on_panic(move |panic| entries.add(format!("{}: {}", panic.name, panic.message())));
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("at drop");
        }
    }
    let (_, runs) = counter(&world, false);
    let bad = world.scheduler.spawn("bad", async { panic!("number {}", 7) });
    let bomb = world.scheduler.spawn("bomb", async {
        let _bomb = Bomb;
    });
    let killed = world.scheduler.spawn("killed", async {
        let _bomb = Bomb;
        pending::<()>().await;
    });
    world.scheduler.remote().spawn(Box::new(|_| panic!("job"))).unwrap();
    let outcome = quietly(|| world.pass());
    assert_eq!((outcome.ran, outcome.panicked), (4, 3));
    assert!(quietly(|| killed.kill()));
    assert!(bad.is_finished() && bomb.is_finished() && killed.is_finished());
    assert_eq!(log.take(), ["remote job: job", "bad: number 7", "bomb: at drop", "killed: at drop"]);
    assert_eq!((world.settle(), runs.get()), (0, 1));
    assert_eq!(world.scheduler.snapshot().live, 1);
}

#[test]
fn ten_thousand_panics_leave_nothing_behind() {
    let mut world = World::new();
    let held = Rc::new(());
    quietly(|| {
        for _ in 0..10_000 {
            let held = Rc::clone(&held);
            world.scheduler.spawn("bad", async move {
                let _held = held;
                panic!("again");
            });
            assert_eq!(world.pass().panicked, 1);
        }
    });
    assert_eq!(Rc::strong_count(&held), 1);
    let snapshot = world.scheduler.snapshot();
    assert_eq!((snapshot.live, snapshot.waiting, snapshot.names[0].panics), (0, [0; 4], 10_000));
}

#[test]
fn the_pender_is_woken_once_a_sleep_from_any_thread() {
    let mut world = World::new();
    let (bell, waker) = Bell::new();
    world.scheduler.set_pender(&waker);
    let (task, runs) = counter(&world, true);
    assert_eq!(bell.rings(), 1, "spawning is work");
    assert!(!world.pass().more);
    task.wake(Woken::IO);
    task.wake(Woken::IO);
    world.scheduler.spawn("other", async {});
    assert_eq!(bell.rings(), 2);
    world.settle();
    let task = task.handle();
    std::thread::scope(|s| {
        s.spawn(|| (0..10).for_each(|_| task.wake(Woken::MSG)));
    });
    assert_eq!(bell.rings(), 3);
    world.settle();
    assert_eq!(runs.get(), 3);
    let remote = world.scheduler.remote();
    remote.nudge();
    remote.nudge();
    assert_eq!(bell.rings(), 4);
}

#[test]
fn a_pender_set_late_hears_of_work_already_there() {
    let world = World::new();
    let (bell, waker) = Bell::new();
    counter(&world, false);
    assert_eq!(bell.rings(), 0);
    // The scheduler was asleep without a pender when the work came.
    world.scheduler.set_pender(&waker);
    assert_eq!(bell.rings(), 1);
}

#[test]
fn jobs_of_other_threads_run_in_order_and_are_bounded() {
    let mut world = World::new();
    let config = scheduler::Config { remote_jobs_max: 3, ..scheduler::Config::default() };
    world.scheduler = Scheduler::with_config(world.start, config);
    let remote = world.scheduler.remote();
    let (sender, receiver) = mpsc::channel();
    let answers = std::thread::scope(|s| {
        s.spawn(|| {
            [0, 1, 2, 3].map(|n| {
                let sender = sender.clone();
                remote.spawn(Box::new(move |handle| {
                    handle.spawn("job", async move { sender.send(n).unwrap() });
                }))
            })
        })
        .join()
        .unwrap()
    });
    assert_eq!(answers, [Ok(()), Ok(()), Ok(()), Err(Rejected::Full)]);
    world.settle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn no_wake_from_another_thread_is_lost() {
    const WAKES: usize = 20_000;
    let mut world = World::new();
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = Rc::new(Cell::new(0));
    let (inner, count) = (sent.clone(), Rc::clone(&seen));
    let task = world.scheduler.spawn_tasklet(
        "reader",
        poll_fn(move |_| {
            count.set(inner.load(std::sync::atomic::Ordering::Relaxed));
            Poll::Pending
        }),
    );
    let (bell, waker) = Bell::new();
    world.settle();
    world.scheduler.set_pender(&waker);
    let task = task.handle();
    std::thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..WAKES {
                sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                task.wake(Woken::MSG);
            }
        });
        let mut rings = 0;
        while seen.get() < WAKES {
            // Sleeps as an event loop would: only the pender's ring allows another pass.
            while bell.rings() == rings {
                std::thread::yield_now();
            }
            rings = bell.rings();
            world.settle();
        }
    });
    assert_eq!(seen.get(), WAKES);
}

#[test]
fn two_schedulers_on_one_thread_keep_their_tasks_apart() {
    let (mut one, mut two) = (World::new(), World::new());
    let (a, runs_a) = counter(&one, false);
    let (b, runs_b) = counter(&two, false);
    assert_eq!((one.settle(), two.settle()), (1, 1));
    a.wake(Woken::MSG);
    assert_eq!((two.settle(), one.settle()), (0, 1));
    drop(one);
    let mut three = World::new();
    let (_, runs_c) = counter(&three, false);
    a.wake(Woken::MSG);
    b.wake(Woken::MSG);
    assert_eq!((three.settle(), two.settle()), (1, 1));
    assert_eq!((runs_a.get(), runs_b.get(), runs_c.get()), (2, 2, 1));
}

#[test]
fn the_snapshot_counts_by_name() {
    let mut world = World::new();
    for _ in 0..3 {
        world.scheduler.spawn("short", async { yield_now().await });
    }
    let (task, _) = counter(&world, false);
    task.set_class(Some(Class::Heavy));
    world.settle();
    let snapshot = world.scheduler.snapshot();
    let rows: Vec<_> = snapshot.names.iter().map(|n| (n.name, n.spawned, n.live, n.calls)).collect();
    assert_eq!(rows, [("short", 3, 0, 6), ("counter", 1, 1, 1)]);
    assert_eq!((snapshot.live, snapshot.calls), (1, 7));
    assert_eq!(world.scheduler.remote().progress().ended, 7);
}

#[test]
fn a_task_knows_whether_it_is_alone() {
    let mut world = World::new();
    let log = Log::new();
    for _ in 0..2 {
        let (handle, entries) = (world.scheduler.handle(), log.clone());
        world.scheduler.spawn("asking", async move { entries.add(handle.is_alone()) });
    }
    world.settle();
    assert_eq!(log.take(), [false, true]);
    let handle = world.scheduler.handle();
    assert!(handle.is_alone());
    handle.remote().spawn(Box::new(|_| {})).unwrap();
    assert!(!handle.is_alone(), "another thread's job waits");
}
