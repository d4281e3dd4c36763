//! The inside of a scheduler that tasks, timers and wakers of its thread share, and the [`Handle`] to it.
//!
//! INVARIANT: no borrow of a cell is held while foreign code runs, that is while a future is polled or
//! dropped, a waker is called or cloned by hand, or a hook runs. So all of them may call back.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::budget::Class;
use crate::remote::{Remote, Shared};
use crate::run_queue::RunQueue;
use crate::slab::{Body, BoxFuture, Running, Slab, Take};
use crate::stats::Snapshot;
use crate::sync::Ordering;
use crate::task::{DONE, Header, KILLED, QUEUED, RUNNING, TASKLET, TaskHandle, TaskId};
use crate::timer::{Sleep, Timer};
use crate::wait_queue::{Listener, NEVER, WaitQueue};
use crate::woken::Woken;

/// What a panic left behind, for the hook set with [`Handle::on_panic`].
#[non_exhaustive]
pub struct TaskPanic<'a> {
    /// The name the object was spawned under, or `"remote job"`.
    pub name: &'static str,
    /// The object, unless it was a remote job.
    pub task: Option<TaskId>,
    /// What `panic!` was given.
    pub payload: &'a (dyn Any + Send),
}

impl TaskPanic<'_> {
    /// The panic's text, if it is one.
    #[must_use]
    pub fn message(&self) -> &str {
        let text = self.payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
    }
}

impl std::fmt::Debug for TaskPanic<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskPanic").field("name", &self.name).field("message", &self.message()).finish()
    }
}

type PanicHook = Rc<dyn Fn(&TaskPanic<'_>)>;

/// The object that runs at the moment.
#[derive(Clone, Copy)]
struct Current {
    task: TaskId,
    waker: *const (),
    woken: Woken,
}

/// What came of running one object.
pub(crate) enum Ran {
    Yes {
        panicked: bool,
    },
    /// Killed, or gone: costs no budget.
    Freed,
    /// Not now: it ran in this pass before.
    Twice,
}

pub(crate) struct Core {
    pub(crate) id: u64,
    pub(crate) seat: u32,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: RefCell<RunQueue>,
    pub(crate) waits: RefCell<WaitQueue>,
    slab: RefCell<Slab>,
    epoch: Instant,
    now: Cell<u64>,
    current: Cell<Option<Current>>,
    /// Objects are being run: what wakes now is woken by one of them.
    pub(crate) in_pass: Cell<bool>,
    closed: Cell<bool>,
    pub(crate) passes: Cell<u64>,
    panic_hook: RefCell<Option<PanicHook>>,
}

impl Core {
    pub(crate) fn new(id: u64, seat: u32, epoch: Instant, shared: Arc<Shared>) -> Self {
        Self {
            id,
            seat,
            shared,
            queue: RefCell::default(),
            waits: RefCell::new(WaitQueue::new()),
            slab: RefCell::default(),
            epoch,
            now: Cell::new(0),
            current: Cell::new(None),
            in_pass: Cell::new(false),
            closed: Cell::new(false),
            passes: Cell::new(0),
            panic_hook: RefCell::new(None),
        }
    }

    fn spawn(self: &Rc<Self>, name: &'static str, future: BoxFuture, kind: u32) -> Arc<Header> {
        if self.closed.get() {
            return self.stillborn(future, kind);
        }
        let (id, spare) = {
            let mut slab = self.slab.borrow_mut();
            let name = slab.intern(name).unwrap_or_else(|new| {
                self.shared.add_name(name);
                new
            });
            slab.reserve(name)
        };
        let (header, waker) = match spare {
            Some((header, waker)) => {
                header.recycle(id.generation(), kind);
                (header, waker)
            }
            None => {
                let shared = Arc::clone(&self.shared);
                let header = Arc::new(Header::new(self.id, self.seat, id, kind, shared));
                let waker = Waker::from(Arc::clone(&header));
                (header, waker)
            }
        };
        self.slab.borrow_mut().fill(id, Arc::clone(&header), Body { future, waker });
        if self.wake(&header, Woken::INIT) {
            self.shared.notify();
        }
        header
    }

    /// A task spawned while the scheduler is being dropped: never runs.
    fn stillborn(&self, future: BoxFuture, kind: u32) -> Arc<Header> {
        drop(future);
        let id = TaskId::new(u32::MAX, u32::MAX);
        Arc::new(Header::new(self.id, self.seat, id, kind | DONE, Arc::clone(&self.shared)))
    }

    /// Queues a task of this thread; says whether the pender is to be told.
    pub(crate) fn wake(&self, header: &Header, reasons: Woken) -> bool {
        let state = header.local.load(Ordering::Relaxed);
        let bits = reasons.recorded().bits();
        if state & (QUEUED | DONE) != 0 {
            if state & bits != bits {
                header.local.store(state | bits, Ordering::Relaxed);
            }
            return false;
        }
        header.local.store(state | bits | QUEUED, Ordering::Relaxed);
        let mut queue = self.queue.borrow_mut();
        match self.class_of(header, state, reasons) {
            Some(class) => queue.push_list(class, header.id()),
            None => queue.push_by_nice(header.nice(), header.id()),
        }
        self.shared.is_sleeping()
    }

    /// The class list that a woken object belongs in; `None` for the order by nice.
    fn class_of(&self, header: &Header, state: u32, reasons: Woken) -> Option<Class> {
        match header.pinned() {
            Some(class) => Some(class),
            None if state & TASKLET == 0 => None,
            None if state & RUNNING != 0 && reasons.is_none() => Some(Class::Bulk),
            None if self.in_pass.get() => Some(Class::Normal),
            None => Some(Class::Urgent),
        }
    }

    /// Folds in what other threads asked of one task.
    pub(crate) fn wake_from_afar(self: &Rc<Self>, id: TaskId) {
        let Some(header) = self.slab.borrow().header(id).map(Arc::clone) else { return };
        let bits = header.remote.fetch_and(KILLED, Ordering::AcqRel);
        if bits & KILLED != 0 {
            self.kill(&header);
        } else {
            self.wake(&header, Woken::from_state(bits));
        }
    }

    /// Frees a task, or marks it if it is the one running.
    pub(crate) fn kill(&self, header: &Header) {
        let state = header.local.load(Ordering::Relaxed);
        if state & (DONE | KILLED) != 0 {
            return;
        }
        header.local.store(state | KILLED, Ordering::Relaxed);
        let body = self.slab.borrow_mut().take(header.id());
        if let Some(body) = body {
            self.free(header.id(), body);
        }
    }

    /// Runs one object that came from the run queue.
    pub(crate) fn run_one(&self, id: TaskId, pass: u64) -> Ran {
        let taken = self.slab.borrow_mut().take_for_run(id, pass);
        let Running { mut body, name, woken } = match taken {
            Take::Run(running) => running,
            Take::AlreadyRan => return Ran::Twice,
            Take::Gone => return Ran::Freed,
            Take::Killed(body) => {
                self.free(id, body);
                return Ran::Freed;
            }
        };
        self.current.set(Some(Current { task: id, waker: body.waker.data(), woken }));
        self.shared.begin(name);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            body.future.as_mut().poll(&mut Context::from_waker(&body.waker))
        }));
        self.shared.end();
        self.current.set(None);
        let ended = !matches!(polled, Ok(Poll::Pending));
        let Some(body) = self.slab.borrow_mut().after_run(id, name, body, ended) else {
            return Ran::Yes { panicked: false };
        };
        let panicked = self.free(id, body);
        let Err(payload) = polled else { return Ran::Yes { panicked } };
        let name = self.slab.borrow_mut().count_panic(name);
        self.report(name, Some(id), &*payload);
        Ran::Yes { panicked: true }
    }

    /// Drops a future and frees its slot; true if dropping it panicked.
    fn free(&self, id: TaskId, body: Body) -> bool {
        let Body { future, waker } = body;
        self.slab.borrow().mark_done(id);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        let name = self.slab.borrow_mut().release(id, waker);
        match dropped {
            Ok(()) => false,
            Err(payload) => {
                self.report(name, Some(id), &*payload);
                true
            }
        }
    }

    /// Runs jobs of other threads; answers how many panicked.
    pub(crate) fn run_jobs(self: &Rc<Self>, max: usize) -> usize {
        let mut panicked = 0;
        let handle = Handle(Rc::clone(self));
        for _ in 0..max {
            let Some(job) = self.shared.pop_job() else { break };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| job(&handle))) {
                panicked += 1;
                self.report("remote job", None, &*payload);
            }
        }
        panicked
    }

    fn report(&self, name: &'static str, task: Option<TaskId>, payload: &(dyn Any + Send)) {
        let hook = self.panic_hook.borrow().clone();
        if let Some(hook) = hook {
            // A hook that panics has nobody left to tell.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&TaskPanic { name, task, payload })));
        }
    }

    /// Ends every task and takes no more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.shared.close();
        let mut index = 0;
        loop {
            let next = self.slab.borrow_mut().take_from(&mut index);
            let Some((id, body)) = next else { break };
            self.free(id, body);
        }
        while self.shared.pop_job().is_some() {}
    }

    pub(crate) fn set_now(&self, now: Instant) {
        self.now.set(self.now.get().max(self.ticks(now)));
    }

    pub(crate) fn now_ticks(&self) -> u64 {
        self.now.get()
    }

    fn ticks(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        let nanos = since.as_secs().checked_mul(1_000_000_000);
        // One below the mark for "never", which is 584 years away.
        nanos
            .and_then(|nanos| nanos.checked_add(u64::from(since.subsec_nanos())))
            .map_or(NEVER - 1, |t| t.min(NEVER - 1))
    }

    pub(crate) fn instant(&self, ticks: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(ticks))
    }

    /// Wakes the tasks of due timers, `max` at most; answers how many.
    pub(crate) fn expire(&self, max: usize) -> usize {
        for expired in 0..max {
            let listener = self.waits.borrow_mut().expire(self.now.get());
            match listener {
                None => return expired,
                Some(Listener::Nobody) => {}
                Some(Listener::Waker(waker)) => waker.wake(),
                Some(Listener::Task(id)) => {
                    if let Some(header) = self.slab.borrow().header(id) {
                        self.wake(header, Woken::TIMER);
                    }
                }
            }
        }
        max
    }

    pub(crate) fn new_timer(&self) -> u32 {
        self.waits.borrow_mut().insert()
    }

    pub(crate) fn set_timer(&self, index: u32, deadline: Option<Instant>) {
        let deadline = deadline.map_or(NEVER, |at| self.ticks(at));
        self.waits.borrow_mut().set(index, deadline);
    }

    pub(crate) fn poll_timer(&self, index: u32, cx: &Context<'_>) -> Poll<()> {
        let mut waits = self.waits.borrow_mut();
        if waits.deadline(index) <= self.now.get() {
            // Heard: nobody waits for this timer any more.
            let told = std::mem::take(waits.listener(index));
            drop(waits);
            drop(told);
            return Poll::Ready(());
        }
        // The usual case is a task polling with its own waker: its id will do, no reference is counted.
        let own = self.current.get().filter(|current| std::ptr::eq(current.waker, cx.waker().data()));
        let known = matches!(waits.listener(index), Listener::Waker(old) if old.will_wake(cx.waker()));
        if own.is_none() && known {
            return Poll::Pending;
        }
        drop(waits);
        let new = match own {
            Some(own) => Listener::Task(own.task),
            None => Listener::Waker(cx.waker().clone()),
        };
        let old = std::mem::replace(self.waits.borrow_mut().listener(index), new);
        drop(old);
        Poll::Pending
    }

    pub(crate) fn drop_timer(&self, index: u32) {
        let listener = self.waits.borrow_mut().remove(index);
        drop(listener);
    }
}

/// A scheduler as its own thread sees it: spawns tasks and makes timers, also from inside tasks.
///
/// # Thread affinity
/// `!Send`, cheap to clone. It may outlive its [`Scheduler`](crate::Scheduler): tasks spawned then are dropped at once.
#[derive(Clone)]
pub struct Handle(pub(crate) Rc<Core>);

impl Handle {
    /// Starts a task: it has a nice and runs in the NORMAL class. Its first run comes with [`Woken::INIT`].
    ///
    /// `name` is what the statistics and the liveness watch show.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> TaskHandle {
        TaskHandle(self.0.spawn(name, Box::pin(future), 0))
    }

    /// Starts a tasklet: no nice; URGENT when woken from outside the pass, NORMAL when woken by another
    /// object, BULK when it wakes itself for no reason.
    ///
    /// # Source
    /// Classes of woken tasklets in HAProxy's scheduler.
    pub fn spawn_tasklet(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
    ) -> TaskHandle {
        TaskHandle(self.0.spawn(name, Box::pin(future), TASKLET))
    }

    /// Makes a disarmed timer.
    #[must_use]
    pub fn timer(&self) -> Timer {
        Timer::new(Rc::clone(&self.0))
    }

    /// A future that is ready when `deadline` has come.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        let timer = self.timer();
        timer.set(Some(deadline));
        Sleep(timer)
    }

    /// The latest `now` given to [`Scheduler::run`](crate::Scheduler::run), or to its constructor.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.instant(self.0.now.get()).expect("now was an instant before")
    }

    /// When the next timer expires, or a little before: what [`Outcome::next_expiry`](crate::Outcome::next_expiry)
    /// would say now. Ask again if a timer may have been set since the last pass from outside of it.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        let next = self.0.waits.borrow_mut().next_expiry();
        next.and_then(|next| self.0.instant(next))
    }

    /// Why the running task was woken; [`Woken::NONE`] outside of tasks.
    #[must_use]
    pub fn woken(&self) -> Woken {
        self.0.current.get().map_or(Woken::NONE, |current| current.woken)
    }

    /// The task that is running.
    #[must_use]
    pub fn current(&self) -> Option<TaskId> {
        self.0.current.get().map(|current| current.task)
    }

    /// The part that other threads may hold.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote(Arc::clone(&self.0.shared))
    }

    /// Sets what is told of every panic caught. Without a hook only the counts tell.
    pub fn on_panic(&self, hook: impl Fn(&TaskPanic<'_>) + 'static) {
        let old = self.0.panic_hook.replace(Some(Rc::new(hook)));
        drop(old);
    }

    /// The figures of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let slab = self.0.slab.borrow();
        Snapshot {
            names: slab.names.clone(),
            live: slab.live(),
            waiting: self.0.queue.borrow().waiting(),
            timers: self.0.waits.borrow().armed(),
            passes: self.0.passes.get(),
            calls: self.0.shared.ended(),
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("scheduler", &self.0.id).finish_non_exhaustive()
    }
}
