//! Queues: bounds, what is told of losses, END, readers.

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use event_hdl::{EventQueue, Overflow, SubscriptionList};
use futures_core::Stream;
use support::{Door, Log, OPEN, Tally, WHEN, drain, words};

struct World {
    list: SubscriptionList<Door>,
    tally: Tally,
    queue: EventQueue<Door>,
}

impl World {
    fn new(overflow: Overflow) -> Self {
        let list = SubscriptionList::new();
        let queue = list.queue(OPEN, overflow).unwrap();
        Self { list, tally: Tally::default(), queue }
    }
    fn publish(&self, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|n| {
            self.list.publish(&self.tally.live(n), OPEN, WHEN);
        });
    }
    fn drain(&mut self) -> Vec<String> {
        drain(&mut self.queue)
    }
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn each_policy_says_what_it_lost_where_it_lost_it() {
    // Publish 1..=5, read one item, publish 6 and 7, read all, publish 8, read all, end, read all.
    let cases: &[(Overflow, &[&str], u64)] = &[
        (Overflow::Unbounded, &["1", "2", "3", "4", "5", "6", "7", "|", "8", "|", "end"], 0),
        (Overflow::Pause { above: 3 }, &["1", "2", "3", "lost 4", "|", "8", "|", "end"], 4),
        (Overflow::DropNewest { max: 3 }, &["1", "2", "3", "lost 2", "6", "lost 1", "|", "8", "|", "end"], 3),
        (Overflow::DropOldest { max: 3 }, &["lost 2", "lost 2", "5", "6", "7", "|", "8", "|", "end"], 4),
        (Overflow::DropNewest { max: 0 }, &["lost 5", "lost 2", "|", "lost 1", "|", "end"], 8),
        (Overflow::DropOldest { max: 0 }, &["lost 5", "lost 2", "|", "lost 1", "|", "end"], 8),
        (Overflow::Pause { above: 0 }, &["lost 5", "lost 2", "|", "lost 1", "|", "end"], 8),
    ];
    for (overflow, expected, lost) in cases {
        let mut world = World::new(*overflow);
        world.publish(1..=5);
        let mut heard = vec![words(&world.queue.try_pop().unwrap())];
        world.publish(6..=7);
        heard.extend(world.drain());
        heard.push("|".into());
        world.publish([8]);
        heard.extend(world.drain());
        heard.push("|".into());
        world.queue.subscription().unsubscribe();
        world.publish([9]);
        heard.extend(world.drain());
        assert_eq!(heard, *expected, "{overflow:?}");
        assert_eq!(world.queue.subscription().lost(), *lost, "{overflow:?}");
        assert_eq!(world.tally.alive(), 0);
    }
}

#[test]
fn a_queue_paused_by_its_bound_resumes_only_when_drained() {
    let mut world = World::new(Overflow::LUA);
    world.publish(1..=100);
    assert!(!world.queue.is_throttled());
    world.publish([101]);
    assert!(world.queue.is_throttled());
    assert_eq!(world.queue.len(), 100);
    for _ in 0..100 {
        world.queue.try_pop();
        world.publish([0]);
    }
    assert!(world.queue.is_throttled());
    assert_eq!(world.drain(), ["lost 101"]);
    assert!(!world.queue.is_throttled());
    world.publish([7]);
    assert_eq!(world.drain(), ["7"]);
}

#[test]
fn a_thousand_events_at_once_never_hold_more_than_the_bound() {
    let mut world = World::new(Overflow::LUA);
    world.publish(1..=1000);
    assert_eq!((world.queue.len(), world.tally.alive()), (100, 100));
    let heard = world.drain();
    assert_eq!((heard.len(), heard.last().unwrap().as_str()), (101, "lost 900"));
}

#[test]
fn what_is_queued_before_a_pause_is_delivered_and_the_pause_is_counted() {
    let mut world = World::new(Overflow::Unbounded);
    world.publish(1..=5);
    world.queue.subscription().pause();
    world.publish(6..=10);
    assert_eq!(world.drain(), ["1", "2", "3", "4", "5"]);
    world.queue.subscription().resume();
    world.publish([11]);
    assert_eq!(world.drain(), ["lost 5", "11"]);
}

#[test]
fn end_comes_last_once_and_always() {
    type Finish = fn(&mut World);
    let cases: &[(Finish, &[&str])] = &[
        (
            |w| {
                w.queue.subscription().unsubscribe();
            },
            &["1", "2", "end"],
        ),
        (
            |w| {
                w.queue.subscription().unsubscribe_discarding();
            },
            &["lost 2", "end"],
        ),
        (|w| w.list.close(), &["1", "2", "end"]),
        (|w| w.list = SubscriptionList::new(), &["1", "2", "end"]),
        (
            |w| {
                w.queue.subscription().pause();
                w.publish([3]);
                w.queue.subscription().unsubscribe();
            },
            &["1", "2", "lost 1", "end"],
        ),
        (
            |w| {
                w.queue.subscription().unsubscribe();
                w.queue.subscription().unsubscribe_discarding();
            },
            &["lost 2", "end"],
        ),
    ];
    for (number, (finish, expected)) in cases.iter().enumerate() {
        let mut world = World::new(Overflow::Unbounded);
        world.publish(1..=2);
        finish(&mut world);
        world.publish([9]);
        assert_eq!(world.drain(), *expected, "case {number}");
        assert_eq!(world.drain(), [""; 0], "case {number}: nothing after END");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(world.queue.poll_pop(&mut cx), Poll::Ready(None)));
    }
}

#[test]
fn dropping_the_reader_ends_the_subscription_and_frees_what_waits() {
    let world = World::new(Overflow::Unbounded);
    world.publish(1..=5);
    let subscription = world.queue.subscription().clone();
    drop(world.queue);
    assert!(subscription.is_ended() && world.list.is_empty());
    assert_eq!((world.tally.alive(), subscription.lost()), (0, 5));
}

#[test]
fn a_waiting_reader_is_woken_once_for_events_and_for_the_end() {
    let mut world = World::new(Overflow::Unbounded);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut poll = |world: &mut World| match pin!(&mut world.queue).poll_next(&mut cx) {
        Poll::Ready(item) => item.map_or("none".to_owned(), |item| words(&item)),
        Poll::Pending => "pending".to_owned(),
    };
    assert_eq!(poll(&mut world), "pending");
    world.publish(1..=2);
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    assert_eq!([poll(&mut world), poll(&mut world), poll(&mut world)], ["1", "2", "pending"]);
    world.list.close();
    assert_eq!(bell.0.load(Ordering::SeqCst), 2);
    assert_eq!([poll(&mut world), poll(&mut world)], ["end", "none"]);
}

#[test]
fn a_reader_waiting_through_a_pause_is_woken_at_its_end() {
    let mut world = World::new(Overflow::Unbounded);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    world.queue.subscription().pause();
    assert!(world.queue.poll_pop(&mut Context::from_waker(&waker)).is_pending());
    world.publish(1..=3);
    assert!(world.queue.poll_pop(&mut Context::from_waker(&waker)).is_pending());
    world.queue.subscription().resume();
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    assert_eq!(world.drain(), ["lost 3"]);
}

#[test]
fn batches_and_peeks_see_the_same_queue() {
    let mut world = World::new(Overflow::DropOldest { max: 3 });
    world.publish(1..=5);
    assert_eq!(world.queue.peek().unwrap().data.number, 3);
    let mut batch = Vec::new();
    assert_eq!(world.queue.pop_batch(2, &mut batch), 2);
    assert_eq!(world.queue.len(), 2);
    assert_eq!(world.queue.pop_batch(10, &mut batch), 2);
    assert_eq!(batch.iter().map(words).collect::<Vec<_>>(), ["lost 2", "3", "4", "5"]);
    assert!(world.queue.is_empty());
}

#[test]
fn for_each_neither_hogs_nor_loses_the_tail() {
    let world = World::new(Overflow::Unbounded);
    world.publish(1..=250);
    world.list.close();
    let log = Log::default();
    let entries = log.clone();
    let mut future = pin!(world.queue.for_each(100, move |item, _| entries.add(words(&item))));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut polls = Vec::new();
    while future.as_mut().poll(&mut cx).is_pending() {
        assert_eq!(bell.0.swap(0, Ordering::SeqCst), 1, "it wakes itself");
        polls.push(log.take().len());
    }
    polls.push(log.take().len());
    assert_eq!(polls, [100, 100, 51]);
}

#[test]
fn for_each_ends_early_on_request_when_discarding() {
    let world = World::new(Overflow::Unbounded);
    world.publish(1..=10);
    let log = Log::default();
    let entries = log.clone();
    let mut future = pin!(world.queue.for_each(100, move |item, subscription| {
        entries.add(words(&item));
        subscription.unsubscribe_discarding();
    }));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(log.take(), ["1", "lost 9", "end"]);
}

#[test]
fn a_batch_that_is_read_in_place_is_whole_and_is_let_go() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    let mut queues = [0; 3].map(|_| list.queue(OPEN, Overflow::DropNewest { max: 4 }).unwrap());
    for number in 0..6 {
        list.publish(&tally.live(number), OPEN, WHEN);
    }
    let mut kept = Vec::new();
    for queue in &mut queues {
        let mut seen = Vec::new();
        let count = queue.read_batch(3, |item| {
            seen.push(words(item));
            kept.extend(item.event().filter(|event| event.data.number == 1).cloned());
        });
        assert_eq!((count, seen.join(" ")), (3, "0 1 2".to_owned()));
    }
    assert_eq!(tally.alive(), 2, "one that was kept, and one that waits");
    assert!(kept.iter().all(|event| event.data.number == 1));
    drop(kept);
    list.close();
    for queue in &mut queues {
        let mut seen = Vec::new();
        assert_eq!(queue.read_batch(9, |item| seen.push(words(item))), 3);
        assert_eq!(seen, ["3", "lost 2", "end"]);
        assert_eq!(queue.read_batch(9, |_| ()), 0);
    }
    assert_eq!(tally.alive(), 0);
}

#[test]
fn what_a_panicking_reader_has_not_seen_is_lost_and_told() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    let mut queue = list.queue(OPEN, Overflow::Unbounded).unwrap();
    for number in 0..5 {
        list.publish(&tally.live(number), OPEN, WHEN);
    }
    let mut seen = 0;
    let read = std::panic::AssertUnwindSafe(|| {
        queue.read_batch(4, |_| {
            seen += 1;
            assert!(seen < 2, "one is enough");
        })
    });
    assert!(std::panic::catch_unwind(read).is_err());
    assert_eq!(drain(&mut queue), ["lost 2", "4"]);
    assert_eq!((tally.alive(), queue.subscription().lost()), (0, 2));
}

#[test]
fn a_reader_that_stands_still_keeps_no_more_than_its_own() {
    let (list, tally) = (SubscriptionList::<Door>::new(), Tally::default());
    let mut still = list.queue(OPEN, Overflow::DropNewest { max: 1 }).unwrap();
    let mut quick = list.queue(OPEN, Overflow::Unbounded).unwrap();
    for number in 0..10_000 {
        list.publish(&tally.live(number), OPEN, WHEN);
        assert_eq!(drain(&mut quick), [number.to_string()]);
        assert_eq!(tally.alive(), 1);
    }
    list.publish(&tally.live(10_000), OPEN, WHEN);
    assert_eq!(drain(&mut still), ["0", "lost 10000"]);
    list.publish(&tally.live(10_001), OPEN, WHEN);
    assert_eq!((drain(&mut still), drain(&mut quick).len()), (vec!["10001".to_owned()], 2));
}
