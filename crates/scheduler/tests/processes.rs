//! Tasks as functions, and tasks' own timers.

mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use scheduler::{Next, Woken};
use support::{Log, World, ms};

#[test]
fn a_process_sees_why_and_when_and_says_when_again() {
    let mut world = World::new();
    let (log, start) = (Log::new(), world.start);
    let (entries, mut runs) = (log.clone(), 0);
    let task = world.scheduler.spawn_process("ticker", move |woken: Woken, now: Instant| {
        entries.add((woken, now - start));
        runs += 1;
        match runs {
            1 => Next::At(now + ms(10)),
            2 => Next::At(now),
            3 => Next::Wait,
            _ => Next::Done,
        }
    });
    world.settle();
    world.advance(ms(9));
    world.advance(ms(1));
    world.advance(ms(1000));
    assert!(!task.is_finished());
    task.wake(Woken::MSG | Woken::USER2);
    world.settle();
    assert!(task.is_finished());
    let timer = Woken::TIMER;
    let expected =
        [(Woken::INIT, ms(0)), (timer, ms(10)), (timer, ms(10)), (Woken::MSG | Woken::USER2, ms(1010))];
    assert_eq!(log.take(), expected);
}

#[test]
fn schedule_keeps_the_earlier_of_two_instants_and_set_deadline_the_last() {
    let mut world = World::new();
    let runs = Rc::new(Cell::new(0));
    let count = Rc::clone(&runs);
    let task = world.scheduler.spawn(
        "scheduled",
        poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::<()>::Pending
        }),
    );
    world.settle();
    let at = |millis| Some(world.start + ms(millis));
    assert_eq!(task.deadline(), None);
    task.schedule(at(20).unwrap());
    task.schedule(at(30).unwrap());
    assert_eq!(task.deadline(), at(20));
    task.schedule(at(10).unwrap());
    assert_eq!(task.deadline(), at(10));
    task.set_deadline(at(40));
    assert_eq!(task.deadline(), at(40));
    world.advance(ms(39));
    assert_eq!(runs.get(), 1);
    world.advance(ms(1));
    assert_eq!(runs.get(), 2);
    task.set_deadline(Some(world.now + ms(5)));
    task.set_deadline(None);
    world.advance(ms(10));
    assert_eq!(runs.get(), 2);
}

#[test]
fn a_task_may_be_runnable_and_armed_together() {
    let mut world = World::new();
    let log = Log::new();
    let (entries, handle) = (log.clone(), world.scheduler.handle());
    let task = world.scheduler.spawn(
        "both",
        poll_fn(move |_| {
            entries.add(handle.woken());
            Poll::<()>::Pending
        }),
    );
    world.settle();
    task.schedule(world.start + ms(1));
    task.wake(Woken::MSG);
    world.advance(ms(1));
    assert_eq!(log.take(), [Woken::INIT, Woken::MSG | Woken::TIMER]);
}

#[test]
fn the_own_timer_of_a_task_that_has_ended_wakes_nobody() {
    let mut world = World::new();
    let task = world.scheduler.spawn("short", async {});
    task.schedule(world.start + ms(5));
    world.settle();
    assert!(task.is_finished());
    assert_eq!(world.scheduler.next_expiry(), None);
    task.schedule(world.start + ms(7));
    assert_eq!((task.deadline(), world.scheduler.next_expiry()), (None, None));
    let runs = Rc::new(Cell::new(0));
    let count = Rc::clone(&runs);
    world.scheduler.spawn(
        "next in the slot",
        poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::<()>::Pending
        }),
    );
    world.advance(ms(10));
    assert_eq!(runs.get(), 1);
}
