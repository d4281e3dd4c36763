//! Several publishing threads, subscriptions coming and going (R01).

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use event_hdl::{Item, Overflow, SubscriptionList};
use support::{Door, OPEN, Tally, WHEN};

const EVENTS: u64 = 20_000;
const PUBLISHERS: u64 = 2;

#[test]
fn events_are_seen_exactly_once_and_in_order_while_others_unsubscribe() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    // Each publisher numbers its own events; sixteen handlers and sixteen queues stay to the end.
    let stay: Vec<_> = (0..16)
        .map(|_| {
            let next: Arc<[AtomicU64; 2]> = Arc::default();
            let inner = Arc::clone(&next);
            let subscription = list.subscribe(OPEN, move |event| {
                let (who, number) = (event.live.number % PUBLISHERS, event.live.number / PUBLISHERS);
                assert_eq!(inner[who as usize].fetch_add(1, Ordering::Relaxed), number);
            });
            (next, subscription.unwrap())
        })
        .collect();
    let queues: Vec<_> = (0..16).map(|_| list.queue(OPEN, Overflow::Unbounded).unwrap()).collect();
    let publishing = AtomicUsize::new(PUBLISHERS as usize);
    std::thread::scope(|s| {
        for who in 0..PUBLISHERS {
            let (list, tally, publishing) = (&list, &tally, &publishing);
            s.spawn(move || {
                for number in 0..EVENTS {
                    list.publish(&tally.live(number * PUBLISHERS + who), OPEN, WHEN);
                }
                publishing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        // Subscriptions that end in all ways: from outside, from their own handler, by a sibling.
        let mut rounds = 0;
        while publishing.load(Ordering::SeqCst) > 0 {
            let over = Arc::new(AtomicBool::new(false));
            let inner = Arc::clone(&over);
            let outside = list
                .subscribe(OPEN, move |_| assert!(!inner.load(Ordering::SeqCst), "called after unsubscribe"))
                .unwrap();
            let sibling = outside.clone();
            let own = list
                .subscribe(OPEN, move |event| {
                    event.subscription.unsubscribe();
                    if rounds % 2 == 0 {
                        sibling.unsubscribe();
                    }
                })
                .unwrap();
            outside.unsubscribe();
            over.store(true, Ordering::SeqCst);
            own.unsubscribe();
            rounds += 1;
        }
        assert!(rounds > 0);
    });
    for (next, subscription) in &stay {
        assert_eq!(next.each_ref().map(|n| n.load(Ordering::Relaxed)), [EVENTS; 2]);
        assert_eq!(subscription.lost(), 0);
    }
    for mut queue in queues {
        let mut next = [0; 2];
        queue.subscription().unsubscribe();
        while let Some(Item::Event(event)) = queue.try_pop() {
            let (who, number) = (event.data.number % PUBLISHERS, event.data.number / PUBLISHERS);
            assert_eq!(std::mem::replace(&mut next[who as usize], number + 1), number);
        }
        assert_eq!(next, [EVENTS; 2]);
    }
    assert_eq!((tally.alive(), list.len()), (0, 16));
}

#[test]
fn an_exclusive_handler_never_runs_twice_at_once() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    let (inside, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (flag, count) = (Arc::clone(&inside), Arc::clone(&calls));
    let _handler = list.subscribe_exclusive(OPEN, move |_| {
        assert!(!flag.swap(true, Ordering::SeqCst));
        count.fetch_add(1, Ordering::Relaxed);
        flag.store(false, Ordering::SeqCst);
    });
    std::thread::scope(|s| {
        for _ in 0..PUBLISHERS {
            s.spawn(|| {
                (0..EVENTS).for_each(|n| {
                    list.publish(&tally.live(n), OPEN, WHEN);
                })
            });
        }
    });
    assert_eq!(calls.load(Ordering::Relaxed), PUBLISHERS * EVENTS);
}

#[test]
fn unsubscribing_from_handlers_on_two_threads_does_not_lock_up() {
    let tally = Tally::default();
    for _ in 0..200 {
        let list = SubscriptionList::<Door>::new();
        let handles: Arc<std::sync::Mutex<Vec<event_hdl::Subscription<Door>>>> = Arc::default();
        for _ in 0..4 {
            let siblings = Arc::clone(&handles);
            let handle = list.subscribe(OPEN, move |_| {
                let siblings = siblings.lock().unwrap().clone();
                siblings.iter().for_each(|sibling| {
                    sibling.unsubscribe();
                });
            });
            handles.lock().unwrap().push(handle.unwrap());
        }
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| list.publish(&tally.live(1), OPEN, WHEN));
            }
        });
        assert!(list.is_empty());
        handles.lock().unwrap().clear();
    }
}
