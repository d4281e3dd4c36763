//! What publishing and reading cost: nanoseconds each, the median of nine rounds.
//!
//! One scenario a function. Run it pinned and on an otherwise idle core; figures compare within one
//! run only.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_hdl::{EventQueue, Family, Overflow, SubscriptionId, SubscriptionList, Subtypes};

struct Tick;

const HIT: Subtypes = Subtypes::bit(1);
const MISS: Subtypes = Subtypes::bit(2);

impl Family for Tick {
    type Live<'a> = u64;
    type Snapshot = u64;
    const NAME: &'static str = "TICK";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[("TICK_HIT", HIT), ("TICK_MISS", MISS)];
    fn snapshot(live: &u64) -> u64 {
        *live
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

fn measure(name: &str, operations: usize, mut round: impl FnMut()) {
    if !chosen(name) {
        return;
    }
    let mut figures: Vec<f64> = (0..9)
        .map(|_| {
            let start = clock();
            round();
            clock().duration_since(start).as_nanos() as f64 / operations as f64
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    println!("{name:<48} {:8.1} ns", figures[figures.len() / 2]);
}

/// Whether a scenario's name contains the first argument that is no option, if there is one.
fn chosen(name: &str) -> bool {
    std::env::args().skip(1).find(|arg| !arg.starts_with('-')).is_none_or(|part| name.contains(&part))
}

static HEARD: AtomicU64 = AtomicU64::new(0);

fn list(handlers: usize) -> SubscriptionList<Tick> {
    let list = SubscriptionList::new();
    for _ in 0..handlers {
        list.subscribe(HIT, |event| HEARD.store(*event.live, Ordering::Relaxed)).expect("open list");
    }
    list
}

fn publish(handlers: usize, subtype: Subtypes, what: &str) {
    let list = list(handlers);
    let times = 2_000_000 / (handlers + 10);
    measure(&format!("publish, {handlers} handlers, {what}"), times, || {
        for n in 0..times as u64 {
            black_box(list.publish(&n, subtype, Duration::ZERO));
        }
    });
}

fn deliver(queues: usize) {
    let list = SubscriptionList::<Tick>::new();
    let mut queues: Vec<EventQueue<Tick>> =
        (0..queues).map(|_| list.queue(HIT, Overflow::Unbounded).expect("open list")).collect();
    let mut batch = Vec::with_capacity(64);
    let rounds = 20_000 / queues.len() + 1;
    let operations = rounds * 64 * queues.len();
    measure(&format!("publish + pop, {} queues, batches of 64", queues.len()), operations, || {
        for _ in 0..rounds {
            (0..64).for_each(|n| {
                list.publish(&n, HIT, Duration::ZERO);
            });
            for queue in &mut queues {
                queue.pop_batch(64, &mut batch);
                batch.clear();
            }
        }
    });
}

fn subscribe_unsubscribe(others: usize) {
    let list = list(others);
    let id = SubscriptionId::of("bench", "one");
    let times = 2_000_000 / (others + 100);
    measure(&format!("subscribe + unsubscribe by id, among {others}"), times, || {
        for _ in 0..times {
            list.subscribe(HIT.with_id(id), |_| ()).expect("free id");
            list.unsubscribe(id);
        }
    });
}

fn main() {
    publish(0, HIT, "nobody");
    publish(1, MISS, "no match");
    publish(1024, MISS, "no match");
    for handlers in [1, 16, 256, 1024] {
        publish(handlers, HIT, "all match");
    }
    for queues in [1, 16, 64] {
        deliver(queues);
    }
    for others in [0, 16, 256, 1024] {
        subscribe_unsubscribe(others);
    }
}
