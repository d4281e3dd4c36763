//! Floods of one kind, and clocks near their limits.

mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use scheduler::{Budget, Class, Config, Next, Scheduler, Woken};
use support::{World, ms};

/// Objects of one class that wake themselves for ever; the count of their runs.
fn flood(scheduler: &Scheduler, class: Class, each: usize) -> Rc<Cell<usize>> {
    let runs = Rc::new(Cell::new(0));
    for _ in 0..each {
        let count = Rc::clone(&runs);
        let task = scheduler.spawn_tasklet(
            "flood",
            poll_fn(move |cx| {
                count.set(count.get() + 1);
                cx.waker().wake_by_ref();
                Poll::Pending
            }),
        );
        task.set_class(Some(class));
    }
    runs
}

/// R11: 100,000 timers of one millisecond, while every class is flooded.
#[test]
fn a_hundred_thousand_timers_of_one_instant_do_not_stop_the_others() {
    const TIMERS: usize = 100_000;
    let mut world = World::new();
    let expired = Rc::new(Cell::new(0));
    for _ in 0..TIMERS {
        let (count, at) = (Rc::clone(&expired), world.start + ms(7));
        world.scheduler.spawn_process("sleeper", move |woken: Woken, now: Instant| {
            if !woken.contains(Woken::TIMER) {
                return Next::At(at);
            }
            assert!(now >= at, "early");
            count.set(count.get() + 1);
            Next::Done
        });
    }
    world.settle();
    let floods = Class::ALL.map(|class| flood(&world.scheduler, class, 100));
    for _ in 0..5 {
        world.pass_of(280);
    }
    world.now = world.start + ms(7);
    let mut before = floods.each_ref().map(|runs| runs.get());
    let mut passes = 0;
    while expired.get() < TIMERS {
        let outcome = world.pass_of(280);
        assert!(outcome.expired <= 280 && outcome.ran <= 284, "{outcome:?}");
        let now = floods.each_ref().map(|runs| runs.get());
        let share: [usize; 4] = std::array::from_fn(|class| now[class] - before[class]);
        // URGENT: all there are. BULK: its 4 parts of 129, at least of half a budget.
        assert!(share[0] >= 100 && share[1] >= 1 && share[2] >= 4 && share[3] >= 1, "{share:?}");
        before = now;
        passes += 1;
        assert!(passes < 3000, "sleepers are starved: {} of {TIMERS}", expired.get());
    }
}

/// Each class runs at least once a pass, in low-latency mode as well, and whatever floods the thread.
#[test]
fn a_flood_of_one_class_leaves_every_other_its_share() {
    for low_latency in [false, true] {
        for storm in Class::ALL {
            let mut world = World::new();
            let config = Config { low_latency, ..Config::default() };
            world.scheduler = Scheduler::with_config(world.start, config);
            let runs =
                Class::ALL.map(|class| flood(&world.scheduler, class, if class == storm { 5000 } else { 1 }));
            world.pass_of(10_000);
            for pass in 0..100 {
                let before = runs.each_ref().map(|runs| runs.get());
                world.pass_of(100);
                for class in Class::ALL {
                    let ran = runs[class as usize].get() - before[class as usize];
                    assert!(
                        ran >= 1,
                        "{class:?} starves in pass {pass}: {storm:?}, low latency {low_latency}"
                    );
                }
            }
        }
    }
}

/// R09: each value at which some clock has wrapped, its half, and what means zero or never elsewhere.
#[test]
fn timers_fire_across_every_wrap_of_smaller_clocks() {
    const MS: u64 = 1_000_000;
    let wraps = [
        1 << 16,
        1 << 31,
        1 << 32,
        MS << 16,
        MS << 31,
        MS << 32,
        1_000 << 32,
        1 << 53,
        1 << 62,
        1 << 63,
        u64::MAX - (1 << 40),
    ];
    for wrap in wraps {
        for (ahead, span) in [(1, 2), (1, 1), (2 * MS, 3 * MS), (50 * MS, 100 * MS), (5, 1000 * MS)] {
            let mut world = World::new();
            let start = world.start;
            let at = |nanos: u64| start + Duration::from_nanos(nanos);
            let Some(before) =
                wrap.checked_sub(ahead).and_then(|ns| start.checked_add(Duration::from_nanos(ns)))
            else {
                continue;
            };
            world.now = before;
            world.settle();
            let deadline = at(wrap - ahead + span);
            let task = world.scheduler.spawn("sleeper", world.scheduler.sleep_until(deadline));
            world.settle();
            assert_eq!(world.scheduler.next_expiry(), Some(deadline), "{wrap} {ahead} {span}");
            world.now = deadline - Duration::from_nanos(1);
            world.settle();
            assert!(!task.is_finished(), "early: {wrap} {ahead} {span}");
            world.now = deadline;
            world.settle();
            assert!(task.is_finished(), "lost: {wrap} {ahead} {span}");
        }
    }
}

#[test]
fn an_instant_beyond_the_end_of_time_is_as_good_as_never() {
    let mut world = World::new();
    let timer = world.scheduler.timer();
    let start = world.start;
    let centuries = |n: u64| start.checked_add(Duration::from_secs(n * 100 * 365 * 86_400));
    for at in [centuries(5), centuries(6), centuries(60)].into_iter().flatten() {
        timer.set(Some(at));
        world.scheduler.run(world.now, Budget::default());
        assert!(world.scheduler.next_expiry().is_some());
    }
    world.now = centuries(5).unwrap();
    world.settle();
    assert!(timer.deadline().is_some());
}
