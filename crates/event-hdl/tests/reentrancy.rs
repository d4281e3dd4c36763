//! Everything that may be done from inside a sync handler, with one and with three subscriptions.

mod support;

use std::sync::{Arc, Mutex};

use event_hdl::{Overflow, Subscription, SubscriptionId, SubscriptionList};
use support::{Door, Log, OPEN, SHUT, Tally, WHEN};

type List = SubscriptionList<Door>;

/// What the acting handler does to the list, its own subscription and the one after it.
type Act = fn(&List, &Subscription<Door>, Option<&Subscription<Door>>, &Log);

fn id(raw: u64) -> SubscriptionId {
    SubscriptionId::from_raw(raw).unwrap()
}

/// Subscribes more than a table holds.
fn grow(list: &List) {
    (0..100).for_each(|_| drop(list.subscribe(SHUT, |_| ())));
}

/// Publishes OPEN twice to handlers a, b, c (or only a), where a acts in the first publication.
/// Returns what was heard.
fn run(act: Act, subscriptions: usize) -> Vec<String> {
    let (list, tally, log) = (List::new(), Tally::default(), Log::default());
    let siblings = Arc::new(Mutex::new(Vec::new()));
    let mut handles = Vec::new();
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)].into_iter().take(subscriptions) {
        let (inner, log, siblings) = (list.clone(), log.clone(), Arc::clone(&siblings));
        let handle = list.subscribe(OPEN.with_id(id(number)), move |event| {
            log.add(format!("{name}{}", event.live.number));
            if (name, event.live.number) == ("a", 1) {
                let next = siblings.lock().unwrap().get(1).cloned();
                act(&inner, event.subscription, next.as_ref(), &log);
            }
        });
        handles.push(handle.unwrap());
    }
    siblings.lock().unwrap().clone_from(&handles);
    list.publish(&tally.live(1), OPEN, WHEN);
    list.publish(&tally.live(2), OPEN, WHEN);
    siblings.lock().unwrap().clear();
    log.take()
}

#[test]
fn every_operation_is_defined_inside_a_handler() {
    let cases: &[(&str, Act, &[&str], &[&str])] = &[
        ("nothing", |_, _, _, _| (), &["a1", "a2"], &["a1", "b1", "c1", "a2", "b2", "c2"]),
        (
            "publish to the same list",
            |list, _, _, _| {
                list.publish(&Tally::default().live(9), OPEN, WHEN);
            },
            &["a1", "a9", "a2"],
            &["a1", "a9", "b9", "c9", "b1", "c1", "a2", "b2", "c2"],
        ),
        (
            "subscribe a handler",
            |list, _, _, log| {
                let log = log.clone();
                drop(list.subscribe(OPEN, move |event| log.add(format!("new{}", event.live.number))));
            },
            &["a1", "a2", "new2"],
            &["a1", "b1", "c1", "a2", "b2", "c2", "new2"],
        ),
        (
            "subscribe a queue",
            |list, _, _, log| {
                let queue = list.queue(OPEN, Overflow::Unbounded).unwrap();
                log.add(format!("queue {}", queue.len()));
            },
            &["a1", "queue 0", "a2"],
            &["a1", "queue 0", "b1", "c1", "a2", "b2", "c2"],
        ),
        (
            "unsubscribe itself",
            |_, own, _, log| log.add(format!("{} {}", own.unsubscribe(), own.subtypes().is_empty())),
            &["a1", "true true"],
            &["a1", "true true", "b1", "c1", "b2", "c2"],
        ),
        (
            "unsubscribe itself by id",
            |list, _, _, _| assert!(list.unsubscribe(id(1)) && !list.unsubscribe(id(1))),
            &["a1"],
            &["a1", "b1", "c1", "b2", "c2"],
        ),
        (
            "unsubscribe the next",
            |_, _, next, _| {
                let _ = next.map(|next| assert!(next.unsubscribe()));
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        // What is done to siblings counts also on the way through a table that has been replaced meanwhile.
        (
            "make the table anew, then pause the next",
            |list, _, next, _| {
                grow(list);
                let _ = next.map(|next| assert!(next.pause()));
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        (
            "make the table anew, then unsubscribe the next",
            |list, _, next, _| {
                grow(list);
                let _ = next.map(|next| assert!(next.unsubscribe()));
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        (
            "make the table anew, then resubscribe the next",
            |list, _, next, _| {
                grow(list);
                let _ = next.map(|next| next.resubscribe(SHUT).unwrap());
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        ("pause itself", |_, own, _, _| assert!(own.pause()), &["a1"], &["a1", "b1", "c1", "b2", "c2"]),
        (
            "pause the next",
            |_, _, next, _| {
                let _ = next.map(|next| assert!(next.pause()));
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        (
            "resubscribe itself",
            |_, own, _, _| own.resubscribe(SHUT).unwrap(),
            &["a1"],
            &["a1", "b1", "c1", "b2", "c2"],
        ),
        (
            "resubscribe the next",
            |_, _, next, _| {
                let _ = next.map(|next| next.resubscribe(SHUT).unwrap());
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        (
            "look up present and absent ids",
            |list, own, _, _| {
                assert!(list.lookup(id(1)).as_ref() == Some(own) && list.lookup(id(77)).is_none())
            },
            &["a1", "a2"],
            &["a1", "b1", "c1", "a2", "b2", "c2"],
        ),
        (
            "by id: pause and resume itself, resubscribe and unsubscribe the next",
            |list, _, _, _| {
                assert!(list.pause(id(1)) && list.resume(id(1)));
                assert_eq!(list.resubscribe(id(2), SHUT).is_ok(), list.unsubscribe(id(2)));
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        (
            "subscribe again under an id that has just become free",
            |list, own, _, log| {
                own.unsubscribe();
                let log = log.clone();
                let again = list.subscribe(OPEN.with_id(id(1)), move |event| {
                    log.add(format!("again{}", event.live.number))
                });
                assert!(again.is_ok());
            },
            &["a1", "again2"],
            &["a1", "b1", "c1", "b2", "c2", "again2"],
        ),
        (
            "keep the handle beyond the call",
            |_, own, _, _| std::mem::forget(own.clone()),
            &["a1", "a2"],
            &["a1", "b1", "c1", "a2", "b2", "c2"],
        ),
        (
            "unsubscribe the next and discard, twice",
            |_, _, next, _| {
                let _ = next.map(|next| {
                    assert!(next.unsubscribe_discarding() && !next.unsubscribe_discarding());
                });
            },
            &["a1", "a2"],
            &["a1", "c1", "a2", "c2"],
        ),
        (
            "close the list twice, and then subscribe",
            |list, _, _, _| {
                list.close();
                list.close();
                assert!(list.subscribe(OPEN, |_| ()).is_err());
            },
            &["a1"],
            &["a1"],
        ),
        ("close the list", |list, _, _, _| list.close(), &["a1"], &["a1"]),
    ];
    for (what, act, alone, of_three) in cases {
        assert_eq!(run(*act, 1), *alone, "{what}, alone");
        assert_eq!(run(*act, 3), *of_three, "{what}, of three");
    }
}

#[test]
fn an_exclusive_handler_that_publishes_to_itself_misses_that_event_and_learns_of_it() {
    let (list, log) = (List::new(), Log::default());
    let (inner, entries) = (list.clone(), log.clone());
    let handler = list.subscribe_exclusive(OPEN, move |event| {
        entries.add(format!("{} {}", event.live.number, event.lost));
        if event.live.number == 1 {
            assert_eq!(inner.publish(&Tally::default().live(2), OPEN, WHEN).lost, 1);
        }
    });
    let tally = Tally::default();
    list.publish(&tally.live(1), OPEN, WHEN);
    list.publish(&tally.live(3), OPEN, WHEN);
    assert_eq!(log.take(), ["1 0", "3 1"]);
    assert_eq!(handler.unwrap().lost(), 1);
}

#[test]
fn dropping_the_list_inside_a_handler_ends_it() {
    let list = List::new();
    let slot = Arc::new(Mutex::new(Some(list.clone())));
    let inner = Arc::clone(&slot);
    let handler = list.subscribe(OPEN, move |_| drop(inner.lock().unwrap().take())).unwrap();
    list.publish(&Tally::default().live(1), OPEN, WHEN);
    drop(list);
    assert!(handler.is_ended());
}

#[test]
fn what_ended_inside_is_dropped_when_the_publication_is_over() {
    let (list, held) = (List::new(), Arc::new(()));
    for _ in 0..3 {
        let inner = Arc::clone(&held);
        drop(list.subscribe(OPEN, move |event| {
            let before = Arc::strong_count(&inner);
            event.subscription.unsubscribe();
            assert_eq!(Arc::strong_count(&inner), before, "it is still running");
        }));
    }
    list.publish(&Tally::default().live(1), OPEN, WHEN);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn publications_inside_publications_go_as_deep_as_the_stack() {
    const DEPTH: u64 = 40;
    // Each list's handler publishes to the next list; the last one closes all of them.
    let (lists, log, held) =
        ((0..DEPTH).map(|_| List::new()).collect::<Arc<[List]>>(), Log::default(), Arc::new(()));
    for (depth, list) in lists.iter().enumerate() {
        let (lists, log, held) = (Arc::clone(&lists), log.clone(), Arc::clone(&held));
        drop(list.subscribe(OPEN, move |event| {
            let _ = &held;
            log.add(event.live.number.to_string());
            match lists.get(depth + 1) {
                Some(next) => {
                    next.publish(&event.live.tally.live(event.live.number + 1), OPEN, WHEN);
                }
                None => lists.iter().for_each(List::close),
            }
        }));
    }
    lists[0].publish(&Tally::default().live(0), OPEN, WHEN);
    assert_eq!(log.take(), (0..DEPTH).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(lists.iter().all(List::is_empty));
    // What deep lists could not drop while the outer publications went on goes with their next change.
    lists.iter().for_each(List::close);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_snapshot_and_a_waker_may_use_the_list() {
    struct Nosy;
    impl event_hdl::Family for Nosy {
        type Live<'a> = SubscriptionList<Nosy>;
        type Snapshot = usize;
        const NAME: &'static str = "NOSY";
        const SUBTYPES: &'static [(&'static str, event_hdl::Subtypes)] = &[("NOSY_ONE", OPEN)];
        fn snapshot(list: &SubscriptionList<Nosy>) -> usize {
            drop(list.queue(OPEN, Overflow::Unbounded));
            list.len()
        }
    }
    struct Ring(SubscriptionList<Nosy>, Log);
    impl std::task::Wake for Ring {
        fn wake(self: Arc<Self>) {
            self.1.add(self.0.len().to_string());
            self.0.close();
        }
    }
    let (list, log) = (SubscriptionList::<Nosy>::new(), Log::default());
    let mut queue = list.queue(OPEN, Overflow::Unbounded).unwrap();
    let waker = std::task::Waker::from(Arc::new(Ring(list.clone(), log.clone())));
    assert!(queue.poll_pop(&mut std::task::Context::from_waker(&waker)).is_pending());
    assert_eq!(list.publish(&list, OPEN, WHEN).queued, 1);
    assert_eq!(log.take(), ["1"]);
    assert_eq!(queue.try_pop().unwrap().event().unwrap().data, 1);
    assert!(list.is_empty());
}
