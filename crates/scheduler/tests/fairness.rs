//! Who runs when: shares, classes, nice, at most once a pass.

mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use scheduler::{Budget, Class, Config, Scheduler, TaskRef, Woken};
use support::{Log, World};

/// A task that logs its name each time it runs, and wakes itself if asked to.
fn logger(world: &World, log: &Log<i32>, name: i32, again: bool) -> TaskRef {
    let log = log.clone();
    world.scheduler.spawn(
        "logger",
        poll_fn(move |cx| {
            log.add(name);
            if again {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }),
    )
}

/// Objects pinned to each class that wake themselves for ever; the counts of their runs.
fn crowd(scheduler: &Scheduler, each: usize) -> [Rc<Cell<usize>>; 4] {
    Class::ALL.map(|class| {
        let runs = Rc::new(Cell::new(0));
        for _ in 0..each {
            let runs = Rc::clone(&runs);
            let mut first = true;
            let task = scheduler.spawn_tasklet(
                "crowd",
                poll_fn(move |cx| {
                    if !std::mem::take(&mut first) {
                        runs.set(runs.get() + 1);
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }),
            );
            task.set_class(Some(class));
        }
        runs
    })
}

#[test]
fn a_busy_thread_shares_its_passes_as_haproxy_does() {
    let mut world = World::new();
    let runs = crowd(&world.scheduler, 1000);
    world.pass_of(4000);
    for pass in 1..=5 {
        world.pass_of(280);
        let counts = runs.each_ref().map(|runs| runs.get());
        assert_eq!(counts, [139, 131, 9, 3].map(|share| share * pass), "pass {pass}");
    }
}

#[test]
fn low_latency_starves_nobody() {
    let mut world = World::new();
    world.scheduler = Scheduler::with_config(world.start, Config { low_latency: true, ..Config::default() });
    let runs = crowd(&world.scheduler, 1000);
    world.pass_of(4000);
    for pass in 1..=50 {
        world.pass_of(280);
        let counts = runs.each_ref().map(|runs| runs.get());
        assert!(counts.iter().all(|count| *count >= pass), "pass {pass}: {counts:?}");
    }
}

#[test]
fn an_object_runs_at_most_once_a_pass() {
    let mut world = World::new();
    let log = Log::new();
    let tasks = [1, 2, 3].map(|name| logger(&world, &log, name, true));
    tasks[2].set_nice(-1024);
    for _ in 0..70_000 {
        assert_eq!(world.pass().ran, 3);
        let mut names = log.take();
        names.sort_unstable();
        assert_eq!(names, [1, 2, 3]);
    }
}

#[test]
fn a_favoured_task_that_wakes_itself_does_not_hold_up_the_others() {
    let mut world = World::new();
    let log = Log::new();
    let greedy = logger(&world, &log, 0, true);
    greedy.set_nice(-1024);
    world.pass();
    for name in 1..=3 {
        logger(&world, &log, name, false).set_nice(5);
    }
    log.take();
    assert_eq!(world.pass().ran, 4);
    assert_eq!(log.take().len(), 4);
}

#[test]
fn nice_orders_tasks_woken_together() {
    let mut world = World::new();
    let log = Log::new();
    let tasks: Vec<_> = [0, 1, -1, 1024, -1024, 0]
        .map(|nice| {
            let task = logger(&world, &log, nice, false);
            task.set_nice(nice);
            task
        })
        .into();
    world.settle();
    log.take();
    tasks.iter().for_each(|task| task.wake(Woken::MSG));
    world.settle();
    assert_eq!(log.take(), [-1024, -1, 0, 0, 1, 1024]);
}

#[test]
fn a_niced_task_costs_the_others_no_budget() {
    let mut world = World::new();
    let log = Log::new();
    for name in 0..1000 {
        logger(&world, &log, name, false);
    }
    logger(&world, &log, -1, false).set_nice(10);
    assert_eq!(world.pass_of(280).ran, 280);
}

#[test]
fn tasks_and_tasklets_of_the_normal_class_take_turns() {
    let mut world = World::new();
    let log = Log::new();
    let spawned = log.clone();
    let handle = world.scheduler.handle();
    let mut names = 100..;
    // Tasklets spawned by a running object join the NORMAL class.
    let storm = world.scheduler.spawn(
        "storm",
        poll_fn(move |cx| {
            for _ in 0..50 {
                let (log, name) = (spawned.clone(), names.next().unwrap());
                handle.spawn_tasklet("drop", async move { log.add(name) });
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }),
    );
    storm.set_class(Some(Class::Urgent));
    for name in 0..20 {
        logger(&world, &log, name, false);
    }
    for _ in 0..8 {
        world.pass_of(20);
    }
    let tasks = log.take().into_iter().filter(|name| *name < 100).count();
    assert_eq!(tasks, 20, "the tasks all ran although tasklets kept coming");
}

#[test]
fn a_tasklet_goes_to_the_class_of_the_place_it_was_woken_from() {
    let mut world = World::new();
    let idle = |world: &World| world.scheduler.spawn_tasklet("idle", poll_fn(|_| Poll::<()>::Pending));
    let (outside, inside) = (idle(&world), idle(&world));
    world.settle();
    let waiting = Log::new();
    let (entries, handle, other) = (waiting.clone(), world.scheduler.handle(), inside.clone());
    let waker = world.scheduler.spawn_tasklet(
        "self",
        poll_fn(move |cx| {
            other.wake(Woken::MSG);
            cx.waker().wake_by_ref();
            entries.add(handle.snapshot().waiting);
            Poll::<()>::Pending
        }),
    );
    outside.wake(Woken::IO);
    assert_eq!(world.scheduler.snapshot().waiting, [2, 0, 0, 0]);
    world.scheduler.run(world.now, Budget::new(1));
    assert_eq!(waiting.take(), [[1, 1, 1, 0]]);
    drop(waker);
}

#[test]
fn objects_of_a_class_run_in_the_order_they_were_woken() {
    for tasklets in [true, false] {
        let mut world = World::new();
        let log = Log::new();
        let spawn = |name: i32| {
            let log = log.clone();
            let future = poll_fn(move |_| {
                log.add(name);
                Poll::<()>::Pending
            });
            if tasklets {
                world.scheduler.spawn_tasklet("logger", future)
            } else {
                world.scheduler.spawn("logger", future)
            }
        };
        let tasks: Vec<_> = (0..100).map(spawn).collect();
        world.settle();
        log.take();
        let order: Vec<_> = (0..100).map(|n| n * 37 % 100).collect();
        order.iter().for_each(|n| tasks[*n as usize].wake(Woken::IO));
        for _ in 0..10 {
            world.pass_of(12);
        }
        assert_eq!(log.take(), order);
    }
}

#[test]
fn a_tasklet_that_wakes_itself_for_a_reason_stays_in_the_normal_class() {
    for (reasons, expected) in [(Woken::NONE, [0, 0, 1, 0]), (Woken::OTHER, [0, 1, 0, 0])] {
        let mut world = World::new();
        let own = Rc::new(std::cell::RefCell::new(None::<TaskRef>));
        let inner = Rc::clone(&own);
        let task = world.scheduler.spawn_tasklet(
            "self",
            poll_fn(move |_| {
                inner.borrow().as_ref().unwrap().wake(reasons);
                Poll::<()>::Pending
            }),
        );
        *own.borrow_mut() = Some(task);
        world.pass();
        assert_eq!(world.scheduler.snapshot().waiting, expected, "{reasons:?}");
    }
}

#[test]
fn wake_after_makes_a_chain_ahead_of_the_class() {
    let mut world = World::new();
    let log = Log::new();
    let spawn = |name: i32| {
        let log = log.clone();
        world.scheduler.spawn_tasklet(
            "link",
            poll_fn(move |_| {
                log.add(name);
                Poll::<()>::Pending
            }),
        )
    };
    let tasks: Vec<_> = (0..6).map(spawn).collect();
    world.settle();
    log.take();
    tasks[0].wake(Woken::IO);
    tasks[1].wake(Woken::IO);
    tasks[2].wake_after(None, Woken::IO);
    tasks[3].wake_after(Some(&tasks[2]), Woken::IO);
    tasks[4].wake_after(Some(&tasks[3]), Woken::IO);
    tasks[4].wake_after(None, Woken::MSG); // queued already: stays
    tasks[5].wake_after(Some(&tasks[0]), Woken::IO);
    world.settle();
    assert_eq!(log.take(), [2, 3, 4, 0, 5, 1]);
}

#[test]
fn a_task_of_the_worst_nice_runs_after_2048_passes_at_the_latest() {
    let mut world = World::new();
    let log = Log::new();
    let last = logger(&world, &log, 1, false);
    last.set_nice(1024);
    let crowd: Vec<_> = (0..20).map(|_| logger(&world, &log, 0, true)).collect();
    crowd.iter().for_each(|task| task.set_nice(-1024));
    for _ in 0..10 {
        world.pass_of(30);
    }
    log.take();
    last.wake(Woken::MSG);
    // Twenty compete for ten places a pass; those woken from now on have a better place for so long.
    let mut passes = 0;
    while !log.take().contains(&1) {
        world.pass_of(10);
        passes += 1;
        assert!(passes <= 2 * 2050, "starved");
    }
    assert!(passes > 1000, "nice counts: {passes}");
}

#[test]
fn killed_objects_cost_no_budget() {
    let mut world = World::new();
    let log = Log::new();
    let victims: Vec<_> = (0..500).map(|n| logger(&world, &log, n, false)).collect();
    let lucky = logger(&world, &log, 1000, false);
    assert!(victims.iter().all(TaskRef::kill));
    let mut passes = 0;
    while !lucky.is_finished() && log.take().is_empty() {
        assert_eq!(world.pass_of(10).panicked, 0);
        passes += 1;
        assert!(passes <= 51);
    }
    assert_eq!(world.scheduler.snapshot().live, 1);
}
