//! The inside of a scheduler, which tasks, timers and wakers of its thread share: spawning, waking, running.
//!
//! How tasks end stands in `ending`, time in `deadlines`.
//!
//! INVARIANT: no borrow of a cell is held while foreign code runs, that is while a future is polled or
//! dropped, a waker is called or cloned by hand, or a hook runs. So all of them may call back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::batch::Batch;
use crate::body::{self, Pool};
use crate::budget::Class;
use crate::handle::Handle;
use crate::panics::Panics;
use crate::profile::Profiler;
use crate::remote::Shared;
use crate::run_queue::RunQueue;
use crate::site::{self, HOT, Hot, Sites};
use crate::slot::{
    DONE, KILLED, NO_TIMER, PRIO_DEFAULT, PRIO_TASKLET, QUEUED, RUNNING, SharedSlot, Slab, SlotRef, TASKLET,
};
use crate::stats::Activity;
use crate::sync::Ordering;
use crate::task::TaskRef;
use crate::thread;
use crate::unbound::Unbound;
use crate::wait_queue::WaitQueue;
use crate::woken::Woken;

/// The scheduler sleeps, and nobody has told the pender of work since.
pub(crate) const ASLEEP: u8 = 1;
/// Wakes are dated.
pub(crate) const PROFILING: u8 = 2;

/// Of `lane`: no list.
const NO_LANE: usize = usize::MAX;

pub(crate) struct Core {
    pub(crate) id: u64,
    pub(crate) thread: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: RefCell<RunQueue>,
    pub(crate) waits: RefCell<WaitQueue>,
    pub(crate) slab: RefCell<Slab>,
    /// Objects that have not ended.
    pub(crate) live: Cell<usize>,
    pub(crate) sites: RefCell<Sites>,
    pub(crate) hot: Box<[Hot; HOT]>,
    pub(crate) pool: Pool,
    pub(crate) epoch: Instant,
    pub(crate) now: Cell<u64>,
    pub(crate) now_instant: Cell<Instant>,
    /// What runs, and why.
    pub(crate) current: Cell<Option<SlotRef>>,
    woken: Cell<u32>,
    /// The class of tasklets that are woken now: NORMAL while objects are being run, else URGENT.
    outer: Cell<Class>,
    /// What a wake has to see to: [`ASLEEP`], [`PROFILING`].
    alert: Cell<u8>,
    /// The list that plain tasklets go to: of the class `outer`, or none while a wake has to see to something.
    lane: Cell<usize>,
    pub(crate) closed: Cell<bool>,
    /// What a pass runs next, and of which class.
    pub(crate) batch: Batch,
    pub(crate) batch_class: Cell<Class>,
    /// Of the last pass; see [`next_mark`](Self::next_mark).
    pub(crate) mark: Cell<u32>,
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
            live: Cell::new(0),
            sites: RefCell::default(),
            hot: site::hot(),
            pool: Pool::new(),
            epoch,
            now: Cell::new(0),
            now_instant: Cell::new(epoch),
            current: Cell::new(None),
            woken: Cell::new(0),
            outer: Cell::new(Class::Urgent),
            alert: Cell::new(ASLEEP),
            lane: Cell::new(NO_LANE),
            closed: Cell::new(false),
            batch: Batch::new(),
            batch_class: Cell::new(Class::Urgent),
            mark: Cell::new(0),
            activity: Cell::default(),
            panics: Panics::default(),
            profiler: Profiler::default(),
        }
    }

    pub(crate) fn spawn<F>(self: &Rc<Self>, name: &'static str, future: F, kind: u32) -> TaskRef
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
            site
        };
        self.live.set(self.live.get() + 1);
        let slot = self.slab.borrow_mut().reserve(self);
        slot.data.set(data);
        slot.site.set(site);
        slot.timer.set(NO_TIMER);
        slot.mark.set(0);
        slot.set_prio(if kind == TASKLET { PRIO_TASKLET } else { PRIO_DEFAULT });
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
        if slot.is_plain_tasklet() && !(reasons.is_none() && state & RUNNING != 0) {
            let mut queue = self.queue.borrow_mut();
            if let Some(list) = queue.lists.get_mut(self.lane.get())
                && list.has_room()
            {
                list.push(slot);
                slot.state.set(state | bits | QUEUED);
                return;
            }
        }
        self.wake_slowly(slot, reasons);
    }

    /// A wake of anything but a plain tasklet, or at a time that somebody is to hear of.
    #[inline(never)]
    fn wake_slowly(&self, slot: SlotRef, reasons: Woken) {
        let state = slot.state.get();
        slot.state.set(state | reasons.recorded().bits() | QUEUED);
        let mut queue = self.queue.borrow_mut();
        match self.class_of(slot, state, reasons) {
            Some(class) => queue.push_list(class, slot),
            None => queue.push_by_nice(slot.nice(), slot),
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
        let mut queue = self.queue.borrow_mut();
        let next = class == self.batch_class.get() && self.batch.len() > 0;
        let in_batch = next && before.is_none_or(|before| self.batch.contains(before));
        if in_batch && !self.batch.push_after(slot, before) {
            // No room ahead of the batch: it goes back where it came from.
            queue.put_back(class, &self.batch.clear());
            queue.push_after(class, slot, before);
        } else if !in_batch {
            queue.push_after(class, slot, before);
        }
        drop(queue);
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
        self.choose_lane();
        before & alert != 0
    }

    fn choose_lane(&self) {
        self.lane.set(if self.alert.get() == 0 { self.outer.get().index() } else { NO_LANE });
    }

    /// Why the running task was woken.
    pub(crate) fn woken(&self) -> Woken {
        Woken::from_state(self.woken.get())
    }

    /// Nothing runs any more.
    pub(crate) fn forget_reasons(&self) {
        self.woken.set(0);
    }

    /// What wakes from now on is woken by an object that runs, or is not.
    pub(crate) fn set_in_pass(&self, on: bool) {
        self.outer.set(if on { Class::Normal } else { Class::Urgent });
        self.choose_lane();
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

    /// Polls the task of a slot that came from the run queue in this state, in a pass.
    #[expect(unsafe_code, reason = "see `body`")]
    #[inline]
    pub(crate) fn run_slot(&self, slot: SlotRef, state: u32) {
        slot.state.set(state & TASKLET | RUNNING);
        self.current.set(Some(slot));
        self.woken.set(state);
        let site = slot.site.get();
        self.shared.begin(site);
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
        self.run_slot(slot, slot.state.get());
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

    pub(crate) fn count(&self, change: impl FnOnce(&mut Activity)) {
        let mut activity = self.activity.get();
        change(&mut activity);
        self.activity.set(activity);
    }
}
