//! Arming, cancelling and expiring timers.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use anyhow::Result;
use benches::{Contest, Row, Span};
use scheduler::{Next, Timer};

use crate::ours::World;

const SIZES: [usize; 3] = [1000, 100_000, 1_000_000];

pub(crate) fn rows(contest: &mut Contest) -> Result<()> {
    for (count, goal) in SIZES.into_iter().zip([6.0, 6.0, 8.0]) {
        let row = Row::new(format!("timer insert, {count}")).goal_ns(goal).counted_over(count as u64);
        let row = row
            .ours(move || batches(count, move || disarmed(count), arm_after))
            .also_ours("ours, by Instant", move || batches(count, move || disarmed(count), arm))
            .peer("tokio::time", 0.2, move || tokio_insert(count))
            .peer("BTreeMap", 0.2, move || {
                batches(
                    count,
                    move || (BTreeMap::new(), deadlines(count, Order::Random)),
                    |(map, deadlines)| {
                        for (n, at) in deadlines.iter().enumerate() {
                            map.insert((*at, n), ());
                        }
                    },
                )
            });
        // async-io's timers need a wake-up of its reactor each: a million of them take minutes.
        let row = if count <= 1000 { row.peer("async-io", 0.2, move || async_io_insert(count)) } else { row };
        contest.row(row)?;
    }
    for (order, name, goal) in [(Order::Made, "in order", 5.0), (Order::Random, "in random order", 60.0)] {
        let count = SIZES[2];
        contest.row(
            Row::new(format!("timer cancel at {count}, {name}"))
                .goal_ns(goal)
                .counted_over(count as u64)
                .ours(move || {
                    batches(
                        count,
                        move || {
                            let (world, mut timers, deadlines) = disarmed(count);
                            timers.iter().zip(&deadlines.at).for_each(|(timer, at)| timer.set(Some(*at)));
                            if order == Order::Random {
                                shuffle(&mut timers);
                            }
                            (world, timers)
                        },
                        |(_, timers)| timers.iter().for_each(|timer| timer.set(None)),
                    )
                })
                .also_ours("ours, freed", move || {
                    batches(
                        count,
                        move || {
                            let (world, mut timers, deadlines) = disarmed(count);
                            timers.iter().zip(&deadlines.at).for_each(|(timer, at)| timer.set(Some(*at)));
                            if order == Order::Random {
                                shuffle(&mut timers);
                            }
                            (world, timers)
                        },
                        |(_, timers)| timers.clear(),
                    )
                })
                .peer("tokio::time", 0.2, move || tokio_cancel(count, order))
                .peer("BTreeMap", 0.2, move || {
                    batches(
                        count,
                        move || {
                            let deadlines = deadlines(count, Order::Random);
                            let mut keys: Vec<_> = deadlines.iter().copied().zip(0..).collect();
                            let map: BTreeMap<(Instant, usize), ()> =
                                keys.iter().map(|key| (*key, ())).collect();
                            if order == Order::Random {
                                shuffle(&mut keys);
                            }
                            (map, keys)
                        },
                        |(map, keys)| {
                            for key in keys {
                                map.remove(key);
                            }
                        },
                    )
                }),
        )?;
    }
    for (count, goal) in SIZES.into_iter().zip([25.0, 30.0, 60.0]) {
        let step = HALF_MINUTE * 100 / count as u32;
        let expiry = move |order, step| {
            move || batches(count, move || sleeping(count, order), move |state| pass_by(state, step))
        };
        contest.row(
            Row::new(format!("timer expire + wake + run, {count}, 100 at a time"))
                .goal_ns(goal)
                .counted_over(count as u64)
                .ours(expiry(Order::Made, step))
                .also_ours("ours, random order", expiry(Order::Random, step))
                .also_ours("ours, all at once", expiry(Order::Same, HALF_MINUTE))
                .peer("tokio::time", 0.5, move || tokio_expire(count)),
        )?;
    }
    Ok(())
}

const HALF_MINUTE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Deadlines rise with the number.
    Made,
    Random,
    /// One deadline for all.
    Same,
}

#[expect(clippy::disallowed_methods, reason = "some instant to start from")]
fn now() -> Instant {
    Instant::now()
}

/// Deadlines spread over half a minute.
fn deadlines_from(start: Instant, count: usize, order: Order) -> Vec<Instant> {
    let nanos = HALF_MINUTE.as_nanos() as u64;
    let at = |n: usize| match order {
        Order::Made => (n as u64 + 1) * (nanos / count as u64),
        Order::Random => (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % nanos + 1,
        Order::Same => nanos,
    };
    (0..count).map(|n| start + Duration::from_nanos(at(n))).collect()
}

fn deadlines(count: usize, order: Order) -> Vec<Instant> {
    deadlines_from(now(), count, order)
}

/// Swaps things about, always in the same way.
fn shuffle<T>(things: &mut [T]) {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    for n in (1..things.len()).rev() {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        things.swap(n, (dice % (n as u64 + 1)) as usize);
    }
}

/// Does `count` operations at a time on something fresh, of which `prepare` is not measured.
fn batches<S>(
    count: usize,
    mut prepare: impl FnMut() -> S,
    mut work: impl FnMut(&mut S),
) -> impl FnMut(&mut Span) {
    move |span| {
        let times = span.operations.div_ceil(count as u64);
        for _ in 0..times {
            let mut state = prepare();
            span.measure(|| work(&mut state));
        }
        span.did(times * count as u64);
    }
}

/// The same deadlines, as instants and as what is left until then.
struct Deadlines {
    at: Vec<Instant>,
    after: Vec<Duration>,
}

fn disarmed(count: usize) -> (World, Vec<Timer>, Deadlines) {
    let world = World::new();
    let timers = (0..count).map(|_| world.scheduler.timer()).collect();
    let at = deadlines_from(world.start, count, Order::Random);
    let after = at.iter().map(|at| *at - world.start).collect();
    (world, timers, Deadlines { at, after })
}

fn arm((_, timers, deadlines): &mut (World, Vec<Timer>, Deadlines)) {
    timers.iter().zip(&deadlines.at).for_each(|(timer, at)| timer.set(Some(*at)));
}

/// As HAProxy arms timers: by a timeout from now.
fn arm_after((_, timers, deadlines): &mut (World, Vec<Timer>, Deadlines)) {
    timers.iter().zip(&deadlines.after).for_each(|(timer, after)| timer.set_after(*after));
}

/// Tasks whose own timers are armed, and that do nothing when they run.
fn sleeping(count: usize, order: Order) -> World {
    let mut world = World::new();
    for at in deadlines_from(world.start, count, order) {
        let mut next = Some(at);
        world.scheduler.spawn_process("sleeper", move |_, _| next.take().map_or(Next::Wait, Next::At));
    }
    world.settle();
    world
}

/// Lets half a minute pass in steps.
fn pass_by(world: &mut World, step: Duration) {
    let (mut now, end) = (world.start, world.start + HALF_MINUTE);
    while now < end {
        now += step;
        world.settle_at(now);
    }
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

type Sleeps = Vec<Pin<Box<tokio::time::Sleep>>>;

fn tokio_sleeps(count: usize) -> Sleeps {
    let start = tokio::time::Instant::now().into_std();
    let at = deadlines_from(start, count, Order::Random);
    at.into_iter().map(|at| Box::pin(tokio::time::sleep_until(at.into()))).collect()
}

/// A `Sleep` is armed by its first poll.
fn poll_all(sleeps: &mut Sleeps) {
    let mut cx = Context::from_waker(Waker::noop());
    for sleep in sleeps {
        let _ = sleep.as_mut().poll(&mut cx);
    }
}

fn tokio_insert(count: usize) -> impl FnMut(&mut Span) {
    let runtime = paused();
    move |span| {
        let _guard = runtime.enter();
        batches(count, || tokio_sleeps(count), poll_all)(span);
    }
}

fn tokio_cancel(count: usize, order: Order) -> impl FnMut(&mut Span) {
    let runtime = paused();
    move |span| {
        let _guard = runtime.enter();
        let armed = || {
            let mut sleeps = tokio_sleeps(count);
            poll_all(&mut sleeps);
            if order == Order::Random {
                shuffle(&mut sleeps);
            }
            sleeps
        };
        batches(count, armed, Vec::clear)(span);
    }
}

#[expect(clippy::disallowed_methods, reason = "how the peer starts a task")]
fn tokio_expire(count: usize) -> impl FnMut(&mut Span) {
    move |span| {
        let prepare = || {
            let (runtime, local) = (paused(), tokio::task::LocalSet::new());
            runtime.block_on(local.run_until(async {
                let start = tokio::time::Instant::now().into_std();
                for at in deadlines_from(start, count, Order::Made) {
                    tokio::task::spawn_local(tokio::time::sleep_until(at.into()));
                }
                tokio::task::yield_now().await;
            }));
            (runtime, Some(local))
        };
        // Time is paused: it jumps from one expiry to the next.
        batches(count, prepare, |(runtime, local)| {
            if let Some(local) = local.take() {
                runtime.block_on(local);
            }
        })(span);
    }
}

fn async_io_insert(count: usize) -> impl FnMut(&mut Span) {
    let prepare = move || {
        let at = deadlines(count, Order::Random);
        at.into_iter().map(|at| Box::pin(async_io::Timer::at(at + HALF_MINUTE))).collect::<Vec<_>>()
    };
    batches(count, prepare, |timers| {
        let mut cx = Context::from_waker(Waker::noop());
        for timer in timers {
            let _ = timer.as_mut().poll(&mut cx);
        }
    })
}
