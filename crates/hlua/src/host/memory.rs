//! A whole host in memory, on virtual time: for tests, and to read as an example of one.
//!
//! [`MemoryCore`] is the worker: its clock stands still until [`advance`](MemoryCore::advance) moves it (or each
//! reading moves it by a fixed step, which lets an endless loop meet its timeout), its tasks run in
//! [`run_tasks`](MemoryCore::run_tasks), and its log is a list. [`MemoryTxn`] and the applets are streams; proxies,
//! servers, events and sockets are what a test puts in.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{
    Catalog, Core, Events, HostResult, HttpClient, Lent, Level, LocalFuture, Patterns, Proxies, Sockets,
    Value,
};
use crate::{Error, Execution, Failure, Outcome};

mod applet;
mod events;
mod net;
mod proxies;
mod regex;
mod samples;
mod stick_table;
mod tables;
mod txn;

pub use applet::{MemoryAppletHttp, MemoryAppletTcp};
pub use events::MemoryEvents;
pub use net::{MemoryCertificates, MemoryHttp, MemorySockets};
pub use proxies::{MemoryProxies, MemoryProxy, MemoryServer};
pub use samples::{MemoryCatalog, Stub};
pub use stick_table::MemoryStickTable;
pub use tables::MemoryPatterns;
pub use txn::{MemoryStream, MemoryTxn, MemoryWishes};

/// A worker in memory.
pub struct MemoryCore {
    clock: Rc<Clock>,
    log: RefCell<Vec<(Level, String)>>,
    tasks: RefCell<VecDeque<LocalFuture<()>>>,
    failures: RefCell<Vec<Failure>>,
    alone: Cell<u32>,
    nice: Cell<i32>,
    /// Proxies and servers; empty until a test adds some.
    pub proxies: MemoryProxies,
    /// The event bus.
    pub events: MemoryEvents,
    /// Maps and ACL lists.
    pub patterns: MemoryPatterns,
    /// Peers to connect to.
    pub sockets: MemorySockets,
    /// Certificate files.
    pub certificates: MemoryCertificates,
    /// Responses to scripts' requests.
    pub http: MemoryHttp,
    /// Sample fetches and converters.
    pub catalog: MemoryCatalog,
    process_vars: RefCell<BTreeMap<String, Value<'static>>>,
    environment: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Readings of the clock since it was moved or a run began, and how many of them are too many.
    readings: Cell<u32>,
    readings_max: Cell<u32>,
}

struct Clock {
    start: Instant,
    elapsed: Cell<Duration>,
    step: Cell<Duration>,
    sleepers: RefCell<Vec<(Instant, Waker)>>,
}

impl Clock {
    fn now(&self) -> Instant {
        self.start + self.elapsed.get()
    }
}

struct Sleep {
    at: Instant,
    clock: Rc<Clock>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.at {
            return Poll::Ready(());
        }
        self.clock.sleepers.borrow_mut().push((self.at, cx.waker().clone()));
        Poll::Pending
    }
}

impl MemoryCore {
    /// A worker whose clock reads `start`, whatever that is.
    pub fn new(start: Instant) -> Rc<MemoryCore> {
        let queues = events::PatternQueues::default();
        Rc::new(MemoryCore {
            clock: Rc::new(Clock {
                start,
                elapsed: Cell::new(Duration::ZERO),
                step: Cell::new(Duration::ZERO),
                sleepers: RefCell::default(),
            }),
            log: RefCell::default(),
            tasks: RefCell::default(),
            failures: RefCell::default(),
            alone: Cell::new(0),
            nice: Cell::new(0),
            proxies: MemoryProxies::default(),
            events: MemoryEvents::new(queues.clone()),
            patterns: MemoryPatterns::new(queues),
            sockets: MemorySockets::default(),
            certificates: MemoryCertificates::default(),
            http: MemoryHttp::default(),
            catalog: MemoryCatalog::default(),
            process_vars: [("proc.answer".to_owned(), Value::Int(42))]
                .into_iter()
                .collect::<BTreeMap<_, _>>()
                .into(),
            environment: RefCell::default(),
            readings: Cell::new(0),
            readings_max: Cell::new(u32::MAX),
        })
    }

    /// Makes each reading of the clock move it by `step`: run time then passes while Lua runs.
    pub fn tick_on_reading(&self, step: Duration) {
        self.clock.step.set(step);
    }

    /// Says, the next `times` that it is asked, that nothing else is ready.
    pub fn leave_alone(&self, times: u32) {
        self.alone.set(times);
    }

    /// What a script last gave to `core.set_nice`.
    pub fn nice(&self) -> i32 {
        self.nice.get()
    }

    /// Makes each reading move the clock by a second once it was read `readings` times since it was moved or a run
    /// began: a loop that would never end then meets its time limit, and any other run sees a clock that stands still.
    pub fn end_loops_after(&self, readings: u32) {
        self.readings_max.set(readings);
    }

    /// Sets a process variable, `proc.name`.
    pub fn set_process_var(&self, name: &str, value: Value<'static>) {
        self.process_vars.borrow_mut().insert(name.to_owned(), value);
    }

    /// Sets an environment variable that scripts see.
    pub fn set_env(&self, name: &str, value: &str) {
        self.environment.borrow_mut().insert(name.to_owned(), value.into());
    }

    /// Moves the clock and wakes who slept that long.
    pub fn advance(&self, by: Duration) {
        self.readings.set(0);
        let clock = &self.clock;
        clock.elapsed.set(clock.elapsed.get() + by);
        let now = clock.now();
        let mut due = Vec::new();
        clock.sleepers.borrow_mut().retain(|(at, waker)| {
            if *at <= now {
                due.push(waker.clone());
            }
            *at > now
        });
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves the clock from sleeper to sleeper until `by` has passed, letting tasks run at each stop.
    pub fn advance_through(&self, by: Duration) {
        let end = self.clock.now() + by;
        self.run_tasks();
        while let Some(next) = self.next_sleeper().filter(|next| *next <= end) {
            self.advance(next.saturating_duration_since(self.clock.now()));
            self.run_tasks();
        }
        self.advance(end.saturating_duration_since(self.clock.now()));
        self.run_tasks();
    }

    /// The log so far.
    pub fn log_lines(&self) -> Vec<(Level, String)> {
        self.log.borrow().clone()
    }

    /// How far the clock moved since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed.get()
    }

    /// The log so far, as `level: text` lines, and empties it.
    pub fn take_log(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.log.borrow_mut());
        lines.into_iter().map(|(level, text)| format!("{}: {text}", level_name(level))).collect()
    }

    /// The runs that failed so far, and forgets them.
    pub fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.failures.borrow_mut())
    }

    fn next_sleeper(&self) -> Option<Instant> {
        self.clock.sleepers.borrow().iter().map(|(at, _)| *at).min()
    }

    /// Polls every task once, round and round, until all are done or nothing but time could move them. Says how many
    /// are left. A task that never stops giving way is left as well, after very many rounds.
    pub fn run_tasks(&self) -> usize {
        for _ in 0..ROUNDS_MAX {
            let woken = Arc::new(Flag::default());
            let waker = Waker::from(woken.clone());
            let mut round = std::mem::take(&mut *self.tasks.borrow_mut());
            round.retain_mut(|task| task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let mut tasks = self.tasks.borrow_mut();
            let started = !tasks.is_empty();
            round.append(&mut tasks);
            *tasks = round;
            if !started && !woken.0.load(Ordering::SeqCst) {
                break;
            }
        }
        self.tasks.borrow().len()
    }

    /// Polls `execution` to its end, running tasks and moving the clock to the next sleeper whenever it waits.
    ///
    /// # Panics
    /// When it waits for something that time and tasks do not bring.
    pub fn block_on(&self, execution: &mut Execution, lent: Lent) -> (Lent, Result<Outcome, Error>) {
        let (lent, result) = self.try_block_on(execution, lent);
        (lent, result.expect("the execution waits for nothing that can happen"))
    }

    /// The same; `None` when it waits for something that time and tasks do not bring, or gives way without end.
    pub fn try_block_on(
        &self,
        execution: &mut Execution,
        mut lent: Lent,
    ) -> (Lent, Option<Result<Outcome, Error>>) {
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(woken.clone());
        self.readings.set(0);
        for _ in 0..ROUNDS_MAX {
            let (back, poll) = execution.poll(lent, self.now(), &mut Context::from_waker(&waker));
            lent = back;
            if let Poll::Ready(result) = poll {
                return (lent, Some(result));
            }
            self.run_tasks();
            if !woken.0.swap(false, Ordering::SeqCst) {
                let Some(next) = self.next_sleeper() else { break };
                self.advance(next.saturating_duration_since(self.clock.now()));
            }
        }
        (lent, None)
    }
}

/// What has not ended after so many rounds never will.
const ROUNDS_MAX: u32 = 1_000_000;

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Core for MemoryCore {
    fn now(&self) -> Instant {
        let now = self.clock.now();
        let readings = self.readings.get().saturating_add(1);
        self.readings.set(readings);
        let jump = if readings > self.readings_max.get() { Duration::from_secs(1) } else { Duration::ZERO };
        self.clock.elapsed.set(self.clock.elapsed.get() + self.clock.step.get() + jump);
        now
    }

    fn log(&self, level: Level, message: &str) {
        self.log.borrow_mut().push((level, message.to_string()));
    }

    fn failed(&self, failure: &Failure) {
        self.failures.borrow_mut().push(failure.clone());
    }

    fn wall_clock(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.clock.elapsed.get()
    }

    fn nothing_else_ready(&self) -> bool {
        let left = self.alone.get();
        self.alone.set(left.saturating_sub(1));
        left > 0
    }

    fn set_nice(&self, nice: i32) {
        self.nice.set(nice);
    }

    fn env_var(&self, name: &str) -> Option<Vec<u8>> {
        let own = self.environment.borrow().get(name).cloned();
        own.or_else(|| std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec))
    }

    fn sleep_until(&self, at: Instant) -> Option<LocalFuture<()>> {
        Some(Box::pin(Sleep { at, clock: self.clock.clone() }))
    }

    fn spawn(&self, task: LocalFuture<()>) -> HostResult<()> {
        self.tasks.borrow_mut().push_back(task);
        Ok(())
    }

    fn info(&self) -> Vec<(String, Value<'static>)> {
        vec![("Name".into(), Value::from("memory")), ("Uptime_sec".into(), Value::Int(1))]
    }

    fn process_var(&self, name: &str) -> Option<Value<'static>> {
        self.process_vars.borrow().get(name).cloned()
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        Some(&self.catalog)
    }

    fn proxies(&self) -> Option<&dyn Proxies> {
        Some(&self.proxies)
    }

    fn events(&self) -> Option<&dyn Events> {
        Some(&self.events)
    }

    fn sockets(&self) -> Option<&dyn Sockets> {
        Some(&self.sockets)
    }

    fn certificates(&self) -> Option<&dyn super::Certificates> {
        Some(&self.certificates)
    }

    fn http_client(&self) -> Option<&dyn HttpClient> {
        Some(&self.http)
    }

    fn patterns(&self) -> Option<&dyn Patterns> {
        Some(&self.patterns)
    }

    fn regex(&self, pattern: &str, case_sensitive: bool) -> HostResult<Arc<dyn super::Regex>> {
        regex::compile(pattern, case_sensitive)
    }
}

pub(crate) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Emerg => "emerg",
        Level::Alert => "alert",
        Level::Crit => "crit",
        Level::Err => "err",
        Level::Warning => "warning",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}
