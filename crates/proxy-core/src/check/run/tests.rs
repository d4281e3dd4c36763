//! The check loop on virtual time: when checks begin, and what they lead to.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Waker},
};

use tokio::io::DuplexStream;

use super::*;
use crate::{
    backend::{
        lb::Balance,
        server::{AdminRequest, OpState},
        testing::{Recorder, backend, server, start},
    },
    check::CheckSpec,
    config::{Config, LogTarget, ServerConfig, SourceAddr},
    host::{BoxTask, ConnectFuture, Host, Io, ServerObserver},
    worker::Shared,
};

/// What the server at the other end does with one connection.
#[derive(Clone, Copy)]
enum Peer {
    Answers(&'static str),
    Refuses,
    NeverAccepts,
    NeverAnswers,
}

/// A host whose time moves only when nothing else can happen.
struct Virtual {
    begun: Instant,
    now: Cell<Instant>,
    deadlines: RefCell<Vec<Rc<Cell<Option<Instant>>>>>,
    script: RefCell<Vec<Peer>>,
    connects: RefCell<Vec<(Duration, String)>>,
    peers: RefCell<Vec<DuplexStream>>,
}

#[derive(Clone)]
struct Handle(Rc<Virtual>);

struct VirtualTimer(Rc<Cell<Option<Instant>>>, Rc<Virtual>);

impl Timer for VirtualTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.0.set(deadline);
    }
    fn poll_expired(&mut self, _: &mut Context<'_>) -> Poll<()> {
        match self.0.get() {
            Some(deadline) if deadline <= self.1.now.get() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

struct Wire(DuplexStream);

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Io for Wire {
    fn peer_addr(&self) -> Option<Addr> {
        None
    }
    fn local_addr(&self) -> Option<Addr> {
        None
    }
    fn reset_on_drop(&mut self) {}
}

impl Host for Handle {
    fn now(&self) -> Instant {
        self.0.now.get()
    }
    fn wall(&self) -> Duration {
        self.0.now.get() - self.0.begun
    }
    fn timer(&self) -> Box<dyn Timer> {
        let deadline = Rc::new(Cell::new(None));
        self.0.deadlines.borrow_mut().push(deadline.clone());
        Box::new(VirtualTimer(deadline, self.0.clone()))
    }
    fn random(&self) -> u64 {
        4
    }
    fn connect(&self, to: &Addr, _: Option<&SourceAddr>) -> ConnectFuture {
        self.0.connects.borrow_mut().push((self.wall(), to.to_string()));
        let mut script = self.0.script.borrow_mut();
        let peer = if script.len() > 1 { script.remove(0) } else { script[0] };
        let (ours, mut theirs) = tokio::io::duplex(4096);
        match peer {
            Peer::Refuses => return Box::pin(async { Err(io::Error::from_raw_os_error(111)) }),
            Peer::NeverAccepts => return Box::pin(std::future::pending()),
            Peer::NeverAnswers => {}
            Peer::Answers(answer) => {
                let mut cx = Context::from_waker(Waker::noop());
                assert!(Pin::new(&mut theirs).poll_write(&mut cx, answer.as_bytes()).is_ready());
                assert!(Pin::new(&mut theirs).poll_shutdown(&mut cx).is_ready());
            }
        }
        self.0.peers.borrow_mut().push(theirs);
        Box::pin(async { Ok(Box::new(Wire(ours)) as BoxIo) })
    }
    fn spawn(&self, _: &'static str, _: BoxTask) {
        unreachable!("a check starts no tasks")
    }
    fn log(&self, _: &LogTarget, _: crate::log::Level, _: &[u8]) {}
}

/// A server with its check loop, and what has been told.
struct Scene {
    host: Handle,
    worker: Rc<Worker>,
    told: Arc<Recorder>,
    server: Arc<Server>,
    proxy: Arc<Proxy>,
    task: Pin<Box<dyn Future<Output = ()>>>,
}

impl Scene {
    fn new(config: ServerConfig, check: &[&str], timeout_check: Option<Duration>, script: &[Peer]) -> Self {
        let begun = start();
        let host = Handle(Rc::new(Virtual {
            begun,
            now: Cell::new(begun),
            deadlines: RefCell::default(),
            script: RefCell::new(script.to_vec()),
            connects: RefCell::default(),
            peers: RefCell::default(),
        }));
        let mut proxy = backend(Balance::RoundRobin, vec![config]);
        proxy.timeouts.check = timeout_check;
        proxy.timeouts.connect = Some(Duration::from_millis(500));
        if !check.is_empty() {
            let mut draft = crate::check::CheckDraft::default();
            draft.httpchk(check).unwrap();
            proxy.check = draft.finish();
        } else {
            proxy.check = CheckSpec::Connect;
        }
        let proxy = Arc::new(proxy);
        let told = Arc::new(Recorder::default());
        let observer: Arc<dyn ServerObserver> = told.clone();
        let shared = Shared {
            config: Arc::new(Config { proxies: vec![proxy.clone()], ..Config::default() }),
            observer,
            stopping: Default::default(),
            next_stream: Default::default(),
            counters: Default::default(),
            roll_call: Default::default(),
            proc_vars: Default::default(),
        };
        let worker = Rc::new(Worker {
            thread: 0,
            host: Box::new(host.clone()),
            shared: Arc::new(shared),
            buffers: Default::default(),
            pools: Default::default(),
            extension: Rc::new(()),
        });
        let server = proxy.servers[0].clone();
        let task = Box::pin(run(worker.clone(), server.clone(), proxy.clone()));
        Self { host, worker, told, server, proxy, task }
    }

    /// Lets `span` of virtual time go by.
    fn pass(&mut self, span: Duration) -> String {
        let until = self.host.now() + span;
        loop {
            assert!(self.task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let now = self.host.now();
            let pending = self.host.0.deadlines.borrow().iter().filter_map(|d| d.get()).min();
            match pending {
                Some(next) if next <= until => self.host.0.now.set(next.max(now)),
                _ => break,
            }
        }
        self.host.0.now.set(until);
        self.told.take()
    }

    fn check_times(&self) -> Vec<u128> {
        self.host.0.connects.borrow().iter().map(|(at, _)| at.as_millis()).collect()
    }
}

fn timed() -> ServerConfig {
    ServerConfig {
        inter: Duration::from_secs(10),
        fastinter: Some(Duration::from_secs(1)),
        downinter: Some(Duration::from_secs(30)),
        ..server("s1")
    }
}

const GOOD: Peer = Peer::Answers("HTTP/1.0 200 OK\r\n\r\n");

#[test]
fn the_interval_belongs_to_the_state() {
    let mut script = vec![GOOD];
    script.extend([Peer::Refuses; 3]);
    script.extend([GOOD; 3]);
    let mut scene = Scene::new(timed(), &["/"], None, &script);
    let told = scene.pass(Duration::from_secs(54));
    // Up at once; down after three failures a fast interval apart; then slow, fast, settled.
    assert_eq!(scene.check_times(), [0, 10_000, 11_000, 12_000, 42_000, 43_000, 53_000]);
    insta::assert_snapshot!(told);
}

#[test]
fn the_shorter_limit_ends_a_check_and_the_next_follows_its_interval() {
    let second = Duration::from_secs(1);
    for (peer, timeout_check, status, took) in [
        (Peer::NeverAccepts, None, "L4TOUT", 10_000),
        (Peer::NeverAnswers, None, "L7TOUT", 10_000),
        (Peer::NeverAccepts, Some(second), "L4TOUT", 500),
        (Peer::NeverAnswers, Some(second), "L7TOUT", 1000),
    ] {
        let mut scene = Scene::new(timed(), &["/"], timeout_check, &[peer]);
        scene.pass(Duration::from_secs(45));
        let check = scene.server.status(scene.host.now()).last_check.unwrap();
        assert_eq!((check.status.short(), check.duration.as_millis()), (status, took));
        // The first failure takes a fresh server down, so the next check is a down interval away.
        assert_eq!(scene.check_times()[..2], [0, took + 30_000]);
    }
}

#[test]
fn connect_checks_need_no_answer() {
    let mut scene = Scene::new(timed(), &[], None, &[Peer::NeverAnswers]);
    assert_eq!(scene.pass(Duration::from_secs(1)), "s1 CHECK PASSED L4OK 4/2/3");
}

#[test]
fn maintenance_pauses_checks_and_its_end_resumes_them() {
    let mut scene = Scene::new(timed(), &[], None, &[Peer::NeverAnswers]);
    scene.pass(Duration::from_secs(1));
    let (worker, server) = (scene.worker.clone(), scene.server.clone());
    let admin = |request| {
        server.set_admin(request, Default::default(), &ChangeContext::on(&worker, &server).unwrap());
    };
    admin(AdminRequest::Maint);
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.check_times().len(), 1);
    admin(AdminRequest::Ready);
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.check_times().len(), 2);
    assert_eq!(scene.server.op_state(), OpState::Running);
}

#[test]
fn a_result_that_comes_during_maintenance_is_dropped() {
    let mut scene = Scene::new(timed(), &["/"], None, &[Peer::NeverAnswers]);
    scene.pass(Duration::from_secs(1));
    let cx = ChangeContext::on(&scene.worker, &scene.server).unwrap();
    scene.server.set_admin(AdminRequest::Maint, Default::default(), &cx);
    scene.told.take();
    assert_eq!(scene.pass(Duration::from_secs(20)), "");
}

#[test]
fn checks_go_to_their_own_address_and_port() {
    let config = ServerConfig {
        check_port: Some(81),
        check_addr: Some(std::net::IpAddr::from([10, 0, 0, 1])),
        ..timed()
    };
    let mut scene = Scene::new(config, &[], None, &[Peer::NeverAnswers]);
    scene.pass(Duration::from_secs(1));
    scene.server.set_check_port(82);
    scene.pass(Duration::from_secs(10));
    let targets: Vec<String> = scene.host.0.connects.borrow().iter().map(|(_, to)| to.clone()).collect();
    assert_eq!(targets, ["10.0.0.1:81", "10.0.0.1:82"]);
}

#[test]
fn first_checks_are_spread_over_the_interval() {
    let scene = Scene::new(timed(), &[], None, &[GOOD]);
    let three = backend(Balance::RoundRobin, vec![timed(), timed(), timed()]);
    let servers = three.servers.clone();
    let shared = Shared {
        config: Arc::new(Config { proxies: vec![Arc::new(three)], ..Config::default() }),
        observer: scene.told.clone(),
        stopping: Default::default(),
        next_stream: Default::default(),
        counters: Default::default(),
        roll_call: Default::default(),
        proc_vars: Default::default(),
    };
    let worker = Worker {
        thread: 0,
        host: Box::new(scene.host.clone()),
        shared: Arc::new(shared),
        buffers: Default::default(),
        pools: Default::default(),
        extension: Rc::new(()),
    };
    let delays: Vec<u128> = servers.iter().map(|s| start_delay(&worker, s).as_millis()).collect();
    assert_eq!(delays, [0, 3333, 6666]);
}

#[test]
fn dropping_the_loop_leaves_nothing_behind() {
    let scene = {
        let mut scene = Scene::new(timed(), &["/"], None, &[Peer::NeverAnswers]);
        scene.pass(Duration::from_secs(1));
        scene
    };
    let Scene { task, server, proxy, worker, told, .. } = scene;
    assert!(Arc::strong_count(&server) > 2);
    drop(task);
    assert_eq!(told.take(), "");
    drop((proxy, worker));
    assert_eq!(Arc::strong_count(&server), 1);
}
