//! Lists: who is told, in which order, ids, handles, the end.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use event_hdl::{
    Error, Names, Overflow, Publication, SubscriptionId, SubscriptionList, Subtypes, event_id, resolve,
};
use support::{Door, LOCK, Log, OPEN, SHUT, Tally, WHEN, drain};

#[test]
fn a_subscription_hears_of_events_that_it_covers_wholly() {
    let (open_shut, all, none) = (OPEN | SHUT, Subtypes::ALL, Subtypes::NONE);
    // (subscribed, published, heard)
    let cases = [
        (OPEN, OPEN, true),
        (OPEN, SHUT, false),
        (open_shut, SHUT, true),
        (OPEN, open_shut, false),
        (open_shut, open_shut, true),
        (all, LOCK, true),
        (OPEN, none, true),
        (OPEN, all, false),
        (all, all, true),
    ];
    for (subscribed, published, heard) in cases {
        let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
        let handler = list.subscribe(subscribed, |_| ()).unwrap();
        let mut queue = list.queue(subscribed, Overflow::Unbounded).unwrap();
        let delivered = list.publish(&tally.live(1), published, WHEN);
        let expected = u32::from(heard);
        assert_eq!(
            (delivered.called, delivered.queued),
            (expected, expected),
            "{subscribed:?} {published:?}"
        );
        assert_eq!(drain(&mut queue).len(), usize::from(heard));
        handler.pause();
        let lost = list.publish(&tally.live(1), published, WHEN).lost;
        assert_eq!(lost, expected, "paused: {subscribed:?} {published:?}");
    }
}

#[test]
fn nobody_listening_costs_no_snapshot() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    assert!(!list.has_listeners(OPEN) && !list.has_listeners(Subtypes::NONE));
    let handler = list.subscribe(OPEN, |_| ()).unwrap();
    let queue = list.queue(SHUT, Overflow::Unbounded).unwrap();
    assert!(list.has_listeners(OPEN) && !list.has_listeners(LOCK));
    list.publish(&tally.live(1), OPEN, WHEN);
    list.publish(&tally.live(1), LOCK, WHEN);
    assert_eq!(tally.made(), 0);
    drop(queue);
    handler.unsubscribe();
    assert!(list.is_empty() && !list.has_listeners(OPEN));
}

#[test]
fn one_snapshot_serves_all_queues_of_all_lists_and_dies_with_the_last() {
    let tally = Tally::default();
    let lists = [SubscriptionList::<Door>::new(), SubscriptionList::new()];
    let mut queues: Vec<_> = lists
        .iter()
        .flat_map(|list| [0; 3].map(|_| list.queue(OPEN, Overflow::Unbounded).unwrap()))
        .collect();
    let live = tally.live(7);
    let mut publication = Publication::new(&live, OPEN, WHEN);
    lists.iter().for_each(|list| assert_eq!(list.send(&mut publication).queued, 3));
    drop(publication);
    assert_eq!((tally.made(), tally.alive()), (1, 1));
    let events: Vec<_> = queues.iter_mut().map(|queue| queue.try_pop().unwrap()).collect();
    let first = events[0].event().unwrap();
    assert!(events.iter().all(|item| item.event().unwrap().ptr_eq(first)));
    assert_eq!((first.data.number, first.when, first.subtype), (7, WHEN, OPEN));
    drop(events);
    assert_eq!(tally.alive(), 0);
}

#[test]
fn queues_are_served_before_handlers_and_handlers_in_order() {
    let (list, tally, log) = (SubscriptionList::<Door>::new(), Tally::default(), Log::default());
    let subscribe = |name: &'static str| {
        let (log, list) = (log.clone(), list.clone());
        let _ = list.clone().subscribe(OPEN, move |event| {
            let waiting = list.lookup(SubscriptionId::from_raw(9).unwrap()).is_some();
            log.add(format!("{name} {} {waiting}", event.live.tally.made()));
        });
    };
    subscribe("a");
    subscribe("b");
    let queue = list.queue(OPEN.with_id(SubscriptionId::from_raw(9).unwrap()), Overflow::Unbounded).unwrap();
    subscribe("c");
    list.publish(&tally.live(1), OPEN, WHEN);
    assert_eq!(log.take(), ["a 1 true", "b 1 true", "c 1 true"]);
    drop(queue);
}

#[test]
fn an_id_is_unique_in_its_list_and_finds_its_subscription() {
    let (list, other) = (SubscriptionList::<Door>::new(), SubscriptionList::<Door>::new());
    let id = event_id("tests", "one").unwrap();
    let first = list.subscribe(OPEN.with_id(id), |_| ()).unwrap();
    assert_eq!(list.subscribe(SHUT.with_id(id), |_| ()).unwrap_err(), Error::DuplicateId(id));
    assert_eq!(list.queue(OPEN.with_id(id), Overflow::Unbounded).unwrap_err(), Error::DuplicateId(id));
    assert!(other.subscribe(OPEN.with_id(id), |_| ()).is_ok());
    assert_eq!(list.lookup(id), Some(first.clone()));
    assert!(list.pause(id) && first.is_paused());
    assert!(list.resume(id) && !first.is_paused());
    assert_eq!(list.resubscribe(id, SHUT), Ok(()));
    assert_eq!(first.subtypes(), SHUT);
    assert!(list.unsubscribe(id));
    assert!(!list.unsubscribe(id) && !list.pause(id) && !list.resume(id));
    assert_eq!(list.resubscribe(id, OPEN), Err(Error::Ended));
    assert!(list.subscribe(OPEN.with_id(id), |_| ()).is_ok(), "the id is free again");
}

#[test]
fn a_handle_outlives_its_subscription() {
    let list = SubscriptionList::<Door>::new();
    let subscription = list.subscribe(OPEN, |_| ()).unwrap();
    assert!(subscription.unsubscribe());
    assert!(!subscription.unsubscribe() && !subscription.pause() && !subscription.resume());
    assert_eq!(subscription.subtypes(), Subtypes::NONE);
    assert_eq!(subscription.resubscribe(SHUT), Err(Error::Ended));
    assert!(subscription.is_ended());
}

#[test]
fn captures_are_dropped_once_when_nothing_reaches_them() {
    let list = SubscriptionList::<Door>::new();
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    let subscription = list
        .subscribe(OPEN, move |_| {
            let _ = &inner;
        })
        .unwrap();
    let second = subscription.clone();
    subscription.unsubscribe();
    drop(subscription);
    assert_eq!(Arc::strong_count(&held), 2, "a handle is left");
    drop(second);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_refused_subscription_drops_its_handler() {
    let (list, held) = (SubscriptionList::<Door>::new(), Arc::new(()));
    list.close();
    list.close();
    let inner = Arc::clone(&held);
    let refused = list.subscribe(OPEN, move |_| {
        let _ = &inner;
    });
    assert_eq!(refused.unwrap_err(), Error::Closed);
    assert_eq!(list.subscribe(Subtypes::NONE, |_| ()).unwrap_err(), Error::NoSubtypes);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn resubscribing_changes_what_is_heard_from_then_on() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    let mut queue = list.queue(OPEN, Overflow::Unbounded).unwrap();
    queue.subscription().resubscribe(SHUT | LOCK).unwrap();
    for (number, subtype) in [(1, OPEN), (2, SHUT), (3, LOCK)] {
        list.publish(&tally.live(number), subtype, WHEN);
    }
    assert_eq!(drain(&mut queue), ["2", "3"]);
    assert_eq!(queue.subscription().resubscribe(Subtypes::NONE), Err(Error::NoSubtypes));
}

#[test]
fn a_paused_handler_hears_afterwards_how_much_it_missed() {
    let (list, tally, log) = (SubscriptionList::<Door>::new(), Tally::default(), Log::default());
    let entries = log.clone();
    let subscription = list
        .subscribe(OPEN, move |event| entries.add(format!("{} {}", event.live.number, event.lost)))
        .unwrap();
    let publish = |number| list.publish(&tally.live(number), OPEN, WHEN);
    publish(1);
    subscription.pause();
    subscription.pause();
    (2..=4).for_each(|number| assert_eq!(publish(number).lost, 1));
    subscription.resume();
    publish(5);
    publish(6);
    assert_eq!(log.take(), ["1 0", "5 3", "6 0"]);
    assert_eq!(subscription.lost(), 3);
}

#[test]
fn a_panicking_handler_does_not_keep_the_event_from_the_others() {
    let (list, tally, log) = (SubscriptionList::<Door>::new(), Tally::default(), Log::default());
    let entries = log.clone();
    let bad = list.subscribe(OPEN, |_| std::panic::resume_unwind(Box::new("bad"))).unwrap();
    let worse = list.subscribe(OPEN, |_| std::panic::resume_unwind(Box::new("worse"))).unwrap();
    let _good = list.subscribe(OPEN, move |event| entries.add(event.live.number.to_string()));
    let published = catch_unwind(AssertUnwindSafe(|| list.publish(&tally.live(1), OPEN, WHEN)));
    assert_eq!(published.unwrap_err().downcast_ref(), Some(&"bad"));
    assert_eq!(log.take(), ["1"]);
    assert!(bad.unsubscribe() && worse.unsubscribe(), "does not wait for ever");
    assert_eq!(list.publish(&tally.live(2), OPEN, WHEN).called, 1);
}

#[test]
fn names_are_read_and_printed() {
    let names = Names::of::<Door>();
    assert_eq!(names.parse("DOOR_OPEN | DOOR_LOCK"), Ok(OPEN | LOCK));
    assert_eq!(names.parse("DOOR"), Ok(Subtypes::ALL));
    for wrong in ["", "DOOR_", "door_open", "DOOR_OPEN|", "NONE"] {
        assert!(matches!(names.parse(wrong), Err(Error::UnknownName(_))), "{wrong}");
    }
    let shown = |subtypes| names.show(subtypes).to_string();
    assert_eq!(shown(LOCK | OPEN), "DOOR_OPEN|DOOR_LOCK");
    assert_eq!(shown(Subtypes::ALL), "DOOR");
    assert_eq!(shown(Subtypes::NONE), "0x0");
    assert_eq!(shown(OPEN | Subtypes::bit(5)), "DOOR_OPEN|0x10");
}

#[test]
fn names_of_two_families_do_not_mix() {
    const ROOF: Names = Names { family: "ROOF", subtypes: &[("ROOF_LEAK", Subtypes::bit(1))] };
    let families = [Names::of::<Door>(), ROOF];
    assert_eq!(resolve(&families, ["DOOR_SHUT", "DOOR_OPEN"]), Ok((0, OPEN | SHUT)));
    assert_eq!(resolve(&families, ["ROOF"]), Ok((1, Subtypes::ALL)));
    let mixed = resolve(&families, ["DOOR_SHUT", "ROOF_LEAK"]).unwrap_err();
    assert_eq!(
        mixed.to_string(),
        "'ROOF_LEAK' does not belong to the 'DOOR' family of the other event types"
    );
    assert_eq!(resolve(&families, ["NONE"]).unwrap_err().to_string(), "'NONE' event type is unknown");
    assert_eq!(resolve(&families, []), Err(Error::NoSubtypes));
}

/// An event whose snapshot fails, and one that is large.
struct Odd;

impl event_hdl::Family for Odd {
    type Live<'a> = bool;
    type Snapshot = [u8; 4096];
    const NAME: &'static str = "ODD";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[("ODD_ONE", Subtypes::bit(1))];
    fn snapshot(fails: &bool) -> [u8; 4096] {
        assert!(!fails, "no snapshot");
        [7; 4096]
    }
}

#[test]
fn a_publication_that_fails_has_reached_nobody() {
    let list = SubscriptionList::<Odd>::new();
    let log = Log::default();
    let entries = log.clone();
    let mut queues = [0; 3].map(|_| list.queue(Subtypes::ALL, Overflow::Unbounded).unwrap());
    let _handler = list.subscribe(Subtypes::ALL, move |_| entries.add("called"));
    let failed = catch_unwind(AssertUnwindSafe(|| list.publish(&true, Subtypes::bit(1), WHEN)));
    assert!(failed.is_err());
    assert!(queues.iter_mut().all(|queue| queue.try_pop().is_none()) && log.take().is_empty());
    assert_eq!(list.publish(&false, Subtypes::bit(1), WHEN).queued, 3, "the list goes on");
}

#[test]
fn a_payload_takes_its_own_size_and_has_no_limit() {
    let list = SubscriptionList::<Odd>::new();
    let mut queue = list.queue(Subtypes::ALL, Overflow::Unbounded).unwrap();
    list.publish(&false, Subtypes::bit(1), WHEN);
    assert!(queue.try_pop().unwrap().event().unwrap().data.iter().all(|byte| *byte == 7));
    assert!(size_of::<event_hdl::QueuedEvent<Odd>>() < 4096 + 64);
    assert!(size_of::<event_hdl::QueuedEvent<Door>>() <= 48);
    assert!(size_of::<event_hdl::Item<Door>>() <= 16);
}

#[test]
fn a_family_has_one_process_wide_list() {
    struct Elsewhere;
    impl event_hdl::Family for Elsewhere {
        type Live<'a> = ();
        type Snapshot = ();
        const NAME: &'static str = "ELSEWHERE";
        const SUBTYPES: &'static [(&'static str, Subtypes)] = &[];
        fn snapshot((): &()) {}
    }
    let (list, tally) = (SubscriptionList::<Door>::global(), Tally::default());
    let _handler = list.subscribe(OPEN, |_| ());
    assert_eq!(SubscriptionList::<Door>::global().publish(&tally.live(1), OPEN, WHEN).called, 1);
    assert!(SubscriptionList::<Elsewhere>::global().is_empty());
    assert!(SubscriptionList::<Door>::new().is_empty());
    list.close();
    assert_eq!(SubscriptionList::<Door>::global().subscribe(OPEN, |_| ()).unwrap_err(), Error::Closed);
}

#[test]
fn a_subscription_says_where_it_was_made() {
    let list = SubscriptionList::<Door>::new();
    let line = line!() + 1;
    let plain = list.subscribe(OPEN, |_| ()).unwrap();
    let exclusive = list.subscribe_exclusive(OPEN, |_| ()).unwrap();
    let queue = list.queue(OPEN, Overflow::LUA).unwrap();
    let origins = [&plain, &exclusive, queue.subscription()].map(event_hdl::Subscription::origin);
    assert!(origins.iter().all(|origin| origin.file().ends_with("lists.rs")));
    assert_eq!(origins.map(|origin| origin.line()), [line, line + 1, line + 2]);
}

#[test]
fn a_soft_stop_knows_which_readers_have_not_had_their_end() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    let mut queues = [0; 2].map(|_| list.queue(OPEN, Overflow::Unbounded).unwrap());
    let third = list.queue(OPEN, Overflow::Unbounded).unwrap();
    list.publish(&tally.live(1), OPEN, WHEN);
    assert_eq!(list.unfinished_queues(), 3);
    drop(third);
    assert_eq!(list.unfinished_queues(), 2);
    list.close();
    assert_eq!((list.unfinished_queues(), list.len()), (2, 0));
    queues.iter_mut().for_each(|queue| assert_eq!(drain(queue), ["1", "end"]));
    assert_eq!(list.unfinished_queues(), 0);
}

#[test]
fn a_refused_queue_leaves_nothing_behind() {
    let (list, id) = (SubscriptionList::<Door>::new(), event_id("tests", "taken"));
    let _first = list.subscribe(OPEN.with_id(id.unwrap()), |_| ());
    for _ in 0..3 {
        assert!(list.queue(OPEN.with_id(id.unwrap()), Overflow::LUA).is_err());
    }
    assert_eq!((list.unfinished_queues(), list.len()), (0, 1));
    let mut queue = list.queue(OPEN, Overflow::Unbounded).unwrap();
    list.publish(&Tally::default().live(3), OPEN, WHEN);
    assert_eq!(drain(&mut queue), ["3"]);
}

#[test]
fn order_survives_any_coming_and_going() {
    let (list, tally, log) = (SubscriptionList::<Door>::new(), Tally::default(), Log::default());
    let mut expected: Vec<(String, event_hdl::Subscription<Door>)> = Vec::new();
    for round in 0_usize..400 {
        let (name, entries) = (round.to_string(), log.clone());
        let entry = name.clone();
        expected.push((name, list.subscribe(OPEN, move |_| entries.add(entry.clone())).unwrap()));
        if round % 3 != 0 {
            let leaving = expected.remove(round * 7 % expected.len());
            assert!(leaving.1.unsubscribe());
        }
        if round % 10 == 0 {
            list.publish(&tally.live(1), OPEN, WHEN);
            assert_eq!(log.take(), expected.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        }
    }
    assert_eq!(list.len(), expected.len());
}
