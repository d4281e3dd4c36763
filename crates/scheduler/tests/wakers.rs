//! Wakers and handles: what they keep, and what becomes of it.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};

use scheduler::{TaskHandle, TaskRef, Woken};
use support::World;

fn idle(world: &World) -> TaskRef {
    world.scheduler.spawn_tasklet("idle", pending())
}

/// The number of a task's slot, as its id prints.
fn slot(task: &TaskRef) -> String {
    let id = format!("{:?}", task.id());
    id.trim_start_matches("TaskId(").split('.').next().unwrap().to_owned()
}

#[test]
fn a_slot_is_used_again_once_nothing_refers_to_its_task() {
    let mut world = World::new();
    let first = idle(&world);
    let (place, handle, waker) = (slot(&first), first.handle(), first.waker());
    world.settle();
    assert!(first.kill());
    let second = idle(&world);
    assert_ne!(slot(&second), place, "a handle and a waker are left");
    drop(handle);
    let third = idle(&world);
    assert_ne!(slot(&third), place, "a waker is left");
    drop(waker);
    let fourth = idle(&world);
    assert_eq!(slot(&fourth), place);
    assert_ne!(fourth.id(), first.id());
    first.wake(Woken::MSG);
    world.settle();
    assert!(first.is_finished() && !fourth.is_finished());
}

#[test]
fn a_slot_comes_home_from_another_thread() {
    let mut world = World::new();
    let task = idle(&world);
    let (place, waker) = (slot(&task), task.waker());
    world.settle();
    task.kill();
    std::thread::scope(|s| {
        s.spawn(move || drop(waker));
    });
    let other = idle(&world);
    assert_ne!(slot(&other), place, "not before the owner has looked");
    world.settle();
    assert_eq!(slot(&idle(&world)), place);
}

#[test]
fn more_clones_than_can_be_counted_keep_the_slot_for_good() {
    let mut world = World::new();
    let runs = Rc::new(Cell::new(0));
    let count = Rc::clone(&runs);
    let task = world.scheduler.spawn(
        "popular",
        poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::<()>::Pending
        }),
    );
    world.settle();
    let place = slot(&task);
    let wakers: Vec<Waker> = (0..100_000).map(|_| task.waker()).collect();
    wakers[99_999].wake_by_ref();
    let last = wakers[99_999].clone();
    drop(wakers);
    last.wake_by_ref();
    world.settle();
    assert_eq!(runs.get(), 2);
    assert!(task.kill());
    world.settle();
    assert_ne!(slot(&idle(&world)), place);
    last.wake();
}

#[test]
fn wakers_outlive_the_scheduler_on_any_thread() {
    let mut world = World::new();
    let (sender, receiver) = mpsc::channel::<(Waker, TaskHandle)>();
    let tasks: Vec<TaskRef> = (0..300).map(|_| idle(&world)).collect();
    world.settle();
    tasks.iter().for_each(|task| sender.send((task.waker(), task.handle())).unwrap());
    let here: Vec<Waker> = tasks.iter().map(TaskRef::waker).collect();
    drop(world);
    std::thread::scope(|s| {
        s.spawn(move || {
            drop(sender);
            for (waker, handle) in receiver {
                let other = waker.clone();
                waker.wake();
                assert!(handle.is_finished());
                assert!(!handle.kill());
                other.wake_by_ref();
            }
        });
    });
    here.iter().for_each(Waker::wake_by_ref);
    drop(here);
    assert!(tasks.iter().all(TaskRef::is_finished));
}

#[test]
fn a_future_may_hold_its_own_waker() {
    let mut world = World::new();
    let held = Rc::new(());
    let inner = Rc::clone(&held);
    let kept = RefCell::new(None::<Waker>);
    let task = world.scheduler.spawn(
        "narcissus",
        poll_fn(move |cx| {
            let _ = &inner;
            *kept.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }),
    );
    let place = slot(&task);
    world.settle();
    assert!(task.kill());
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(slot(&idle(&world)), place, "its own waker went with it");
}

#[test]
fn a_waker_and_a_handle_are_for_the_same_task() {
    let mut world = World::new();
    let task = idle(&world);
    world.settle();
    let handle = task.handle();
    assert!(handle.waker().will_wake(&task.waker()));
    assert_eq!(handle.id(), task.id());
    handle.set_nice(2000);
    assert_eq!((task.nice(), handle.nice()), (1024, 1024));
    handle.set_class(Some(scheduler::Class::Bulk));
    assert_eq!(task.class(), Some(scheduler::Class::Bulk));
    let stale = {
        task.kill();
        task.handle()
    };
    assert!(stale.is_finished() && !stale.kill());
    stale.wake(Woken::MSG);
    assert_eq!(world.settle(), 0);
}
