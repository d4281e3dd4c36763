//! Several publishing threads, subscriptions coming and going (R01).

#[path = "../examples/storm.rs"]
mod storm;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use event_hdl::SubscriptionList;
use support::{Door, OPEN, Tally, WHEN};

/// What a publisher publishes in the smaller cases.
const EVENTS: u64 = 20_000;
const PUBLISHERS: u64 = 2;

/// R01: 64 subscriptions that stay, two publishing threads, 100,000 events.
#[test]
fn events_are_seen_exactly_once_and_in_order_while_others_unsubscribe() {
    assert!(storm::storm(50_000) > 0);
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

#[test]
fn an_exclusive_handler_that_ended_itself_is_not_called_by_who_waited_for_it() {
    for _ in 0..200 {
        let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
        let calls = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&calls);
        let handler = list.subscribe_exclusive(OPEN, move |event| {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            event.subscription.unsubscribe();
        });
        std::thread::scope(|s| {
            (0..PUBLISHERS).for_each(|n| {
                drop(s.spawn({
                    let (list, tally) = (&list, &tally);
                    move || list.publish(&tally.live(n), OPEN, WHEN)
                }))
            });
        });
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(handler.unwrap().is_ended());
    }
}

#[test]
fn captures_of_handlers_that_ended_inside_go_with_the_lists_next_change() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    let held = Arc::new(());
    for round in 0..500 {
        for _ in 0..3 {
            let inner = Arc::clone(&held);
            drop(list.subscribe(OPEN, move |event| {
                let _ = &inner;
                event.subscription.unsubscribe();
            }));
        }
        std::thread::scope(|s| {
            (0..PUBLISHERS).for_each(|_| drop(s.spawn(|| list.publish(&tally.live(round), OPEN, WHEN))));
        });
        list.subscribe(OPEN, |_| ()).unwrap().unsubscribe();
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn unsubscribing_waits_for_a_call_under_way_and_for_no_other_list() {
    let (list, other, tally) =
        (SubscriptionList::<Door>::new(), SubscriptionList::<Door>::new(), Tally::default());
    let (inside, leave) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (inside, gate) = (Arc::new(inside), Arc::clone(&leave));
    let flag = Arc::clone(&inside);
    let slow = list
        .subscribe(OPEN, move |_| {
            flag.store(true, Ordering::SeqCst);
            while !gate.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            flag.store(false, Ordering::SeqCst);
        })
        .unwrap();
    let elsewhere = other.subscribe(OPEN, |_| ()).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| list.publish(&tally.live(1), OPEN, WHEN));
        while !inside.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // Would not return if it waited for the other list's publication.
        assert!(elsewhere.unsubscribe());
        let waiter = s.spawn(|| {
            slow.unsubscribe();
            inside.load(Ordering::SeqCst)
        });
        while !slow.is_ended() {
            std::thread::yield_now();
        }
        assert!(!waiter.is_finished() || !inside.load(Ordering::SeqCst));
        leave.store(true, Ordering::SeqCst);
        assert!(!waiter.join().unwrap(), "the call is over when unsubscribe returns");
    });
}

#[test]
fn a_thread_that_is_ending_may_still_publish() {
    /// Publishes when the thread's locals are dropped, to a handler that publishes again.
    struct Last(SubscriptionList<Door>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.publish(&Tally::default().live(2), OPEN, WHEN);
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Vec<Last>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let (list, calls) = (SubscriptionList::<Door>::new(), Arc::new(AtomicU64::new(0)));
    let (inner, count) = (list.clone(), Arc::clone(&calls));
    let handler = list.subscribe(OPEN, move |event| {
        count.fetch_add(1, Ordering::SeqCst);
        if event.live.number < 4 {
            inner.publish(&event.live.tally.live(event.live.number + 1), OPEN, WHEN);
        }
    });
    for first in [false, true] {
        let list = &list;
        std::thread::scope(|s| {
            s.spawn(move || {
                if first {
                    list.publish(&Tally::default().live(4), OPEN, WHEN);
                }
                LAST.with_borrow_mut(|last| last.push(Last(list.clone())));
                if !first {
                    list.publish(&Tally::default().live(4), OPEN, WHEN);
                }
            });
        });
    }
    // A scope ends before the locals of its threads do.
    while calls.load(Ordering::SeqCst) < 8 {
        std::thread::yield_now();
    }
    assert!(handler.unwrap().unsubscribe(), "does not wait for a thread that has ended");
}
