//! Asynchronous handlers: where they run, how long, and what they are told.

mod support;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use event_hdl::host::Spawn;
use event_hdl::{Feed, Item, Overflow, SubscriptionList};
use support::{Door, Log, OPEN, Tally, WHEN, words};

type Here = Pin<Box<dyn Future<Output = ()>>>;
type Anywhere = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// What each thread has to run.
    static RUNS: RefCell<VecDeque<Arc<Job>>> = RefCell::default();
}

/// A task that runs on the thread that wakes it.
struct Job(Mutex<Option<Anywhere>>);

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        RUNS.with(|runs| runs.borrow_mut().push_back(self));
    }
}

/// Runs what was woken on this thread.
fn run() {
    while let Some(job) = RUNS.with(|runs| runs.borrow_mut().pop_front()) {
        let waker = Waker::from(Arc::clone(&job));
        let mut task = job.0.lock().unwrap();
        if task.as_mut().is_some_and(|task| task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()) {
            *task = None;
        }
    }
}

/// A host whose bound tasks are polled by [`Host::run_here`] and whose others run where they are woken.
#[derive(Default)]
struct Host(Rc<RefCell<Vec<Here>>>);

impl Host {
    /// Polls the tasks once; says how many are left.
    fn run_here(&self) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        self.0.borrow_mut().retain_mut(|task| matches!(task.as_mut().poll(&mut cx), Poll::Pending));
        self.0.borrow().len()
    }
}

impl Spawn for Host {
    fn spawn_here(&self, task: Here) {
        self.0.borrow_mut().push(task);
    }
    fn spawn_anywhere(&self, task: Anywhere) {
        Arc::new(Job(Mutex::new(Some(task)))).wake();
        run();
    }
}

fn publish(list: &SubscriptionList<Door>, numbers: impl IntoIterator<Item = u64>) {
    let tally = Tally::default();
    numbers.into_iter().for_each(|n| {
        list.publish(&tally.live(n), OPEN, WHEN);
    });
}

#[test]
fn a_handler_subscribed_here_runs_here_and_one_subscribed_anywhere_on_the_publishers_thread() {
    let (list, host) = (SubscriptionList::<Door>::new(), Host::default());
    let seen: Arc<Mutex<Vec<(&str, ThreadId)>>> = Arc::default();
    let (bound, free) = (Arc::clone(&seen), Arc::clone(&seen));
    let note = move |name, item: &Item<Door>, seen: &Mutex<Vec<_>>| {
        item.event().iter().for_each(|_| seen.lock().unwrap().push((name, thread::current().id())));
    };
    let _here = list.subscribe_here(&host, OPEN, Feed::default(), move |item, _| note("here", &item, &bound));
    let _any =
        list.subscribe_anywhere(&host, OPEN, Feed::default(), move |item, _| note("any", &item, &free));
    host.run_here();
    let publisher = thread::scope(|s| {
        let publisher = s.spawn(|| {
            publish(&list, [1]);
            run();
            thread::current().id()
        });
        publisher.join().unwrap()
    });
    host.run_here();
    assert_eq!(*seen.lock().unwrap(), [("any", publisher), ("here", thread::current().id())]);
}

#[test]
fn all_of_250_events_at_once_and_the_end_are_handled_a_hundred_a_turn() {
    let (list, host, log) = (SubscriptionList::<Door>::new(), Host::default(), Log::default());
    let entries = log.clone();
    let handler = list.subscribe_here(&host, OPEN, Feed::default(), move |item, _| entries.add(words(&item)));
    publish(&list, 1..=250);
    assert!(handler.unwrap().unsubscribe());
    assert_eq!(list.unfinished_queues(), 1);
    assert_eq!([host.run_here(), log.take().len()], [1, 100]);
    assert_eq!([host.run_here(), log.take().len()], [1, 100]);
    assert_eq!(host.run_here(), 0);
    let rest = log.take();
    assert_eq!((rest.len(), rest.last().unwrap().as_str()), (51, "end"));
    assert_eq!(list.unfinished_queues(), 0);
}

#[test]
fn unsubscribing_inside_delivers_what_waits_or_discards_it() {
    for (discard, expected) in [(false, vec!["1", "2", "3", "end"]), (true, vec!["1", "lost 2", "end"])] {
        let (list, host, log) = (SubscriptionList::<Door>::new(), Host::default(), Log::default());
        let entries = log.clone();
        let handler = list.subscribe_here(&host, OPEN, Feed::default(), move |item, subscription| {
            entries.add(words(&item));
            if discard {
                subscription.unsubscribe_discarding()
            } else {
                subscription.unsubscribe()
            };
        });
        publish(&list, 1..=3);
        host.run_here();
        publish(&list, [4]);
        host.run_here();
        assert_eq!(log.take(), expected);
        assert!(handler.unwrap().is_ended());
    }
}

#[test]
fn captures_go_once_after_the_end_has_been_handled() {
    let (list, host, held) = (SubscriptionList::<Door>::new(), Host::default(), Arc::new(()));
    let inner = Arc::clone(&held);
    let handler = list.subscribe_here(&host, OPEN, Feed::default(), move |_, _| drop(Arc::clone(&inner)));
    publish(&list, [1]);
    list.close();
    assert_eq!(Arc::strong_count(&held), 2, "the end has not been handled");
    assert_eq!(host.run_here(), 0);
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(handler.unwrap().is_ended());
}

#[test]
fn a_bounded_handler_hears_how_many_it_missed() {
    let (list, host, log) = (SubscriptionList::<Door>::new(), Host::default(), Log::default());
    let (entries, feed) = (log.clone(), Feed { overflow: Overflow::LUA, ..Feed::default() });
    let _handler = list.subscribe_here(&host, OPEN, feed, move |item, _| entries.add(words(&item)));
    publish(&list, 1..=150);
    host.run_here();
    host.run_here();
    publish(&list, [151]);
    host.run_here();
    assert_eq!(log.take()[99..], ["100", "lost 50", "151"]);
}

#[test]
fn a_task_that_its_host_drops_ends_its_subscription() {
    let (list, host) = (SubscriptionList::<Door>::new(), Host::default());
    let handler = list.subscribe_here(&host, OPEN, Feed::default(), |_, _| ()).unwrap();
    host.0.borrow_mut().clear();
    assert!(handler.is_ended() && list.is_empty());
    assert_eq!(list.unfinished_queues(), 0);
}

#[test]
fn a_handler_may_do_everything_to_its_list() {
    let (list, host, log) = (SubscriptionList::<Door>::new(), Host::default(), Log::default());
    let (inner, entries) = (list.clone(), log.clone());
    let _handler = list.subscribe_here(&host, OPEN, Feed::default(), move |item, subscription| {
        entries.add(words(&item));
        if entries.len() == 1 {
            publish(&inner, [7]);
            subscription.pause();
            publish(&inner, [8]);
            subscription.resume();
            drop(inner.subscribe(OPEN, |_| ()));
            inner.close();
        }
    });
    publish(&list, [1]);
    assert_eq!(host.run_here(), 0);
    assert_eq!(log.take(), ["1", "7", "lost 1", "end"]);
}
