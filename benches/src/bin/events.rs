//! What publishing, subscribing and delivering events cost.
//!
//! Each row does the same work with ours and with the public crates that do it, or the plain way. A handler or
//! reader takes a number and keeps the optimiser from knowing. Ours filters by subtype and may be paused; the peers'
//! lists filter by subtype, their channels do not filter at all.
//!
//! Source: `docs/performance.md`, "Events"; the goals are the project's own.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, RwLock};
use std::time::Duration;

use anyhow::Result;
use arc_swap::{ArcSwap, Cache};
use benches::{Contest, Row, Span, thread_cpu};
use event_hdl::{EventQueue, Family, Item, Overflow, SubscriptionId, SubscriptionList, Subtypes};

const HIT: Subtypes = Subtypes::bit(1);
const MISS: Subtypes = Subtypes::bit(2);

/// The product's allocator, for all contestants.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events published before they are read.
const BATCH: u64 = 64;

/// The family that the rows publish.
struct Tick;

impl Family for Tick {
    type Live<'a> = u64;
    type Snapshot = u64;
    const NAME: &'static str = "TICK";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[("TICK_HIT", HIT), ("TICK_MISS", MISS)];
    fn snapshot(live: &u64) -> u64 {
        *live
    }
}

fn main() -> Result<ExitCode> {
    let mut contest = Contest::from_args("events");
    for handlers in [0, 16, 1024] {
        contest.row(no_match(handlers))?;
    }
    for (handlers, goal) in [(1, 4.0), (16, 25.0), (256, 320.0), (1024, 1250.0)] {
        contest.row(publish(handlers, goal))?;
    }
    for handlers in [16, 256] {
        contest.row(two_threads(handlers))?;
    }
    for (queues, goal) in [(1, 10.0), (16, 5.0), (64, 5.0)] {
        contest.row(deliver(queues, goal))?;
    }
    for others in [0, 16, 1024] {
        contest.row(come_and_go(others))?;
    }
    contest.finish()
}

/// Publishes to those who asked for something else.
fn no_match(handlers: usize) -> Row {
    Row::new(format!("publish, no match, {handlers} handlers"))
        .goal_ns(2.0)
        .ours(move || ours_publishes(handlers, MISS))
        .peer("RwLock + Vec", 0.25, move || {
            let list = RwLock::new(plain(handlers));
            move |span: &mut Span| {
                each(span, |n| call(&list.read().expect("invariant: never poisoned"), MISS, n))
            }
        })
}

/// Publishes to handlers that all asked for it.
fn publish(handlers: usize, goal: f64) -> Row {
    Row::new(format!("publish, {handlers} handlers called"))
        .goal_ns(goal)
        .ours(move || ours_publishes(handlers, HIT))
        .peer("arc-swap + Vec", 1.0, move || {
            let list = ArcSwap::from_pointee(plain(handlers));
            move |span: &mut Span| each(span, |n| call(&list.load(), HIT, n))
        })
        // Each thread keeps the list it last saw: leaving cannot wait for calls, nor free what was captured.
        .also_ours("without waiting to leave", move || {
            let list = Arc::new(ArcSwap::from_pointee(plain(handlers)));
            let mut cache = Cache::new(list);
            move |span: &mut Span| each(span, |n| call(cache.load(), HIT, n))
        })
}

/// The same on two threads at once, beside one.
fn two_threads(handlers: usize) -> Row {
    Row::new(format!("publish, {handlers} handlers called, two threads"))
        .uncounted()
        .ours(move || {
            let list = ours(handlers);
            move |span: &mut Span| {
                let (operations, barrier) = (span.operations, Barrier::new(2));
                let publish = || {
                    barrier.wait();
                    let start = thread_cpu();
                    (0..operations).for_each(|n| keep(list.publish(&n, HIT, Duration::ZERO)));
                    thread_cpu() - start
                };
                let both = std::thread::scope(|s| {
                    let other = s.spawn(publish);
                    publish() + other.join().expect("invariant: does not panic")
                });
                span.charge(both / 2);
            }
        })
        .peer("one thread", 1.15, move || ours_publishes(handlers, HIT))
}

/// Publishes a batch to all readers, each of which then reads it. An operation is one delivery.
fn deliver(readers: usize, goal: f64) -> Row {
    Row::new(format!("publish and read, {readers} queues, batches of {BATCH}"))
        .goal_ns(goal)
        .ours(move || {
            let (list, mut queues) = queues(readers);
            move |span: &mut Span| {
                batches(span, readers, || {
                    (0..BATCH).for_each(|n| keep(list.publish(&n, HIT, Duration::ZERO)));
                    for queue in &mut queues {
                        queue.read_batch(BATCH as usize, read);
                    }
                });
            }
        })
        .peer("crossbeam-channel", 0.6, move || {
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..readers).map(|_| crossbeam_channel::unbounded()).unzip();
            move |span: &mut Span| {
                batches(span, readers, || {
                    for n in 0..BATCH {
                        senders.iter().for_each(|sender| keep(sender.send(n)));
                    }
                    receivers.iter().for_each(|receiver| receiver.try_iter().for_each(heard));
                });
            }
        })
        .peer("tokio broadcast", 0.6, move || {
            let (sender, first) = tokio::sync::broadcast::channel(BATCH as usize);
            let mut receivers = vec![first];
            receivers.resize_with(readers, || sender.subscribe());
            move |span: &mut Span| {
                batches(span, readers, || {
                    (0..BATCH).for_each(|n| keep(sender.send(n)));
                    for receiver in &mut receivers {
                        std::iter::from_fn(|| receiver.try_recv().ok()).for_each(heard);
                    }
                });
            }
        })
        .peer("bus", 0.6, move || {
            let mut bus = bus::Bus::new(BATCH as usize);
            let mut readers_of: Vec<_> = (0..readers).map(|_| bus.add_rx()).collect();
            move |span: &mut Span| {
                batches(span, readers, || {
                    (0..BATCH).for_each(|n| bus.broadcast(n));
                    for reader in &mut readers_of {
                        std::iter::from_fn(|| reader.try_recv().ok()).for_each(heard);
                    }
                });
            }
        })
        // Items that may be kept: each event of several readers is counted off for itself.
        .also_ours("ours, items that may be kept", move || {
            let (list, mut queues) = queues(readers);
            let mut items = Vec::with_capacity(BATCH as usize);
            move |span: &mut Span| {
                batches(span, readers, || {
                    (0..BATCH).for_each(|n| keep(list.publish(&n, HIT, Duration::ZERO)));
                    for queue in &mut queues {
                        queue.pop_batch(BATCH as usize, &mut items);
                        items.drain(..).for_each(|item| read(&item));
                    }
                });
            }
        })
}

/// Lists with so many queues.
fn queues(readers: usize) -> (SubscriptionList<Tick>, Vec<EventQueue<Tick>>) {
    let list = SubscriptionList::<Tick>::new();
    let queue = |_| list.queue(HIT, Overflow::Unbounded).expect("invariant: the list is open");
    let queues = (0..readers).map(queue).collect();
    (list, queues)
}

fn read(item: &Item<Tick>) {
    if let Some(event) = item.event() {
        heard(event.data);
    }
}

/// Subscribes a handler by an id and unsubscribes it by that id.
fn come_and_go(others: usize) -> Row {
    Row::new(format!("subscribe and unsubscribe by id, {others} others"))
        .goal_ns(100.0)
        .ours(move || {
            let list = ours(others);
            let id = SubscriptionId::of("bench", "one");
            move |span: &mut Span| {
                each(span, |_| {
                    list.subscribe(HIT.with_id(id), |event| heard(*event.live))
                        .expect("invariant: the id is free");
                    list.unsubscribe(id);
                });
            }
        })
        .peer("RwLock + Vec", 1.0, move || {
            let list = RwLock::new(plain(others).into_iter().map(|one| (0, one)).collect::<Vec<_>>());
            move |span: &mut Span| {
                each(span, |_| {
                    let mut all = list.write().expect("invariant: never poisoned");
                    assert!(all.iter().all(|(id, _)| *id != 1));
                    all.push((1, Plain { subtypes: HIT, handler: Box::new(heard) }));
                    drop(all);
                    list.write().expect("invariant: never poisoned").retain(|(id, _)| *id != 1);
                });
            }
        })
}

fn heard(number: u64) {
    black_box(number);
}

fn keep<T>(value: T) {
    black_box(value);
}

fn ours(handlers: usize) -> SubscriptionList<Tick> {
    let list = SubscriptionList::new();
    for _ in 0..handlers {
        list.subscribe(HIT, |event| heard(*event.live)).expect("invariant: the list is open");
    }
    list
}

fn ours_publishes(handlers: usize, subtype: Subtypes) -> impl FnMut(&mut Span) {
    let list = ours(handlers);
    move |span: &mut Span| each(span, |n| keep(list.publish(&n, subtype, Duration::ZERO)))
}

/// What a peer's list holds.
struct Plain {
    subtypes: Subtypes,
    handler: Box<dyn Fn(u64) + Send + Sync>,
}

fn plain(handlers: usize) -> Vec<Plain> {
    (0..handlers).map(|_| Plain { subtypes: HIT, handler: Box::new(heard) }).collect()
}

fn call(list: &[Plain], subtype: Subtypes, number: u64) {
    for one in list {
        if one.subtypes.contains(subtype) {
            (one.handler)(number);
        }
    }
}

fn each(span: &mut Span, mut operation: impl FnMut(u64)) {
    let operations = span.operations;
    span.measure(|| (0..operations).for_each(&mut operation));
}

fn batches(span: &mut Span, readers: usize, mut batch: impl FnMut()) {
    let deliveries = BATCH * readers as u64;
    let count = span.operations.div_ceil(deliveries);
    span.measure(|| (0..count).for_each(|_| batch()));
    span.did(count * deliveries);
}
