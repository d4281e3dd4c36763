//! Lists and queues under loom: every interleaving of small cases.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p event-hdl --test loom --release`. A lost wake shows as a deadlock: the
//! reader sleeps and nobody rings. What the handlers' table frees is watched: freeing it while a publication reads it
//! is an error. Tables begin with one slot here, so that the second subscription replaces them.
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Plain, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use event_hdl::{EventQueue, Family, Item, Overflow, SubscriptionList, Subtypes};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
        assert_eq!((events.len(), lost, ends), (queued as usize, 0, 1));
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

fn publish(list: &SubscriptionList<Tick>, number: u64) -> u32 {
    list.publish(&number, TICK, Duration::ZERO).called
}

/// Runs a model in which a captured value must have been dropped at the end, once.
fn model_with_captures(run: impl Fn(Arc<()>) + Send + Sync + 'static) {
    loom::model(move || {
        let captured = Arc::new(());
        run(Arc::clone(&captured));
        assert_eq!(Arc::strong_count(&captured), 1, "captures are dropped");
    });
}

#[test]
fn no_call_starts_or_runs_after_unsubscribe_has_returned() {
    model_with_captures(|captured| {
        let list = SubscriptionList::<Tick>::new();
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let subscription = list.subscribe(TICK, move |_| {
            let _ = &captured;
            assert!(!flag.load(Ordering::Relaxed));
        });
        let publishing = list.clone();
        let publisher = thread::spawn(move || publish(&publishing, 1));
        subscription.unwrap().unsubscribe();
        over.store(true, Ordering::Relaxed);
        publisher.join().unwrap();
        assert_eq!(publish(&list, 2), 0);
    });
}

#[test]
fn a_publication_sees_who_subscribed_before_and_may_see_who_subscribes_meanwhile() {
    model_with_captures(|captured| {
        let list = SubscriptionList::<Tick>::new();
        let calls = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let subscribe = |which: usize| {
            let (calls, captured) = (Arc::clone(&calls), Arc::clone(&captured));
            list.subscribe(TICK, move |_| {
                let _ = &captured;
                calls[which].fetch_add(1, Ordering::Relaxed);
            })
        };
        let _first = subscribe(0).unwrap();
        let publishing = list.clone();
        let publisher = thread::spawn(move || publish(&publishing, 1));
        // The table has one slot: this replaces it under the publisher.
        let _second = subscribe(1).unwrap();
        let called = publisher.join().unwrap() as usize;
        assert_eq!(calls[0].load(Ordering::Relaxed), 1);
        assert_eq!(calls[1].load(Ordering::Relaxed), called - 1);
        assert_eq!(publish(&list, 2), 2);
    });
}

#[test]
fn a_slot_used_again_calls_the_new_handler_only() {
    model_with_captures(|captured| {
        let list = SubscriptionList::<Tick>::new();
        let first = Arc::clone(&captured);
        let old = list.subscribe(TICK, move |event| {
            let _ = &first;
            assert_eq!(event.live, &1);
        });
        let publishing = list.clone();
        let publisher = thread::spawn(move || publish(&publishing, 1));
        old.unwrap().unsubscribe();
        let _new = list.subscribe(TICK, move |_| {
            let _ = &captured;
        });
        assert!(publisher.join().unwrap() <= 1);
        assert_eq!(publish(&list, 2), 1);
    });
}

#[test]
fn a_list_closed_under_a_publisher_calls_nobody_afterwards() {
    model_with_captures(|captured| {
        let list = SubscriptionList::<Tick>::new();
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        drop(list.subscribe(TICK, move |_| {
            let _ = &captured;
            assert!(!flag.load(Ordering::Relaxed));
        }));
        let publishing = list.clone();
        let publisher = thread::spawn(move || publish(&publishing, 1));
        list.close();
        over.store(true, Ordering::Relaxed);
        publisher.join().unwrap();
    });
}

#[test]
fn handlers_that_end_themselves_on_two_threads_are_called_once_each_publication_at_most() {
    model_with_captures(|captured| {
        let list = SubscriptionList::<Tick>::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        drop(list.subscribe(TICK, move |event| {
            let _ = &captured;
            count.fetch_add(1, Ordering::Relaxed);
            event.subscription.unsubscribe();
        }));
        let publishing = list.clone();
        let publisher = thread::spawn(move || publish(&publishing, 1));
        publish(&list, 2);
        publisher.join().unwrap();
        assert!(matches!(calls.load(Ordering::Relaxed), 1 | 2));
        assert!(list.is_empty());
    });
}

#[test]
fn an_exclusive_handler_that_ended_itself_is_never_called_again() {
    loom::model(|| {
        let list = SubscriptionList::<Tick>::new();
        let calls = Arc::new(Plain::new(0));
        let count = Arc::clone(&calls);
        drop(list.subscribe_exclusive(TICK, move |event| {
            count.fetch_add(1, SeqCst);
            event.subscription.unsubscribe();
        }));
        let publishing = list.clone();
        let publisher = thread::spawn(move || publish(&publishing, 1));
        publish(&list, 2);
        publisher.join().unwrap();
        assert_eq!(calls.load(SeqCst), 1);
    });
}

#[test]
fn two_publishers_and_one_who_leaves() {
    let mut model = loom::model::Builder::new();
    // Three threads: all interleavings with two preemptions.
    model.preemption_bound = Some(2);
    model.check(|| {
        let list = SubscriptionList::<Tick>::new();
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let subscription = list.subscribe(TICK, move |_| assert!(!flag.load(Ordering::Relaxed)));
        let publishers = [1, 2].map(|number| {
            let list = list.clone();
            thread::spawn(move || publish(&list, number))
        });
        subscription.unwrap().unsubscribe();
        over.store(true, Ordering::Relaxed);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn two_readers_let_go_of_one_event() {
    // Each reader holds a reference to the same event; its memory is watched.
    loom::model(|| {
        let list = SubscriptionList::<Tick>::new();
        let mut first = list.queue(TICK, Overflow::Unbounded).unwrap();
        let mut second = list.queue(TICK, Overflow::Unbounded).unwrap();
        list.publish(&7, TICK, Duration::ZERO);
        let reader = thread::spawn(move || {
            let item = first.try_pop();
            item.as_ref().and_then(Item::event).map(|event| event.data)
        });
        let item = second.try_pop().unwrap();
        let kept = item.event().unwrap().clone();
        drop(item);
        assert_eq!(kept.data, 7);
        drop(kept);
        assert_eq!(reader.join().unwrap(), Some(7));
    });
}

#[test]
fn what_one_reader_looks_at_stays_while_others_let_it_go() {
    // One looks at events where they wait, the other takes its own; the list goes meanwhile.
    loom::model(|| {
        let list = SubscriptionList::<Tick>::new();
        let mut first = list.queue(TICK, Overflow::Unbounded).unwrap();
        let mut second = list.queue(TICK, Overflow::DropOldest { max: 1 }).unwrap();
        list.publish(&7, TICK, Duration::ZERO);
        let publishing = list.clone();
        let reader = thread::spawn(move || {
            let mut seen = Vec::new();
            first.read_batch(1, |item| seen.extend(item.event().map(|event| event.data)));
            (seen, first)
        });
        publishing.publish(&8, TICK, Duration::ZERO);
        drop((list, publishing));
        let (events, lost, ends) = read_all(&mut second);
        assert_eq!((events, lost, ends), (vec![8], 1, 1));
        let (seen, mut first) = reader.join().unwrap();
        assert_eq!(seen, [7]);
        assert_eq!(read_all(&mut first), (vec![8], 0, 1));
    });
}

#[test]
fn a_handler_that_was_paused_under_publishers_hears_of_each_loss_once() {
    let mut model = loom::model::Builder::new();
    // Three threads: all interleavings with two preemptions.
    model.preemption_bound = Some(2);
    model.check(|| {
        let list = SubscriptionList::<Tick>::new();
        let told = Arc::new(Plain::new(0));
        let count = Arc::clone(&told);
        let count =
            move |event: event_hdl::Event<'_, '_, Tick>| drop(count.fetch_add(event.lost as usize, SeqCst));
        let handler = list.subscribe(TICK, count).unwrap();
        handler.pause();
        publish(&list, 0);
        let publishers = [1, 2].map(|number| {
            let list = list.clone();
            thread::spawn(move || publish(&list, number))
        });
        handler.resume();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        assert_eq!(publish(&list, 3), 1);
        assert_eq!(told.load(SeqCst) as u64, handler.lost());
    });
}
