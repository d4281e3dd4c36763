//! The queue against a model: limits hold, nobody is forgotten, whatever comes and goes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use crate::{
    backend::{
        assign::{Assign, AssignError, Slot},
        lb::{Balance, Choice},
        queue::{Line, Outcome, Priority, Ticket},
        server::{AdminRequest, OpCause, OpState},
        testing::{Recorder, backend, server, start},
    },
    config::Proxy,
};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

struct Request {
    assign: Assign,
    woken: Arc<Count>,
    hash: Option<u32>,
    place: (Priority, Instant),
}

impl Request {
    fn new(proxy: &Arc<Proxy>, hash: Option<u32>) -> Self {
        Self {
            assign: Assign::new(proxy),
            woken: Arc::default(),
            hash,
            place: (Priority::default(), start()),
        }
    }

    fn poll(&mut self) -> Poll<Result<Slot, AssignError>> {
        let waker = Waker::from(self.woken.clone());
        let choice = Choice { hash: self.hash, random: 0 };
        self.assign.poll_choice(choice, || self.place, &mut Context::from_waker(&waker))
    }

    fn was_woken(&self) -> bool {
        self.woken.0.swap(0, Relaxed) > 0
    }
}

fn limited(limits: &[usize]) -> Arc<Proxy> {
    let servers = ('a'..)
        .zip(limits)
        .map(|(name, limit)| {
            let mut config = server(&name.to_string());
            config.maxconn = *limit;
            config
        })
        .collect();
    Arc::new(backend(Balance::RoundRobin, servers))
}

fn taken(poll: Poll<Result<Slot, AssignError>>) -> Slot {
    match poll {
        Poll::Ready(Ok(slot)) => slot,
        Poll::Ready(Err(error)) => panic!("a slot was expected, not {error}"),
        Poll::Pending => panic!("a slot was expected"),
    }
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let proxy = limited(&[1]);
    let held = taken(Request::new(&proxy, None).poll());
    let mut waiters: Vec<Request> = (0..3).map(|_| Request::new(&proxy, None)).collect();
    for (ahead, waiter) in (0..).zip(&mut waiters) {
        assert!(waiter.poll().is_pending());
        assert_eq!(waiter.assign.queued_before(), (0, ahead));
    }
    assert_eq!(proxy.state.queued.cur(), 3);
    let mut held = Some(held);
    for next in 0..3 {
        drop(held.take());
        let woken: Vec<bool> = waiters.iter().map(Request::was_woken).collect();
        assert_eq!(woken.iter().position(|w| *w), Some(next));
        assert_eq!(woken.iter().filter(|w| **w).count(), 1);
        held = Some(taken(waiters[next].poll()));
    }
    assert_eq!((proxy.state.queued.cur(), proxy.state.waiting()), (0, 0));
}

/// Who waits, as (class, offset in ms, came after ms), is served in which order.
#[test]
fn classes_come_first_then_arrival_moved_by_the_offset() {
    for (waiting, order) in [
        ([(0, 0, 0), (0, 0, 1), (0, 0, 2)], [0, 1, 2]),
        ([(0, 0, 0), (-1, 0, 1), (1, 0, 2)], [1, 0, 2]),
        ([(0, 500, 0), (0, 0, 100), (0, -200, 150)], [2, 1, 0]),
        ([(5, -524_287, 0), (4, 524_287, 1), (-2047, 0, 2)], [2, 1, 0]),
        // What is out of range is cut, so these are alike and the one that came first is first.
        ([(9000, 0, 0), (2047, 0, 1), (0, 0, 2)], [2, 0, 1]),
        ([(0, -900_000, 1), (0, -524_287, 0), (0, 900_000, 0)], [1, 0, 2]),
    ] {
        let proxy = limited(&[1]);
        let mut held = Some(taken(Request::new(&proxy, None).poll()));
        let begin = start();
        let mut waiters: Vec<Request> = waiting
            .iter()
            .map(|(class, offset, after)| {
                let mut waiter = Request::new(&proxy, None);
                waiter.place.0.set_class(*class);
                waiter.place.0.set_offset(*offset);
                waiter.place.1 = begin + Duration::from_millis(*after);
                assert!(waiter.poll().is_pending());
                waiter
            })
            .collect();
        let served = [(); 3].map(|()| {
            drop(held.take());
            let next = waiters.iter().position(Request::was_woken).expect("somebody is next");
            held = Some(taken(waiters[next].poll()));
            next
        });
        assert_eq!(served, order, "{waiting:?}");
    }
}

#[test]
fn the_lowest_rank_of_the_servers_and_the_backends_line_is_next() {
    let servers = ["a", "b"].map(|n| crate::config::ServerConfig { maxconn: 1, ..server(n) }).to_vec();
    let proxy = Arc::new(backend(Balance::Source, servers));
    let held = taken(Request::new(&proxy, Some(0)).poll());
    let now = start();
    let waiter = |line, class| {
        let mut priority = Priority::default();
        priority.set_class(class);
        Ticket::draw(&proxy, line, priority, now, Waker::noop())
    };
    let (mut any, mut urgent) = (waiter(Line::Backend, 0), waiter(Line::Server(0), -1));
    let cx = Context::from_waker(Waker::noop());
    // The other server is free, so the first is served by it at once.
    assert_eq!(any.poll(&cx), Poll::Ready(Outcome::Slot(1)));
    let mut late = waiter(Line::Backend, 0);
    drop(held);
    assert!(late.poll(&cx).is_pending());
    assert_eq!(urgent.poll(&cx), Poll::Ready(Outcome::Slot(0)));
    drop(late);
    super::give_back(&proxy, 0);
    super::give_back(&proxy, 1);
    assert_eq!(proxy.state.waiting(), 0);
}

#[test]
fn a_waiter_that_dies_with_a_slot_in_its_name_passes_it_on() {
    let proxy = limited(&[1]);
    let held = taken(Request::new(&proxy, None).poll());
    let mut first = Request::new(&proxy, None);
    let mut second = Request::new(&proxy, None);
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    drop(held);
    assert!(first.was_woken());
    drop(first);
    assert!(second.was_woken());
    drop(taken(second.poll()));
    assert_eq!(proxy.servers[0].served(), 0);
}

#[test]
fn newcomers_do_not_pass_those_who_wait() {
    let proxy = limited(&[1]);
    let held = taken(Request::new(&proxy, None).poll());
    let mut first = Request::new(&proxy, None);
    assert!(first.poll().is_pending());
    drop(held);
    let mut late = Request::new(&proxy, None);
    assert!(late.poll().is_pending());
    drop(taken(first.poll()));
    drop(taken(late.poll()));
}

#[test]
fn a_returning_server_serves_the_queue_at_once() {
    let proxy = limited(&[1, 1]);
    let told = Recorder::default();
    let cx = told.context(&proxy, start());
    proxy.servers[1].set_health(OpState::Stopped, OpCause::None, &cx);
    let _held = taken(Request::new(&proxy, None).poll());
    let mut waiter = Request::new(&proxy, None);
    assert!(waiter.poll().is_pending());
    proxy.servers[1].set_health(OpState::Running, OpCause::None, &cx);
    assert!(waiter.was_woken());
    assert_eq!(taken(waiter.poll()).server().name(), "b");
}

#[test]
fn a_server_that_leaves_sends_its_queue_elsewhere() {
    let proxy = Arc::new(backend(
        Balance::Source,
        ["a", "b"].map(|n| crate::config::ServerConfig { maxconn: 1, ..server(n) }).to_vec(),
    ));
    let told = Recorder::default();
    let _held = taken(Request::new(&proxy, Some(0)).poll());
    let mut waiter = Request::new(&proxy, Some(0));
    assert!(waiter.poll().is_pending());
    assert_eq!(proxy.servers[0].queued.cur(), 1);
    proxy.servers[0].set_admin(AdminRequest::Maint, Default::default(), &told.context(&proxy, start()));
    assert!(told.take().contains("RUNNING->STOPPED administrative None requeued=1"));
    assert!(waiter.was_woken());
    assert_eq!(taken(waiter.poll()).server().name(), "b");
}

#[test]
fn no_server_is_an_answer_not_a_wait() {
    let proxy = limited(&[1]);
    let told = Recorder::default();
    proxy.servers[0].set_admin(AdminRequest::Drain, Default::default(), &told.context(&proxy, start()));
    assert!(matches!(Request::new(&proxy, None).poll(), Poll::Ready(Err(AssignError::NoServer))));
}

#[test]
fn a_raised_limit_serves_the_queue() {
    let proxy = limited(&[1]);
    let told = Recorder::default();
    let _held = taken(Request::new(&proxy, None).poll());
    let mut waiter = Request::new(&proxy, None);
    assert!(waiter.poll().is_pending());
    proxy.servers[0].set_maxconn(2, &told.context(&proxy, start()));
    assert!(waiter.was_woken());
    let _second = taken(waiter.poll());
    assert_eq!(proxy.servers[0].served(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Arrive(Option<u32>),
    Finish(usize),
    GiveUp(usize),
    Maint(usize),
    Ready(usize),
    Drain(usize),
    Weight(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::option::of(0..4_u32).prop_map(Step::Arrive),
        4 => (0..64_usize).prop_map(Step::Finish),
        1 => (0..64_usize).prop_map(Step::GiveUp),
        1 => (0..3_usize).prop_map(Step::Maint),
        2 => (0..3_usize).prop_map(Step::Ready),
        1 => (0..3_usize).prop_map(Step::Drain),
        1 => (0..3_usize, 0..3_u32).prop_map(|(s, w)| Step::Weight(s, w)),
    ]
}

/// The proxy with the requests that wait and the slots that are held.
struct World {
    proxy: Arc<Proxy>,
    told: Recorder,
    waiting: Vec<Request>,
    held: Vec<Slot>,
    refused: usize,
}

impl World {
    fn make(&mut self, step: Step) {
        let proxy = self.proxy.clone();
        let cx = self.told.context(&proxy, start());
        let admin = |s: usize, r| proxy.servers[s].set_admin(r, Default::default(), &cx);
        match step {
            Step::Arrive(hash) => {
                let request = Request::new(&proxy, hash);
                request.woken.0.store(1, Relaxed);
                self.waiting.push(request);
            }
            Step::Finish(n) if !self.held.is_empty() => drop(self.held.remove(n % self.held.len())),
            Step::GiveUp(n) if !self.waiting.is_empty() => drop(self.waiting.remove(n % self.waiting.len())),
            Step::Finish(_) | Step::GiveUp(_) => {}
            Step::Maint(s) => admin(s, AdminRequest::Maint),
            Step::Ready(s) => admin(s, AdminRequest::Ready),
            Step::Drain(s) => admin(s, AdminRequest::Drain),
            Step::Weight(s, w) => {
                proxy.servers[s].set_weight(super::super::server::WeightChange::Absolute(w), &cx)
            }
        }
    }

    /// Polls whoever was woken, as a scheduler would.
    fn run(&mut self) {
        while let Some(at) = self.waiting.iter().position(Request::was_woken) {
            match self.waiting[at].poll() {
                Poll::Pending => continue,
                Poll::Ready(Ok(slot)) => self.held.push(slot),
                Poll::Ready(Err(AssignError::NoServer)) => self.refused += 1,
            }
            self.waiting.remove(at);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (index, server) in self.proxy.servers.iter().enumerate() {
            let held = self.held.iter().filter(|s| Arc::ptr_eq(s.server(), server)).count();
            prop_assert_eq!(held, server.served());
            prop_assert!(held <= server.maxconn(), "limit exceeded");
            if server.is_usable() && server.has_room() {
                prop_assert_eq!(server.queued.cur(), 0, "somebody waits for server {} with room", index);
                prop_assert_eq!(self.proxy.state.queued.cur(), 0, "somebody waits beside server {}", index);
            }
        }
        let lines: usize = self.proxy.servers.iter().map(|s| s.queued.cur()).sum();
        prop_assert_eq!(self.waiting.len(), self.proxy.state.queued.cur() + lines);
        prop_assert_eq!(self.waiting.len(), self.proxy.state.waiting());
        Ok(())
    }
}

proptest! {
    #[test]
    fn limits_hold_and_nobody_is_forgotten(steps in proptest::collection::vec(step(), 1..200)) {
        let mut proxy = backend(
            Balance::RoundRobin,
            ["a", "b", "c"].map(|n| crate::config::ServerConfig { maxconn: 2, ..server(n) }).to_vec(),
        );
        proxy.options.allbackups = true;
        let mut world = World {
            proxy: Arc::new(proxy), told: Recorder::default(), waiting: vec![], held: vec![], refused: 0,
        };
        for step in steps {
            world.make(step);
            world.run();
            world.check()?;
        }
        // Everyone is served once all servers are back.
        for server in 0..3 {
            world.make(Step::Ready(server));
            world.make(Step::Weight(server, 1));
        }
        world.run();
        while !world.waiting.is_empty() {
            prop_assert!(!world.held.is_empty(), "nobody works and somebody waits");
            world.make(Step::Finish(0));
            world.run();
            world.check()?;
        }
        world.held.clear();
        prop_assert!(world.proxy.servers.iter().all(|s| s.served() == 0));
    }
}

#[test]
fn threads_never_exceed_the_limit_and_leave_nothing() {
    let proxy = limited(&[2, 1]);
    let working = [AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let slot = block_on(&proxy);
                    let index = usize::from(slot.server().name() == "b");
                    let now = working[index].fetch_add(1, Relaxed) + 1;
                    assert!(now <= [2, 1][index]);
                    working[index].fetch_sub(1, Relaxed);
                }
            });
        }
    });
    assert_eq!((proxy.servers[0].served(), proxy.servers[1].served(), proxy.state.waiting()), (0, 0, 0));
    assert_eq!(proxy.state.be.chosen.load(Relaxed), 2000);
}

fn block_on(proxy: &Arc<Proxy>) -> Slot {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut assign = Assign::new(proxy);
    loop {
        match assign.poll_choice(
            Choice::default(),
            || (Priority::default(), start()),
            &mut Context::from_waker(&waker),
        ) {
            Poll::Ready(Ok(slot)) => return slot,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => std::thread::park(),
        }
    }
}
