//! The inside of a scheduler that tasks, timers and wakers of its thread share, and the [`Handle`] to it.
//!
//! INVARIANT: no borrow of a cell is held while foreign code runs, that is while a future is polled or
//! dropped, a waker is called or cloned by hand, or a hook runs. So all of them may call back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::body::{self, Pool};
use crate::budget::Class;
use crate::panics::{Panics, TaskPanic};
use crate::process::{Process, Processing};
use crate::profile::Profiler;
use crate::remote::{Remote, Shared};
use crate::run_queue::RunQueue;
use crate::site::{self, HOT, Hot, Sites};
use crate::slot::{
    DONE, KILLED, NO_TIMER, PRIO_DEFAULT, QUEUED, RUNNING, SharedSlot, Slab, SlotRef, TASKLET,
};
use crate::stats::{Activity, Snapshot};
use crate::sync::Ordering;
use crate::task::{TaskId, TaskRef};
use crate::thread;
use crate::timer::{Sleep, Timer};
use crate::unbound::{SharedTask, Unbound};
use crate::wait_queue::{EXPIRED, Listener, NEVER, WaitQueue};
use crate::woken::Woken;

/// The scheduler sleeps, and nobody has told the pender of work since.
pub(crate) const ASLEEP: u8 = 1;
/// Wakes are dated.
pub(crate) const PROFILING: u8 = 2;

pub(crate) struct Core {
    pub(crate) id: u64,
    pub(crate) thread: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: RefCell<RunQueue>,
    pub(crate) waits: RefCell<WaitQueue>,
    pub(crate) slab: RefCell<Slab>,
    pub(crate) sites: RefCell<Sites>,
    hot: Box<[Hot; HOT]>,
    pool: Pool,
    epoch: Instant,
    now: Cell<u64>,
    now_instant: Cell<Instant>,
    /// What runs, and why.
    pub(crate) current: Cell<Option<SlotRef>>,
    pub(crate) woken: Cell<Woken>,
    /// The class of tasklets that are woken now: NORMAL while objects are being run, else URGENT.
    outer: Cell<Class>,
    /// What a wake has to see to: [`ASLEEP`], [`PROFILING`].
    alert: Cell<u8>,
    /// Objects that a pass has taken from the queue and not yet run, and of which class.
    pub(crate) taken: Cell<usize>,
    pub(crate) taken_class: Cell<Class>,
    closed: Cell<bool>,
    /// Of the last pass; see [`next_mark`](Self::next_mark).
    mark: Cell<u32>,
    pub(crate) calls: Cell<u64>,
    pub(crate) activity: Cell<Activity>,
    pub(crate) panics: Panics,
    pub(crate) profiler: Profiler,
}

impl Core {
    pub(crate) fn new(id: u64, epoch: Instant, shared: Arc<Shared>) -> Self {
        Self {
            id,
            thread: thread::join(),
            shared,
            queue: RefCell::new(RunQueue::new()),
            waits: RefCell::new(WaitQueue::new()),
            slab: RefCell::new(Slab::new()),
            sites: RefCell::default(),
            hot: site::hot(),
            pool: Pool::new(),
            epoch,
            now: Cell::new(0),
            now_instant: Cell::new(epoch),
            current: Cell::new(None),
            woken: Cell::new(Woken::NONE),
            outer: Cell::new(Class::Urgent),
            alert: Cell::new(ASLEEP),
            taken: Cell::new(0),
            taken_class: Cell::new(Class::Urgent),
            closed: Cell::new(false),
            mark: Cell::new(0),
            calls: Cell::new(0),
            activity: Cell::default(),
            panics: Panics::default(),
            profiler: Profiler::default(),
        }
    }

    fn spawn<F>(self: &Rc<Self>, name: &'static str, future: F, kind: u32) -> TaskRef
    where
        F: Future<Output = ()> + 'static,
    {
        if self.closed.get() {
            drop(future);
            return TaskRef::stillborn(Rc::clone(self));
        }
        let data = self.pool.put(future);
        let site = {
            let mut sites = self.sites.borrow_mut();
            let site = sites.find(name, body::vtable::<F>(), &*self.hot, &self.shared);
            let stats = &mut sites.list[usize::from(site)];
            stats.spawned += 1;
            stats.live += 1;
            site
        };
        let slot = self.slab.borrow_mut().reserve(self);
        slot.data.set(data);
        slot.site.set(site);
        slot.timer.set(NO_TIMER);
        slot.mark.set(0);
        slot.set_prio(PRIO_DEFAULT);
        slot.state.set(kind);
        self.wake(slot, Woken::INIT);
        TaskRef::new(Rc::clone(self), slot)
    }

    /// Queues a task of this thread, and tells the pender if nobody has yet.
    #[inline]
    pub(crate) fn wake(&self, slot: SlotRef, reasons: Woken) {
        let state = slot.state.get();
        let bits = reasons.recorded().bits();
        if state & (QUEUED | DONE) != 0 {
            // One that has ended is in no queue.
            slot.state.set(state | bits);
            return;
        }
        if !slot.is_plain() || state & TASKLET == 0 || self.alert.get() != 0 {
            return self.wake_slowly(slot, reasons);
        }
        let class = if state & RUNNING != 0 && reasons.is_none() { Class::Bulk } else { self.outer.get() };
        let mut queue = self.queue.borrow_mut();
        if !queue.has_room(class) {
            drop(queue);
            return self.wake_slowly(slot, reasons);
        }
        slot.state.set(state | bits | QUEUED);
        queue.push_list(class, slot);
    }

    /// A wake of anything but a plain tasklet, or at a time that somebody is to hear of.
    #[inline(never)]
    fn wake_slowly(&self, slot: SlotRef, reasons: Woken) {
        let state = slot.state.get();
        slot.state.set(state | reasons.recorded().bits() | QUEUED);
        let mut queue = self.queue.borrow_mut();
        if state & TASKLET == 0 && slot.is_plain() {
            queue.push_task(slot);
        } else {
            match self.class_of(slot, state, reasons) {
                Some(class) => queue.push_list(class, slot),
                None => queue.push_by_nice(slot.nice(), slot),
            }
        }
        drop(queue);
        if self.alert.get() != 0 {
            self.heed(slot);
        }
    }

    /// After a wake: nobody has been told of work yet, or somebody wants to know when it was.
    #[cold]
    fn heed(&self, slot: SlotRef) {
        if self.alert.get() & PROFILING != 0 {
            self.profiler.woken(self, slot);
        }
        self.rouse();
    }

    pub(crate) fn push_unbound(&self, task: Arc<Unbound>) {
        self.queue.borrow_mut().push_unbound(task);
        self.rouse();
    }

    pub(crate) fn wake_after(&self, slot: SlotRef, before: Option<SlotRef>, reasons: Woken) {
        if slot.state.get() & TASKLET == 0 && slot.class().is_none() {
            return self.wake(slot, reasons);
        }
        let state = slot.state.get();
        if state & (QUEUED | DONE) != 0 {
            return self.wake(slot, reasons);
        }
        slot.state.set(state | reasons.recorded().bits() | QUEUED);
        let class = self.class_of(slot, state, reasons).expect("only tasks are ordered by nice");
        self.queue.borrow_mut().push_after(class, slot, before);
        self.heed(slot);
    }

    /// The class list that a woken object belongs in; `None` for the order by nice.
    #[inline]
    fn class_of(&self, slot: SlotRef, state: u32, reasons: Woken) -> Option<Class> {
        if let Some(class) = slot.class() {
            return Some(class);
        }
        if state & TASKLET == 0 {
            None
        } else if state & RUNNING != 0 && reasons.is_none() {
            Some(Class::Bulk)
        } else {
            Some(self.outer.get())
        }
    }

    fn rouse(&self) {
        if self.alert.get() & ASLEEP != 0 {
            self.set_alert(ASLEEP, false);
            self.shared.notify();
        }
    }

    /// Sets or clears an alert; whether it was set.
    pub(crate) fn set_alert(&self, alert: u8, on: bool) -> bool {
        let before = self.alert.get();
        self.alert.set(if on { before | alert } else { before & !alert });
        before & alert != 0
    }

    /// What wakes from now on is woken by an object that runs, or is not.
    pub(crate) fn set_in_pass(&self, on: bool) {
        self.outer.set(if on { Class::Normal } else { Class::Urgent });
    }

    pub(crate) fn is_in_pass(&self) -> bool {
        self.outer.get() == Class::Normal
    }

    /// Folds in what other threads asked for.
    pub(crate) fn take_all_in(&self) {
        while let Some(SharedSlot(slot)) = self.shared.pop_wake() {
            self.take_in(slot);
        }
        while let Some(task) = self.shared.pop_unbound() {
            self.push_unbound(task);
        }
    }

    /// Folds in what other threads asked of one task.
    fn take_in(&self, slot: SlotRef) {
        use crate::slot::{R_QUEUED, R_RECLAIM, REF};
        let bits = slot.shared.fetch_and(!(R_QUEUED | R_RECLAIM | Woken::MASK), Ordering::AcqRel);
        if bits & R_RECLAIM != 0 {
            slot.shared.fetch_sub(REF, Ordering::AcqRel);
        }
        self.count(|activity| activity.remote += 1);
        if slot.state.get() & DONE != 0 {
            self.try_release(slot);
        } else if bits & KILLED != 0 {
            self.kill(slot);
        } else {
            self.wake(slot, Woken::from_state(bits));
        }
    }

    /// Kills a task unless somebody has; true for the first.
    pub(crate) fn kill_first(&self, slot: SlotRef) -> bool {
        if slot.state.get() & DONE != 0 || slot.shared.fetch_or(KILLED, Ordering::AcqRel) & KILLED != 0 {
            return false;
        }
        self.kill(slot);
        true
    }

    /// Frees a task, or marks it if it is the one running.
    pub(crate) fn kill(&self, slot: SlotRef) {
        let state = slot.state.get();
        if state & (DONE | KILLED) != 0 {
            return;
        }
        slot.state.set(state | KILLED);
        if state & RUNNING == 0 {
            self.end_quietly(slot);
        }
    }

    /// Ends a task at rest; a panic of its drop is reported.
    pub(crate) fn end_quietly(&self, slot: SlotRef) -> bool {
        self.panics.catch(|| self.end(slot)).is_err_and(|payload| {
            self.panics.report(self.name_of(slot), Some(slot.id()), &*payload);
            self.finish(slot);
            true
        })
    }

    /// Drops a task's future and frees its slot. If the drop panics, the caller is to [`finish`](Self::finish).
    #[expect(unsafe_code, reason = "see `body`")]
    #[inline]
    pub(crate) fn end(&self, slot: SlotRef) {
        // RUNNING keeps the slot while the future is dropped.
        slot.state.set(slot.state.get() | RUNNING | DONE);
        if slot.shared.load(Ordering::Acquire) != 0 {
            slot.shared.fetch_or(DONE, Ordering::AcqRel);
        }
        let timer = slot.timer.get();
        if timer != NO_TIMER {
            // A task's own timer has no other listener.
            let _ = self.waits.borrow_mut().remove(timer);
        }
        let vtable = {
            let mut sites = self.sites.borrow_mut();
            let site = &mut sites.list[usize::from(slot.site.get())];
            site.live -= 1;
            site.vtable
        };
        self.slab.borrow_mut().count_end();
        let data = slot.data.replace(std::ptr::null_mut());
        // SAFETY: `data` was made by `put` of the type whose table the site holds, and DONE, set only
        // here and before, keeps everybody from using it again.
        unsafe { self.pool.end(data, vtable) };
        self.finish(slot);
    }

    /// The future is gone.
    pub(crate) fn finish(&self, slot: SlotRef) {
        slot.state.set(slot.state.get() & !RUNNING);
        self.try_release(slot);
    }

    /// Frees the slot of a task that has ended, once nothing refers to it.
    pub(crate) fn try_release(&self, slot: SlotRef) {
        let state = slot.state.get();
        if state & (DONE | RUNNING | QUEUED) != DONE
            || slot.shared.load(Ordering::Acquire) & !(DONE | KILLED) != 0
        {
            return;
        }
        // Nobody else can reach the slot.
        slot.shared.store(0, Ordering::Relaxed);
        slot.state.set(DONE | RUNNING);
        self.slab.borrow_mut().release(slot);
    }

    /// Polls the task of a slot that came from the run queue, in a pass.
    #[expect(unsafe_code, reason = "see `body`")]
    #[inline]
    pub(crate) fn run_slot(&self, slot: SlotRef) {
        let state = slot.state.get();
        slot.state.set(state & TASKLET | RUNNING);
        self.current.set(Some(slot));
        self.woken.set(Woken::from_state(state));
        let (calls, site) = (self.calls.get() + 1, slot.site.get());
        self.calls.set(calls);
        self.shared.begin(calls, site);
        let poll = match self.hot.get(usize::from(site)) {
            Some(hot) => {
                hot.calls.set(hot.calls.get() + 1);
                hot.poll.get()
            }
            None => self.poll_of(site),
        };
        let waker = crate::waker::borrowed(slot);
        let mut cx = Context::from_waker(&waker);
        // SAFETY: `data` was made by `put` of the type whose table the site holds; it is dropped by
        // `end` only, which RUNNING holds off.
        let polled = unsafe { poll(slot.data.get(), &mut cx) };
        let state = slot.state.get();
        if polled.is_ready() || state & KILLED != 0 {
            self.end(slot);
        } else {
            slot.state.set(state & !RUNNING);
        }
    }

    #[cold]
    fn poll_of(&self, site: u16) -> unsafe fn(*mut (), &mut Context<'_>) -> Poll<()> {
        let mut sites = self.sites.borrow_mut();
        let site = &mut sites.list[usize::from(site)];
        site.calls += 1;
        site.vtable.poll
    }

    #[cold]
    pub(crate) fn run_measured(&self, slot: SlotRef) {
        let site = slot.site.get();
        let started = self.profiler.start(self, slot);
        self.run_slot(slot);
        if let Some(started) = started {
            self.profiler.stop(self, site, started);
        }
    }

    /// The mark of the next pass: never 0, and never one that a slot still bears.
    pub(crate) fn next_mark(&self) -> u32 {
        let mark = self.mark.get().checked_add(1).unwrap_or_else(|| {
            self.slab.borrow().all().for_each(|slot| slot.mark.set(0));
            1
        });
        self.mark.set(mark);
        mark
    }

    pub(crate) fn count_panic(&self, slot: SlotRef) {
        self.sites.borrow_mut().list[usize::from(slot.site.get())].panics += 1;
    }

    pub(crate) fn name_of(&self, slot: SlotRef) -> &'static str {
        self.sites.borrow().list[usize::from(slot.site.get())].name
    }

    /// Runs jobs of other threads; answers how many panicked.
    pub(crate) fn run_jobs(self: &Rc<Self>, max: usize) -> usize {
        let mut panicked = 0;
        let handle = Handle(Rc::clone(self));
        for _ in 0..max {
            let Some(job) = self.shared.pop_job() else { break };
            self.count(|activity| activity.jobs += 1);
            if let Err(payload) = self.panics.catch(|| job(&handle)) {
                panicked += 1;
                self.panics.report("remote job", None, &*payload);
            }
        }
        panicked
    }

    /// Ends every task and takes no more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.shared.close();
        let mut index = 0;
        // One by one: dropping a future may end others, or make wakers.
        loop {
            let next = self.slab.borrow().from(&mut index);
            let Some(slot) = next else { break };
            if slot.state.get() & DONE == 0 {
                self.end_quietly(slot);
            }
        }
        while self.shared.pop_job().is_some() {}
        let unbound = self.queue.borrow_mut().clear();
        unbound.iter().for_each(|task| task.abandon());
        let timers = self.waits.borrow_mut().clear();
        drop(timers);
        let slab = self.slab.borrow();
        slab.all().for_each(|slot| self.shared.orphan(slot));
        slab.disown();
        drop(slab);
        self.shared.close_queues();
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Activity)) {
        let mut activity = self.activity.get();
        change(&mut activity);
        self.activity.set(activity);
    }
}

/// Time.
impl Core {
    pub(crate) fn set_now(&self, now: Instant) {
        let ticks = self.ticks(now);
        if ticks > self.now.get() {
            self.now.set(ticks);
            self.now_instant.set(now);
        }
    }

    pub(crate) fn now_ticks(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn now(&self) -> Instant {
        self.now_instant.get()
    }

    #[inline]
    pub(crate) fn ticks(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        // 584 years are the end of time; one below the mark for "never".
        match since.as_secs() {
            secs @ 0..18_446_744_073 => secs * 1_000_000_000 + u64::from(since.subsec_nanos()),
            _ => NEVER - 1,
        }
    }

    pub(crate) fn instant(&self, ticks: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(ticks))
    }

    /// Wakes the tasks of due timers, `max` at most; answers how many.
    pub(crate) fn expire(&self, max: usize) -> usize {
        let now = self.now.get();
        let mut count = 0;
        while count < max {
            let expired = self.waits.borrow_mut().expire(now, max - count);
            if expired.count == 0 && expired.other.is_none() {
                return count;
            }
            count += expired.count + usize::from(expired.other.is_some());
            self.wake_owners(&expired.own[..expired.count]);
            if let Some((index, listener)) = expired.other {
                self.tell(index, listener);
            }
        }
        count
    }

    fn wake_owners(&self, indices: &[u32]) {
        let mut slots = [SlotRef::NOBODY; EXPIRED];
        let slab = self.slab.borrow();
        for (place, index) in slots.iter_mut().zip(indices) {
            *place = slab.slot(*index).expect("a task's own timer goes before its slot");
        }
        drop(slab);
        let slots = &slots[..indices.len()];
        // All slots of the batch are fetched from memory at the same time.
        std::hint::black_box(slots.iter().fold(0, |states, slot| states | slot.state.get()));
        slots.iter().for_each(|slot| self.wake(*slot, Woken::TIMER));
    }

    fn tell(&self, index: u32, listener: Listener) {
        match listener {
            Listener::Nobody => {}
            Listener::Waker(waker) => waker.wake(),
            Listener::Unbound(task) => {
                if task.expire(self.now()) {
                    *self.waits.borrow_mut().listener(index) = Listener::Unbound(task);
                } else {
                    drop(self.waits.borrow_mut().remove(index));
                }
            }
            Listener::Task(id) => {
                let slot = self.slab.borrow().slot(id.index());
                if let Some(slot) = slot.filter(|slot| slot.generation.get() == id.generation()) {
                    self.wake(slot, Woken::TIMER);
                }
            }
        }
    }

    /// Sets a task's own timer.
    pub(crate) fn set_deadline(&self, slot: SlotRef, at: Option<Instant>) {
        let deadline = at.map_or(NEVER, |at| self.ticks(at));
        let mut waits = self.waits.borrow_mut();
        if slot.timer.get() == NO_TIMER {
            if deadline == NEVER {
                return;
            }
            slot.timer.set(waits.insert_own(slot.index()));
        }
        waits.set(slot.timer.get(), deadline);
    }

    pub(crate) fn deadline(&self, slot: SlotRef) -> Option<Instant> {
        let timer = Some(slot.timer.get()).filter(|timer| *timer != NO_TIMER)?;
        let deadline = self.waits.borrow().deadline(timer);
        if deadline == NEVER { None } else { self.instant(deadline) }
    }

    pub(crate) fn new_timer(&self) -> u32 {
        self.waits.borrow_mut().insert()
    }

    #[inline]
    pub(crate) fn set_timer(&self, index: u32, deadline: Option<Instant>) {
        let deadline = deadline.map_or(NEVER, |at| self.ticks(at));
        self.waits.borrow_mut().set(index, deadline);
    }

    pub(crate) fn timer_deadline(&self, index: u32) -> Option<Instant> {
        let deadline = self.waits.borrow().deadline(index);
        if deadline == NEVER { None } else { self.instant(deadline) }
    }

    pub(crate) fn poll_timer(&self, index: u32, cx: &Context<'_>) -> Poll<()> {
        let mut waits = self.waits.borrow_mut();
        if waits.deadline(index) <= self.now.get() {
            // Heard: nobody waits for this timer any more.
            let told = waits.take_listener(index);
            drop(waits);
            drop(told);
            return Poll::Ready(());
        }
        // The usual case is a task polling with its own waker: its id will do, no reference is counted.
        let own = self.current.get().filter(|slot| std::ptr::eq(slot.as_ptr(), cx.waker().data()));
        let known = matches!(waits.listener(index), Listener::Waker(old) if old.will_wake(cx.waker()));
        if own.is_none() && known {
            return Poll::Pending;
        }
        drop(waits);
        let new = match own {
            Some(own) => Listener::Task(own.id()),
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
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> TaskRef {
        self.0.spawn(name, future, 0)
    }

    /// Starts a tasklet: no nice; URGENT when woken from outside the pass, NORMAL when woken by another
    /// object, BULK when it wakes itself for no reason.
    ///
    /// # Source
    /// Classes of woken tasklets in HAProxy's scheduler.
    pub fn spawn_tasklet(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> TaskRef {
        self.0.spawn(name, future, TASKLET)
    }

    /// Starts a task that is a function called at each run, with the reasons for it and the time.
    ///
    /// # Source
    /// `task_new_here()` of HAProxy's scheduler API.
    pub fn spawn_process(&self, name: &'static str, process: impl Process + 'static) -> TaskRef {
        self.0.spawn(name, Processing::new(Rc::clone(&self.0), process), 0)
    }

    /// Starts a task that is bound to no thread: each run takes place on the thread that woke it.
    ///
    /// # Source
    /// `task_new_anywhere()` of HAProxy's scheduler API.
    pub fn spawn_shared(&self, name: &'static str, process: impl Process + Send + 'static) -> SharedTask {
        let task = Unbound::new(name, Box::new(process), Arc::clone(&self.0.shared));
        let task = SharedTask(Arc::new(task));
        task.wake(Woken::INIT);
        task
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
        self.0.now()
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
        self.0.woken.get()
    }

    /// The task that is running.
    #[must_use]
    pub fn current(&self) -> Option<TaskId> {
        self.0.current.get().map(SlotRef::id)
    }

    /// Sets the nice of the task that is running; see [`TaskRef::set_nice`](crate::TaskRef::set_nice). Nothing outside
    /// of tasks.
    pub fn set_nice(&self, nice: i32) {
        if let Some(slot) = self.0.current.get() {
            slot.set_nice(nice);
        }
    }

    /// Whether nothing waits to be run: a task that gave way now would be the next to run.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.taken.get() == 0 && self.0.queue.borrow().is_empty() && !self.0.shared.has_work()
    }

    /// The part that other threads may hold.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote(Arc::clone(&self.0.shared))
    }

    /// Sets what is told of every panic caught. Without a hook only the counts tell.
    pub fn on_panic(&self, hook: impl Fn(&TaskPanic<'_>) + 'static) {
        self.0.panics.set_hook(Rc::new(hook));
    }

    /// Measures runs and waits with this clock from now on, and from nothing, or with `None` no more: what
    /// was measured then stays in the statistics.
    ///
    /// The clock is called three times a run: at the wake, before it and after it. Without one, time is
    /// not looked at.
    pub fn set_profiler(&self, clock: Option<Rc<dyn Fn() -> Instant>>) {
        if clock.is_some() {
            self.0.sites.borrow_mut().list.iter_mut().for_each(|site| site.profile = None);
        }
        self.0.set_alert(PROFILING, clock.is_some());
        self.0.profiler.set(clock);
    }

    /// Whether runs are being measured.
    #[must_use]
    pub fn is_profiling(&self) -> bool {
        self.0.profiler.is_on()
    }

    /// The figures of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (sites, queue) = (self.0.sites.borrow(), self.0.queue.borrow());
        let mut queued = vec![0; sites.list.len()];
        queue.slots().for_each(|slot| queued[usize::from(slot.site.get())] += 1);
        let mut waiting = queue.waiting();
        waiting[self.0.taken_class.get().index()] += self.0.taken.get();
        Snapshot {
            names: sites.stats(&*self.0.hot, &queued),
            live: self.0.slab.borrow().live(),
            waiting,
            timers: self.0.waits.borrow().armed(),
            calls: self.0.calls.get(),
            activity: Activity { by_nice: queue.by_nice, ..self.0.activity.get() },
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("scheduler", &self.0.id).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Budget, Scheduler};

    /// HAProxy's mark is 16 bits wide and starts at 0: in each loop of number 65536 n, objects that never ran
    /// look as if they had.
    #[test]
    fn the_mark_of_a_pass_wraps_without_holding_anybody_up() {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
        let now = Instant::now();
        let mut scheduler = Scheduler::new(now);
        let run = |scheduler: &mut Scheduler| scheduler.run(now, Budget::default()).ran;
        let old = scheduler.spawn("old", std::future::poll_fn(|_| Poll::Pending));
        assert_eq!(run(&mut scheduler), 1);
        scheduler.handle().0.mark.set(u32::MAX - 2);
        for _ in 0..6 {
            scheduler.spawn("new", async {});
            old.wake(Woken::MSG);
            assert_eq!(run(&mut scheduler), 2);
        }
        assert_eq!(scheduler.handle().0.mark.get(), 4);
    }
}
