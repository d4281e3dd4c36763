//! What can be seen from outside: figures by name, times, and who has been running for how long.

mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use scheduler::{Class, Histogram, Next, Watch, Woken};
use support::{World, ms};

/// A clock that moves when it is told to.
fn clock(world: &World) -> Rc<Cell<Instant>> {
    Rc::new(Cell::new(world.start))
}

#[test]
fn runs_and_waits_are_measured_by_name_while_profiling_is_on() {
    let mut world = World::new();
    let time = clock(&world);
    let (inner, read) = (Rc::clone(&time), Rc::clone(&time));
    let task = world.scheduler.spawn(
        "worker",
        poll_fn(move |_| {
            inner.set(inner.get() + ms(3));
            Poll::<()>::Pending
        }),
    );
    world.settle();
    assert_eq!(world.scheduler.snapshot().names[0].profile.cpu, Histogram::default(), "off");
    world.scheduler.set_profiler(Some(Rc::new(move || read.get())));
    // Woken by a running object, which then takes 2 ms: the wait is those.
    let (target, inner) = (task.clone(), Rc::clone(&time));
    world.scheduler.spawn("waker", async move {
        target.wake(Woken::MSG);
        inner.set(inner.get() + ms(2));
    });
    world.now = time.get();
    world.settle();
    world.scheduler.set_profiler(None);
    task.wake(Woken::MSG);
    world.settle();
    let names = world.scheduler.snapshot().names;
    let worker = names.iter().find(|stats| stats.name == "worker").unwrap();
    assert_eq!((worker.calls, worker.profile.cpu.count), (3, 1));
    assert_eq!((worker.profile.cpu.total, worker.profile.cpu.max), (ms(3), ms(3)));
    assert_eq!(worker.profile.latency.mean(), ms(2));
    assert!(worker.function.contains("PollFn"), "{}", worker.function);
}

#[test]
fn a_wait_longer_than_32_bits_of_nanoseconds_counts_as_what_it_was() {
    let mut world = World::new();
    let time = clock(&world);
    let read = Rc::clone(&time);
    world.scheduler.set_profiler(Some(Rc::new(move || read.get())));
    world.scheduler.spawn("late", async {});
    // The pass begins, and ten seconds later the task's turn comes.
    time.set(world.start + Duration::from_secs(10));
    world.settle();
    let latency = world.scheduler.snapshot().names[0].profile.latency.clone();
    assert_eq!(latency.max, Duration::from_secs(10));
    assert!(latency.quantile(0.99) >= Duration::from_secs(10));
}

#[test]
fn histograms_count_by_order_of_magnitude() {
    let mut histogram = Histogram::default();
    for nanos in [0, 1, 2, 3, 1000, u64::MAX] {
        histogram.record(Duration::from_nanos(nanos));
    }
    assert_eq!(histogram.buckets[..3], [1, 1, 2]);
    assert_eq!((histogram.buckets[10], histogram.buckets[47], histogram.count), (1, 1, 6));
    assert_eq!(histogram.quantile(0.5), Duration::from_nanos(4));
    let mut sum = histogram.clone();
    sum.add(&histogram);
    assert_eq!((sum.count, sum.buckets[2]), (12, 4));
}

#[test]
fn the_snapshot_shows_what_waits_by_name_and_class() {
    let world = World::new();
    (0..3).for_each(|_| drop(world.scheduler.spawn("a", async {})));
    let tasklet = world.scheduler.spawn_tasklet("b", async {});
    let heavy = world.scheduler.spawn_process("c", |_: Woken, _: Instant| Next::Done);
    heavy.set_nice(7);
    tasklet.set_class(Some(Class::Heavy));
    let snapshot = world.scheduler.snapshot();
    let queued: Vec<_> = snapshot.names.iter().map(|stats| (stats.name, stats.queued)).collect();
    assert_eq!(queued, [("a", 3), ("b", 1), ("c", 1)]);
    assert_eq!(snapshot.waiting, [1, 4, 0, 0], "a class counts from the next wake on");
}

#[test]
fn activity_counts_what_was_done() {
    let mut world = World::new();
    world.settle();
    let task = world.scheduler.spawn("task", poll_fn(|_| Poll::<()>::Pending));
    world.settle();
    let handle = task.handle();
    std::thread::scope(|s| {
        s.spawn(|| handle.wake(Woken::MSG));
    });
    world.settle();
    task.schedule(world.now + ms(1));
    world.advance(ms(1));
    world.scheduler.remote().spawn(Box::new(|_| ())).unwrap();
    world.settle();
    let activity = world.scheduler.snapshot().activity;
    assert_eq!((activity.by_nice, activity.remote, activity.expired, activity.jobs), (3, 1, 1, 1));
    assert_eq!((activity.passes, activity.empty, activity.long, activity.sleeps), (4, 1, 0, 4));
    assert_eq!(activity.loops, 5);
}

#[test]
fn the_watch_names_who_has_been_running_and_for_how_long() {
    let mut world = World::new();
    let start = world.start;
    let watch = Rc::new(std::cell::RefCell::new(Watch::new(world.scheduler.remote(), start)));
    let (inside, log) = (Rc::clone(&watch), support::Log::new());
    let entries = log.clone();
    world.scheduler.spawn("hog", async move {
        for at in [100, 200, 300] {
            entries.add(inside.borrow_mut().look(start + ms(at)));
        }
    });
    assert_eq!(watch.borrow_mut().look(start + ms(50)), None);
    world.settle();
    let seen: Vec<_> = log.take().into_iter().map(|seen| seen.map(|seen| (seen.name, seen.lasted))).collect();
    assert_eq!(seen, [None, Some(("hog", ms(100))), Some(("hog", ms(200)))]);
    assert_eq!(watch.borrow_mut().look(start + ms(400)), None, "nothing runs");
    // Objects that each end soon are progress, however many there are.
    world.scheduler.spawn("short", async {});
    world.settle();
    assert_eq!(watch.borrow_mut().look(start + ms(500)), None);
}
