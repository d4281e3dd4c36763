//! Timers: never early, re-armed by a store, exact, without a horizon.

mod support;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use scheduler::{Budget, Woken};
use support::{Log, World, ms};

#[test]
fn a_sleep_ends_at_its_nanosecond_and_not_before() {
    let mut world = World::new();
    let deadline = world.start + Duration::from_nanos(1_234_567_891);
    let sleep = world.scheduler.sleep_until(deadline);
    let task = world.scheduler.spawn("sleep", sleep);
    world.settle();
    assert_eq!(world.scheduler.next_expiry(), Some(deadline));
    world.now = deadline - Duration::from_nanos(1);
    assert_eq!(world.settle(), 0);
    assert!(!task.is_finished());
    world.now = deadline;
    assert_eq!(world.settle(), 1);
    assert!(task.is_finished());
    assert_eq!(world.scheduler.next_expiry(), None);
}

#[test]
fn an_expired_timer_wakes_with_the_reason_timer() {
    let mut world = World::new();
    let log = Log::new();
    let (handle, entries) = (world.scheduler.handle(), log.clone());
    let timer = world.scheduler.timer();
    timer.set(Some(world.start + ms(5)));
    world.scheduler.spawn(
        "reason",
        poll_fn(move |cx| {
            entries.add(handle.woken());
            timer.poll_expired(cx)
        }),
    );
    world.settle();
    world.advance(ms(5));
    assert_eq!(log.take(), [Woken::INIT, Woken::TIMER]);
}

#[test]
fn a_timer_follows_the_last_setting() {
    // Earlier, later and never, in each order: (settings in ms, when it fires).
    let cases: &[(&[Option<u64>], Option<u64>)] = &[
        (&[Some(10)], Some(10)),
        (&[Some(10), Some(20)], Some(20)),
        (&[Some(20), Some(10)], Some(10)),
        (&[Some(10), None], None),
        (&[Some(10), None, Some(30)], Some(30)),
        (&[Some(30), None, Some(10)], Some(10)),
        (&[Some(10), Some(50), Some(20)], Some(20)),
        (&[None], None),
        (&[Some(0)], Some(0)),
    ];
    for (settings, fires) in cases {
        let mut world = World::new();
        let timer = Rc::new(world.scheduler.timer());
        settings.iter().for_each(|at| timer.set(at.map(|at| world.start + ms(at))));
        let inner = Rc::clone(&timer);
        let task = world.scheduler.spawn("timer", async move { inner.expired().await });
        let mut fired = None;
        for at in 0..100 {
            world.now = world.start + ms(at);
            world.settle();
            if task.is_finished() {
                fired = Some(at);
                break;
            }
        }
        assert_eq!(fired, *fires, "{settings:?}");
    }
}

#[test]
fn an_idle_loop_is_not_woken_for_deadlines_that_moved() {
    let mut world = World::new();
    let timer = world.scheduler.timer();
    timer.set(Some(world.start + ms(10)));
    world.settle();
    timer.set(Some(world.start + ms(30_000)));
    assert_eq!(world.scheduler.next_expiry(), Some(world.start + ms(30_000)));
    timer.set(None);
    assert_eq!(world.scheduler.next_expiry(), None);
}

#[test]
fn a_deadline_moved_within_the_first_slot_still_counts_as_the_next() {
    let mut world = World::new();
    world.advance(Duration::from_nanos(1));
    let (one, two) = (world.scheduler.timer(), world.scheduler.timer());
    let at = |nanos| Some(world.start + Duration::from_nanos(nanos));
    one.set(at(200));
    two.set(at(150));
    two.set(at(160));
    assert_eq!(world.scheduler.next_expiry(), at(160));
}

#[test]
fn far_deadlines_do_not_wrap() {
    for days in [24, 25, 49, 50, 365, 36_500] {
        let mut world = World::new();
        let span = Duration::from_secs(days * 86_400);
        let task = world.scheduler.spawn("far", world.scheduler.sleep_until(world.start + span));
        world.settle();
        world.advance(span - Duration::from_nanos(1));
        assert!(!task.is_finished(), "{days} days: early");
        world.advance(Duration::from_nanos(1));
        assert!(task.is_finished(), "{days} days: lost");
    }
}

#[test]
fn many_timers_of_one_instant_expire_within_budget_and_in_order() {
    let mut world = World::new();
    let log = Log::new();
    for name in 0..10_000 {
        let (sleep, log) = (world.scheduler.sleep_until(world.start + ms(7)), log.clone());
        world.scheduler.spawn("sleeper", async move {
            sleep.await;
            log.add(name);
        });
    }
    world.settle();
    world.now += ms(7);
    let mut passes = 0;
    loop {
        let outcome = world.scheduler.run(world.now, Budget::new(280));
        assert!(outcome.expired <= 280 && outcome.ran <= 283);
        passes += 1;
        if !outcome.more {
            break;
        }
    }
    assert!(passes >= 10_000 / 283);
    assert_eq!(log.take(), (0..10_000).collect::<Vec<_>>());
}

#[test]
fn time_that_goes_back_counts_as_the_latest_seen() {
    let mut world = World::new();
    world.advance(ms(100));
    world.now = world.start;
    world.settle();
    assert_eq!(world.scheduler.now(), world.start + ms(100));
}

#[test]
fn a_timer_polled_through_a_foreign_waker_wakes_that_one() {
    let mut world = World::new();
    let (bell, waker) = support::Bell::new();
    let timer = world.scheduler.timer();
    timer.set(Some(world.start + ms(1)));
    let mut cx = std::task::Context::from_waker(&waker);
    assert_eq!(timer.poll_expired(&mut cx), Poll::Pending);
    world.advance(ms(1));
    assert_eq!(bell.rings(), 1);
    assert_eq!(timer.poll_expired(&mut cx), Poll::Ready(()));
}

#[test]
fn cancelled_timers_are_swept_away() {
    let world = World::new();
    let keep: Vec<_> = (0..1000).map(|_| world.scheduler.timer()).collect();
    keep.iter().enumerate().for_each(|(n, timer)| timer.set(Some(world.start + ms(n as u64 + 1))));
    for n in 0..100_000 {
        let timer = world.scheduler.timer();
        timer.set(Some(world.start + ms(60_000)));
        keep[n % 1000].set(Some(world.start + ms(100_000 - n as u64 / 1000)));
        assert!(world.scheduler.snapshot().timers <= 2 * 1001 + 1024 + 1);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, Option<u64>),
    Advance(u64),
    Replace(usize),
    /// Go to what `next_expiry` says.
    Jump,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let nanos = prop_oneof![0..200u64, 0..1_000_000u64, 0..100_000_000_000u64, 0..u64::MAX / 256];
    let step = prop_oneof![
        4 => (0..8usize, proptest::option::weighted(0.8, nanos.clone())).prop_map(|(t, at)| Step::Set(t, at)),
        2 => nanos.prop_map(Step::Advance),
        1 => (0..8usize).prop_map(Step::Replace),
        2 => Just(Step::Jump),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    // A failing case becomes a named test, not a seed in a file.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a plain list of deadlines: each timer fires at the first pass at or after its deadline,
    /// and `next_expiry` is never later than the earliest one.
    #[test]
    fn timers_match_a_list_of_deadlines(steps in steps()) {
        let mut world = World::new();
        let fired = Log::new();
        let spawn = |world: &World, name: usize| {
            let timer = Rc::new(world.scheduler.timer());
            let (inner, log) = (Rc::clone(&timer), fired.clone());
            let task = world.scheduler.spawn("timer", poll_fn(move |cx| {
                if inner.poll_expired(cx).is_ready() {
                    log.add(name);
                    inner.set(None);
                    assert!(inner.poll_expired(cx).is_pending());
                }
                Poll::Pending
            }));
            (timer, task)
        };
        let mut timers: Vec<_> = (0..8).map(|name| spawn(&world, name)).collect();
        let mut model = [None::<Duration>; 8];
        let mut now = Duration::ZERO;
        world.settle();
        for step in steps {
            match step {
                Step::Set(name, after) => {
                    let at = after.map(|after| now.saturating_add(Duration::from_nanos(after)));
                    model[name] = at;
                    timers[name].0.set(at.map(|at| world.start + at));
                }
                Step::Advance(by) => {
                    now += Duration::from_nanos(by / 16);
                }
                Step::Replace(name) => {
                    timers[name].1.kill();
                    timers[name] = spawn(&world, name);
                    model[name] = None;
                }
                Step::Jump => {
                    if let Some(next) = world.scheduler.next_expiry() {
                        now = now.max(next - world.start);
                    }
                }
            }
            world.now = world.start + now;
            world.settle();
            let mut due: Vec<_> = (0..8).filter(|name| model[*name].is_some_and(|at| at <= now)).collect();
            due.iter().for_each(|name| model[*name] = None);
            let mut got = fired.take();
            got.sort_unstable();
            due.sort_unstable();
            prop_assert_eq!(got, due);
            let next = world.scheduler.next_expiry().map(|next| next - world.start);
            let earliest = model.iter().flatten().min().copied();
            prop_assert!(match (next, earliest) { (None, None) => true, (Some(n), Some(e)) => n <= e && n > now, (Some(_), None) => true, (None, Some(_)) => false },
                "next {:?} earliest {:?} now {:?}", next, earliest, now);
        }
    }
}
