//! Two threads publish numbered events while subscriptions come and go in all ways; everything is counted.
//!
//! A plain program, so that a thread sanitizer can watch it:
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 RUSTFLAGS="--cfg tsan -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
//!     TSAN_OPTIONS=suppressions=crates/event-hdl/tests/tsan.supp \
//!     cargo run -p event-hdl --example storm --target x86_64-unknown-linux-gnu -- 20000
//! ```
//!
//! The argument is the number of events a thread publishes. The tests run it, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use event_hdl::{EventQueue, Family, Item, Overflow, Subscription, SubscriptionList, Subtypes};

const PUBLISHERS: usize = 2;
const HANDLERS: usize = 32;
const QUEUES: usize = 32;

/// Numbered ticks of several clocks.
struct Tick;

const TICK: Subtypes = Subtypes::bit(1);

struct Number<'a> {
    clock: usize,
    number: u64,
    /// When its publication began.
    began: u64,
    alive: &'a Arc<AtomicUsize>,
}

/// A tick in a queue, which counts itself.
struct Kept {
    clock: usize,
    number: u64,
    alive: Arc<AtomicUsize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Family for Tick {
    type Live<'a> = Number<'a>;
    type Snapshot = Kept;
    const NAME: &'static str = "TICK";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[("TICK_TICK", TICK)];
    fn snapshot(live: &Number<'_>) -> Kept {
        live.alive.fetch_add(1, Ordering::Relaxed);
        Kept { clock: live.clock, number: live.number, alive: Arc::clone(live.alive) }
    }
}

/// Orders what begins and what has returned, over all threads.
#[derive(Default)]
struct Stamp(AtomicU64);

impl Stamp {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// What was seen of each clock so far: each number once, in order.
#[derive(Default)]
struct Order([AtomicU64; PUBLISHERS]);

impl Order {
    fn sees(&self, clock: usize, number: u64) {
        assert_eq!(self.0[clock].fetch_add(1, Ordering::Relaxed), number, "each event once, in order");
    }

    fn is_complete(&self, events: u64) -> bool {
        self.0.iter().all(|next| next.load(Ordering::Relaxed) == events)
    }
}

/// Runs the storm; answers how many rounds of subscriptions came and went.
pub(crate) fn storm(events: u64) -> u64 {
    let (list, stamp) = (SubscriptionList::<Tick>::new(), Arc::new(Stamp::default()));
    let (alive, publishing) = (Arc::default(), AtomicUsize::new(PUBLISHERS));
    let orders: Vec<Arc<Order>> = (0..HANDLERS).map(|_| Arc::default()).collect();
    let stay: Vec<_> = orders.iter().map(|order| watch(&list, order)).collect();
    let queue = |_| (list.queue(TICK, Overflow::Unbounded).expect(OPEN), Order::default());
    let queues: Vec<_> = (0..QUEUES).map(queue).collect();
    let mut rounds = 0;
    std::thread::scope(|s| {
        for clock in 0..PUBLISHERS {
            let (list, stamp, alive, publishing) = (&list, &stamp, &alive, &publishing);
            s.spawn(move || {
                for number in 0..events {
                    list.publish(&Number { clock, number, began: stamp.next(), alive }, TICK, Duration::ZERO);
                }
                publishing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        s.spawn(|| read(queues, events));
        while publishing.load(Ordering::SeqCst) > 0 {
            leave_from_outside(&list);
            leave_from_inside(&list, &stamp);
            rounds += 1;
        }
        list.close();
    });
    assert!(orders.iter().all(|order| order.is_complete(events)), "each handler saw all events");
    assert!(stay.iter().all(|subscription| subscription.lost() == 0));
    assert_eq!((alive.load(Ordering::SeqCst), list.len()), (0, 0), "nothing is left");
    rounds
}

const OPEN: &str = "the list is open";

/// A handler that stays to the end.
fn watch(list: &SubscriptionList<Tick>, order: &Arc<Order>) -> Subscription<Tick> {
    let order = Arc::clone(order);
    list.subscribe(TICK, move |event| order.sees(event.live.clock, event.live.number)).expect(OPEN)
}

/// Reads all queues to their ends.
fn read(mut queues: Vec<(EventQueue<Tick>, Order)>, events: u64) {
    while !queues.is_empty() {
        queues.retain_mut(|(queue, order)| {
            let mut ended = false;
            let mut see = |item: &Item<Tick>| {
                ended |= matches!(item, Item::End);
                item.event().into_iter().for_each(|event| order.sees(event.data.clock, event.data.number));
            };
            // In both ways: to keep them, and where they wait.
            let mut items = Vec::new();
            queue.pop_batch(100, &mut items);
            items.iter().for_each(&mut see);
            queue.read_batch(1000, see);
            assert!(!ended || order.is_complete(events), "the end comes last");
            !ended
        });
        std::thread::yield_now();
    }
}

/// Once `unsubscribe` has returned, no call runs and none starts.
fn leave_from_outside(list: &SubscriptionList<Tick>) {
    let over = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&over);
    let subscription = list
        .subscribe(TICK, move |_| assert!(!flag.load(Ordering::Relaxed), "called after unsubscribe returned"))
        .expect(OPEN);
    std::thread::yield_now();
    subscription.unsubscribe();
    over.store(true, Ordering::Relaxed);
}

/// A handler ends itself, its sibling and, again, one that has ended. Publications that begin afterwards call none.
fn leave_from_inside(list: &SubscriptionList<Tick>, stamp: &Arc<Stamp>) {
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let late = |began: u64, left: &AtomicU64| assert!(began < left.load(Ordering::SeqCst), "called too late");
    let mine = Arc::clone(&left);
    let sibling = list.subscribe(TICK, move |event| late(event.live.began, &mine)).expect(OPEN);
    let (other, stamp, mine) = (sibling.clone(), Arc::clone(stamp), Arc::clone(&left));
    let own = list
        .subscribe(TICK, move |event| {
            late(event.live.began, &mine);
            for _ in 0..2 {
                other.unsubscribe();
                event.subscription.unsubscribe();
            }
            mine.fetch_min(stamp.next(), Ordering::SeqCst);
        })
        .expect(OPEN);
    std::thread::yield_now();
    own.unsubscribe();
    sibling.unsubscribe();
}

#[allow(dead_code, reason = "the tests have their own")]
fn main() {
    let events = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(50_000);
    let rounds = storm(events);
    println!(
        "{} events to {} subscriptions; {rounds} rounds of others that came and went",
        events * 2,
        HANDLERS + QUEUES
    );
}
