//! Lists and queues under shuttle: random schedules of more threads and steps than loom can try all of.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p event-hdl --test shuttle --release`; `SHUTTLE_ITERATIONS` says how many
//! schedules a test tries (2000 unless said), half of them at random and half with few, well placed preemptions. A
//! failure prints the schedule that shows it again.
#![cfg(shuttle)]

use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use event_hdl::{
    Delivered, EventQueue, Family, Item, Overflow, Subscription, SubscriptionId, SubscriptionList, Subtypes,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;

/// Numbered ticks, each from one publisher.
struct Tick;

const TICK: Subtypes = Subtypes::bit(1);
const OTHER: Subtypes = Subtypes::bit(2);
const EACH: u64 = 3;

struct Number {
    publisher: u64,
    number: u64,
    alive: std::sync::Arc<()>,
}

impl Family for Tick {
    type Live<'a> = Number;
    type Snapshot = Number;
    const NAME: &'static str = "TICK";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[("TICK", TICK), ("TICK_OTHER", OTHER)];
    fn snapshot(live: &Number) -> Number {
        Number { alive: live.alive.clone(), ..*live }
    }
}

type List = SubscriptionList<Tick>;

/// Tries schedules. What events and handlers capture must be gone after each.
fn explore(run: impl Fn(&std::sync::Arc<()>) + Send + Sync + 'static) {
    let iterations =
        std::env::var("SHUTTLE_ITERATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(2000);
    let run = std::sync::Arc::new(move || {
        let alive = std::sync::Arc::new(());
        run(&alive);
        assert_eq!(std::sync::Arc::strong_count(&alive), 1, "all is dropped");
    });
    let again = std::sync::Arc::clone(&run);
    shuttle::check_random(move || run(), iterations / 2);
    shuttle::check_pct(move || again(), iterations / 2, 3);
}

/// Publishes so many events; answers what became of them.
fn publisher(list: &List, alive: &std::sync::Arc<()>, publisher: u64) -> thread::JoinHandle<Delivered> {
    let (list, alive) = (list.clone(), alive.clone());
    thread::spawn(move || {
        let mut all = Delivered::default();
        for number in 0..EACH {
            let live = Number { publisher, number, alive: alive.clone() };
            let one = list.publish(&live, TICK, Duration::ZERO);
            all.called += one.called;
            all.queued += one.queued;
            all.lost += one.lost;
        }
        all
    })
}

/// Where a reader sleeps.
#[derive(Default)]
struct Bed {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Bed {
    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.ring.wait(rung).unwrap();
        }
    }
}

impl Wake for Bed {
    fn wake(self: std::sync::Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.ring.notify_one();
    }
}

/// What a reader got, in order, and how often END came.
#[derive(Default)]
struct Got {
    events: Vec<(u64, u64)>,
    lost: u64,
    ends: u64,
}

impl Got {
    fn item(&mut self, item: &Item<Tick>) {
        assert_eq!(self.ends, 0, "END is last");
        match item {
            Item::Event(event) => self.events.push((event.data.publisher, event.data.number)),
            Item::Lost(count) => self.lost += count,
            Item::End => self.ends += 1,
        }
    }

    /// Once END has come: each publisher's events in order, and everything accounted for.
    fn check(&self, queue: &EventQueue<Tick>) {
        assert_eq!(self.ends, 1);
        for publisher in 0..2 {
            let of_one: Vec<_> = self.events.iter().filter(|(by, _)| *by == publisher).collect();
            assert!(of_one.is_sorted() && of_one.windows(2).all(|pair| pair[0] != pair[1]));
        }
        assert_eq!(queue.subscription().lost(), self.lost);
    }
}

/// Reads to the end, in all ways, sleeping when there is nothing.
fn read_all(queue: &mut EventQueue<Tick>) -> Got {
    let bed = std::sync::Arc::new(Bed::default());
    let waker = Waker::from(bed.clone());
    let mut cx = Context::from_waker(&waker);
    let mut got = Got::default();
    loop {
        match thread_rng().gen_range(0..3) {
            0 => drop(queue.read_batch(2, |item| got.item(item))),
            1 => {
                let mut batch = Vec::new();
                queue.pop_batch(2, &mut batch);
                batch.iter().for_each(|item| got.item(item));
            }
            _ => match queue.poll_pop(&mut cx) {
                Poll::Ready(Some(item)) => got.item(&item),
                Poll::Ready(None) => return got,
                Poll::Pending => bed.sleep(),
            },
        }
    }
}

#[test]
fn every_queue_accounts_for_every_event() {
    explore(|alive| {
        let list = List::new();
        let policies = [
            Overflow::Unbounded,
            Overflow::Pause { above: 1 },
            Overflow::DropNewest { max: 1 },
            Overflow::DropOldest { max: 1 },
        ];
        let policy = || policies[thread_rng().gen_range(0..4)];
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut queue = list.queue(TICK, policy()).unwrap();
                let subscription = queue.subscription().clone();
                let reader = thread::spawn(move || {
                    let got = read_all(&mut queue);
                    got.check(&queue);
                    got
                });
                (reader, subscription)
            })
            .collect();
        let publishers = [0, 1].map(|number| publisher(&list, alive, number));
        let (_, meddled) = &readers[thread_rng().gen_range(0..2)];
        meddled.pause();
        meddled.resubscribe(TICK | OTHER).unwrap();
        meddled.resume();
        let made = publishers.map(|one| one.join().unwrap());
        list.close();
        let got = readers.into_iter().map(|(reader, _)| reader.join().unwrap());
        let read: u64 = got.map(|one| one.events.len() as u64 + one.lost).sum();
        assert_eq!(made.iter().map(|one| u64::from(one.queued + one.lost)).sum::<u64>(), read);
        assert_eq!(read, 2 * 2 * EACH);
    });
}

#[test]
fn queues_that_end_under_publishers_account_for_what_they_took() {
    explore(|alive| {
        let list = List::new();
        let publishers = [0, 1].map(|number| publisher(&list, alive, number));
        let mut queue = list.queue(TICK, Overflow::DropOldest { max: 2 }).unwrap();
        let subscription = queue.subscription().clone();
        let discards = thread_rng().gen_range(0..2) == 0;
        let reader = thread::spawn(move || {
            let got = read_all(&mut queue);
            got.check(&queue);
            got.events.len() as u64 + got.lost
        });
        if discards {
            subscription.unsubscribe_discarding()
        } else {
            subscription.unsubscribe()
        };
        let made: u64 =
            publishers.map(|one| one.join().unwrap()).iter().map(|one| u64::from(one.queued)).sum();
        assert_eq!(reader.join().unwrap(), made);
    });
}

#[test]
fn who_has_left_is_called_no_more() {
    explore(|alive| {
        let list = List::new();
        let publishers = [0, 1].map(|number| publisher(&list, alive, number));
        let leavers = [0, 1].map(|_| {
            let (list, alive) = (list.clone(), alive.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    let over = Arc::new(AtomicBool::new(false));
                    let (flag, held) = (over.clone(), alive.clone());
                    let handler = list.subscribe(TICK, move |event| {
                        let _ = &held;
                        assert!(!flag.load(SeqCst));
                        if event.live.number == 1 {
                            event.subscription.unsubscribe();
                        }
                    });
                    handler.unwrap().unsubscribe();
                    over.store(true, SeqCst);
                }
            })
        });
        leavers.into_iter().for_each(|one| one.join().unwrap());
        for one in publishers {
            one.join().unwrap();
        }
        assert!(list.is_empty());
        list.close();
    });
}

#[test]
fn a_paused_handler_is_told_exactly_what_it_missed() {
    explore(|alive| {
        let list = List::new();
        let (called, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (calls, losses) = (called.clone(), told.clone());
        let exclusive = thread_rng().gen_range(0..2) == 0;
        let handler = move |event: event_hdl::Event<'_, '_, Tick>| {
            calls.fetch_add(1, SeqCst);
            losses.fetch_add(event.lost, SeqCst);
        };
        let handler =
            if exclusive { list.subscribe_exclusive(TICK, handler) } else { list.subscribe(TICK, handler) };
        let handler: Subscription<Tick> = handler.unwrap();
        let publishers = [0, 1].map(|number| publisher(&list, alive, number));
        for _ in 0..2 {
            assert!(handler.pause() && handler.resume());
        }
        for one in publishers {
            one.join().unwrap();
        }
        let last = Number { publisher: 2, number: 0, alive: alive.clone() };
        assert_eq!(list.publish(&last, TICK, Duration::ZERO).called, 1);
        assert_eq!(called.load(SeqCst) + handler.lost(), 2 * EACH + 1);
        assert_eq!(told.load(SeqCst), handler.lost(), "the last call is told of all");
    });
}

#[test]
fn a_list_destroyed_under_everybody_leaves_nothing_behind() {
    explore(|alive| {
        let list = List::new();
        let id = SubscriptionId::of("shuttle", "one");
        let publishing = publisher(&list, alive, 0);
        let coming = {
            let (list, alive) = (list.clone(), alive.clone());
            thread::spawn(move || {
                for _ in 0..3 {
                    let held = alive.clone();
                    let _ = list.subscribe(TICK.with_id(id), move |_| {
                        let _ = &held;
                    });
                    let _ = list.queue(TICK, Overflow::LUA).map(|mut queue| queue.try_pop());
                }
            })
        };
        let going = {
            let list = list.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    list.pause(id);
                    list.unsubscribe(id);
                    list.resume(id);
                }
            })
        };
        let inside = list.clone();
        let _ = list.subscribe(TICK, move |event| {
            if event.live.number == 1 {
                inside.close();
            }
        });
        if thread_rng().gen_range(0..2) == 0 {
            list.close();
        }
        publishing.join().unwrap();
        coming.join().unwrap();
        going.join().unwrap();
        list.close();
        assert_eq!((list.len(), list.unfinished_queues()), (0, 0));
    });
}
