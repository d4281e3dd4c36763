//! A queue between two threads under loom: every interleaving of a small case.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p event-hdl --test loom --release`. A lost wake shows as a
//! deadlock: the reader sleeps and nobody rings. The list's versions are reference-counted by std, which
//! loom cannot see; `threads.rs` exercises them.
#![cfg(loom)]

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use event_hdl::{EventQueue, Family, Item, Overflow, SubscriptionList, Subtypes};
use loom::sync::{Condvar, Mutex};
use loom::thread;

struct Tick;

const TICK: Subtypes = Subtypes::bit(1);

impl Family for Tick {
    type Live<'a> = u64;
    type Snapshot = u64;
    const NAME: &'static str = "TICK";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[("TICK", TICK)];
    fn snapshot(live: &u64) -> u64 {
        *live
    }
}

/// Where the reader sleeps.
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
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.ring.notify_one();
    }
}

/// Reads to the end; answers the events, how many were lost and how often END came.
fn read_all(queue: &mut EventQueue<Tick>) -> (Vec<u64>, u64, usize) {
    let bed = Arc::new(Bed::default());
    let waker = Waker::from(Arc::clone(&bed));
    let mut cx = Context::from_waker(&waker);
    let (mut events, mut lost, mut ends) = (Vec::new(), 0, 0);
    loop {
        match queue.poll_pop(&mut cx) {
            Poll::Ready(Some(Item::Event(event))) => {
                assert_eq!(ends, 0, "END is last");
                events.push(event.data);
            }
            Poll::Ready(Some(Item::Lost(count))) => lost += count,
            Poll::Ready(Some(Item::End)) => ends += 1,
            Poll::Ready(None) => return (events, lost, ends),
            Poll::Pending => bed.sleep(),
        }
    }
}

#[test]
fn a_sleeping_reader_gets_everything_and_the_end() {
    loom::model(|| {
        let list = SubscriptionList::<Tick>::new();
        let mut queue = list.queue(TICK, Overflow::Unbounded).unwrap();
        let publisher = thread::spawn(move || {
            list.publish(&1, TICK, Duration::ZERO);
            list.publish(&2, TICK, Duration::ZERO);
            list.close();
        });
        assert_eq!(read_all(&mut queue), (vec![1, 2], 0, 1));
        publisher.join().unwrap();
    });
}

#[test]
fn what_a_bound_refuses_is_counted_exactly() {
    for overflow in
        [Overflow::Pause { above: 1 }, Overflow::DropNewest { max: 1 }, Overflow::DropOldest { max: 1 }]
    {
        loom::model(move || {
            let list = SubscriptionList::<Tick>::new();
            let mut queue = list.queue(TICK, overflow).unwrap();
            let publisher = thread::spawn(move || {
                list.publish(&1, TICK, Duration::ZERO);
                list.publish(&2, TICK, Duration::ZERO);
                list.close();
            });
            let (events, lost, ends) = read_all(&mut queue);
            assert_eq!((events.len() as u64 + lost, ends), (2, 1));
            assert!(events.is_sorted());
            assert_eq!(queue.subscription().lost(), lost);
            publisher.join().unwrap();
        });
    }
}

#[test]
fn nothing_comes_after_an_end_that_races_a_publication() {
    loom::model(|| {
        let list = SubscriptionList::<Tick>::new();
        let mut queue = list.queue(TICK, Overflow::Unbounded).unwrap();
        let subscription = queue.subscription().clone();
        let publisher = thread::spawn(move || list.publish(&1, TICK, Duration::ZERO).queued);
        subscription.unsubscribe();
        let (events, lost, ends) = read_all(&mut queue);
        let queued = publisher.join().unwrap();
        assert_eq!((events.len(), lost, ends), (queued, 0, 1));
    });
}

#[test]
fn a_pause_that_races_a_publication_loses_it_or_not_but_counts_it() {
    loom::model(|| {
        let list = SubscriptionList::<Tick>::new();
        let mut queue = list.queue(TICK, Overflow::Unbounded).unwrap();
        let subscription = queue.subscription().clone();
        let publisher = thread::spawn(move || {
            list.publish(&1, TICK, Duration::ZERO);
            list.close();
        });
        subscription.pause();
        subscription.resume();
        let (events, lost, ends) = read_all(&mut queue);
        assert_eq!((events.len() as u64 + lost, ends), (1, 1));
        publisher.join().unwrap();
    });
}
