//! A transaction to evaluate things on: a configuration in its own language, a request, a clock
//! that stands still, and a memory of what was logged.

#![allow(unreachable_pub, reason = "tests have no crate root to be public from")]
#![allow(dead_code, reason = "each test file uses its part of the support")]

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use proxy_core::{
    action::Verdict,
    backend::server::{Server, ServerEvent},
    cfgparse::{Parser, Source},
    channel::Channel,
    config::{Config, LogTarget, Proxy, SourceAddr},
    host::{Addr, BoxTask, ConnectFuture, Host, ServerObserver, Timer},
    http::{Message, Version},
    log::{Level, ProcessCounters, TxnLog},
    registry::Registry,
    rules::{RuleRun, RuleSet},
    sample::Sampling,
    session::Session,
    txn::{Txn, TxnData, TxnVars},
    vars::Vars,
    worker::{Shared, Worker},
};

/// The time of every test: 2023-11-14 22:13:20.250 UTC.
pub const WALL: Duration = Duration::from_millis(1_700_000_000_250);

/// What was logged: level and line.
pub type Lines = Rc<RefCell<Vec<(Level, String)>>>;

/// The parts of a test.
pub struct Bench {
    pub config: Arc<Config>,
    pub worker: Rc<Worker>,
    pub logged: Lines,
}

impl Bench {
    /// A worker with that configuration, which must be fine.
    pub fn new(text: &str) -> Self {
        let outcome = Parser::new(Registry::builtin()).source(Source::new("t.cfg", text)).parse();
        let said: Vec<String> = outcome.diagnostics.iter().map(|d| d.render(1)).collect();
        let config = Arc::new(outcome.config.unwrap_or_else(|| panic!("{said:#?}")));
        let logged = Lines::default();
        let shared = Arc::new(Shared {
            config: config.clone(),
            observer: Arc::new(Deaf),
            stopping: false.into(),
            next_stream: 0.into(),
            counters: ProcessCounters::default(),
            roll_call: Default::default(),
            proc_vars: parking_lot::RwLock::new(Vars::default()),
        });
        let worker = Rc::new(Worker {
            thread: 0,
            host: Box::new(StillHost { started: start(), logged: logged.clone() }),
            shared,
            buffers: proxy_core::channel::BufferPool::default(),
            pools: proxy_core::backend::pool::Pools::default(),
            extension: Rc::new(()),
        });
        Self { config, worker, logged }
    }

    /// The first proxy.
    pub fn proxy(&self) -> Arc<Proxy> {
        self.config.proxies[0].clone()
    }

    /// A transaction of the first proxy without a message.
    pub fn txn(&self) -> Txn {
        let proxy = self.proxy();
        let addr = |port| Some(Addr::Ip(SocketAddr::from(([127, 0, 0, 1], port))));
        let session = Session {
            id: 1,
            frontend: proxy.clone(),
            bind: proxy.binds[0].clone(),
            src: addr(44992),
            dst: addr(23998),
            accepted: start(),
            vars: RefCell::default(),
            tracked: RefCell::default(),
        };
        Txn::new(TxnData {
            worker: self.worker.clone(),
            session: Rc::new(session),
            frontend: proxy.clone(),
            backend: proxy,
            server: None,
            req: Message::default(),
            res: Message::default(),
            req_chn: Channel::default(),
            res_chn: Channel::default(),
            vars: TxnVars::default(),
            id: 9,
            started: start(),
            marks: None,
            priority: Default::default(),
            tracked: Default::default(),
            log: TxnLog { wall: WALL, accepted: Some(start()), ..TxnLog::default() },
            sampling: Sampling::default(),
            service: None,
            private: Vec::new(),
        })
    }

    /// A transaction with a request: its line, then header lines.
    pub fn request(&self, head: &str) -> Txn {
        let mut txn = self.txn();
        txn.req = request(head);
        txn
    }

    /// Runs a rule set of the first proxy to its end; panics if it waits.
    pub fn run(&self, at: RuleSet, txn: Txn) -> (Txn, Verdict) {
        let mut run = RuleRun::default();
        match self.poll(at, txn, &mut run) {
            (txn, Poll::Ready(verdict)) => (txn, verdict),
            (_, Poll::Pending) => panic!("the rules wait"),
        }
    }

    /// Polls a rule set of the first proxy once.
    pub fn poll(&self, at: RuleSet, txn: Txn, run: &mut RuleRun) -> (Txn, Poll<Verdict>) {
        let proxy = self.proxy();
        let rules = match at {
            RuleSet::TcpConnection => &proxy.rules.tcp_connection,
            RuleSet::TcpSession => &proxy.rules.tcp_session,
            RuleSet::TcpRequest => &proxy.rules.tcp_request,
            RuleSet::TcpResponse => &proxy.rules.tcp_response,
            RuleSet::HttpRequest => &proxy.rules.http_request,
            RuleSet::HttpResponse => &proxy.rules.http_response,
            RuleSet::HttpAfterResponse => &proxy.rules.http_after_response,
        };
        run.poll(rules, at, txn, &mut Context::from_waker(Waker::noop()))
    }
}

/// What the parser says about a configuration, without colours and process numbers.
pub fn complaints(text: &str) -> Vec<String> {
    let outcome = Parser::new(Registry::builtin()).source(Source::new("t.cfg", text)).parse();
    outcome.diagnostics.iter().map(|d| d.render(1)).collect()
}

/// A request head from its text.
pub fn request(head: &str) -> Message {
    let mut lines = head.lines().map(str::trim);
    let start: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let version = if start[2] == "HTTP/1.0" { Version::Http10 } else { Version::Http11 };
    let mut message = Message::default();
    message.set_request(start[0].as_bytes(), start[1].as_bytes(), version).unwrap();
    fields(&mut message, lines);
    message
}

/// A response head from its text.
pub fn response(head: &str) -> Message {
    let mut lines = head.lines().map(str::trim);
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut message = Message::default();
    message.set_response(status, None, Version::Http11).unwrap();
    fields(&mut message, lines);
    message
}

fn fields<'a>(message: &mut Message, lines: impl Iterator<Item = &'a str>) {
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        message.add_header(name.as_bytes(), value.trim().as_bytes()).unwrap();
    }
}

/// A message as it would go out.
pub fn wire(message: &Message) -> String {
    let mut out = Vec::new();
    message.write_start_line(&mut out);
    out.extend_from_slice(b"\n");
    for (name, value) in message.headers() {
        out.extend([name, b": ", value, b"\n"].concat());
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The instant of every test: one for the whole process, so that intervals come out even.
pub fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "an instant has no other source")]
    *START.get_or_init(Instant::now)
}

struct StillHost {
    started: Instant,
    logged: Lines,
}

impl Host for StillHost {
    fn now(&self) -> Instant {
        self.started
    }
    fn wall(&self) -> Duration {
        WALL
    }
    fn timer(&self) -> Box<dyn Timer> {
        Box::new(NeverTimer)
    }
    fn random(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }
    fn connect(&self, _: &Addr, _: Option<&SourceAddr>) -> ConnectFuture {
        panic!("nothing connects here")
    }
    fn spawn(&self, _: &'static str, _: BoxTask) {
        panic!("nothing is spawned here")
    }
    fn log(&self, _: &LogTarget, level: Level, line: &[u8]) {
        self.logged.borrow_mut().push((level, String::from_utf8_lossy(line).into_owned()));
    }
}

struct NeverTimer;

impl Timer for NeverTimer {
    fn set(&mut self, _: Option<Instant>) {}
    fn poll_expired(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

struct Deaf;

impl ServerObserver for Deaf {
    fn on_server_event(&self, _: &Arc<Server>, _: &ServerEvent) {}
}
