//! One pass: the objects of a budget, class by class, each at most once.
//!
//! Panics are caught once a pass, not once an object: when one gets here, the object that runs is known,
//! is ended, and the pass goes on where it was.

use std::any::Any;
use std::rc::Rc;

use crate::budget::{Budget, Class, shares};
use crate::core::Core;
use crate::slot::{DONE, KILLED, QUEUED, SlotRef};
use crate::sync::Ordering;
use crate::unbound::UnboundRun;

pub(crate) struct Pass<'a> {
    core: &'a Rc<Core>,
    low_latency: bool,
    /// What tells objects that have run: the number of the pass, in 32 bits.
    mark: u32,
    number: u64,
    limit: usize,
    ran: usize,
    /// What each class may still run in this round, and how many had run before it.
    left: [usize; 4],
    before: usize,
    class: Class,
    /// Classes that are still owed one object in this round, first to last.
    owed: u8,
    first_round: bool,
    /// There are more objects than the nearest cache holds.
    many: bool,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(core: &'a Rc<Core>, budget: Budget, low_latency: bool) -> Self {
        let number = core.activity.get().passes + 1;
        let mut queue = core.queue.borrow_mut();
        queue.begin_pass(number);
        let limit = budget.smoothed(queue.waiting().iter().sum());
        Self {
            core,
            low_latency,
            mark: core.next_mark(),
            number,
            limit,
            ran: 0,
            left: [0; 4],
            before: usize::MAX,
            class: Class::Urgent,
            owed: 4,
            first_round: true,
            many: core.live.get() > CACHED,
        }
    }

    /// Runs it; answers how many objects ran.
    pub(crate) fn run(mut self) -> usize {
        let core = self.core;
        core.set_in_pass(true);
        while let Err(payload) = core.panics.catch(|| self.rounds()) {
            self.end_panicked(&*payload);
        }
        core.queue.borrow_mut().end_pass();
        core.set_in_pass(false);
        core.current.set(None);
        core.forget_reasons();
        core.shared.rest();
        self.ran
    }

    /// The object that was running when a panic came out of it, or out of its drop.
    fn end_panicked(&self, payload: &(dyn Any + Send)) {
        let slot = self.core.current.get().expect("only an object that runs can panic");
        self.core.panics.report(self.core.name_of(slot), Some(slot.id()), payload);
        self.core.count_panic(slot);
        if slot.state.get() & DONE == 0 {
            self.core.end_quietly(slot);
        } else {
            self.core.finish(slot);
        }
    }

    /// Goes on until the budget is spent or nothing may run.
    fn rounds(&mut self) {
        loop {
            self.round();
            if self.ran >= self.limit || self.ran == self.before {
                return;
            }
            let waiting = self.core.queue.borrow().waiting();
            self.left = shares(self.limit - self.ran, waiting, self.low_latency);
            if !std::mem::take(&mut self.first_round) {
                // HEAVY is not refilled within a pass.
                self.left[Class::Heavy.index()] = 0;
            }
            self.before = self.ran;
            self.owed = if self.low_latency { 0 } else { 4 };
        }
    }

    /// Visits the classes in order, each with its share.
    fn round(&mut self) {
        self.finish_batch();
        // Low latency starves nobody: one object of each class, whatever comes in meanwhile.
        while let Some(class) = Class::ALL.get(usize::from(self.owed)) {
            self.owed += 1;
            let before = self.ran;
            while self.ran == before && self.left[class.index()] > 0 {
                self.serve(*class, 1);
            }
        }
        while let Some(class) = Class::ALL.into_iter().find(|class| self.left[class.index()] > 0) {
            if self.low_latency {
                // Whatever has come in for a more urgent class goes first; its share bounds it.
                if self.core.shared.has_wakes() {
                    self.core.take_all_in();
                }
                self.serve(class, 1);
            } else {
                self.serve(class, usize::MAX);
            }
        }
    }

    /// Runs objects of a class as its share and its queue allow, a batch or `max` at most.
    fn serve(&mut self, class: Class, max: usize) {
        let (core, index) = (self.core, class.index());
        let max = self.left[index].min(max);
        if max == 0 {
            return;
        }
        self.class = class;
        core.batch_class.set(class);
        let mut queue = core.queue.borrow_mut();
        let unbound = class == Class::Normal && queue.has_unbound();
        // Bound and unbound objects of the class take turns.
        let taken = queue.take(class, if unbound { 1 } else { max }, &core.batch);
        drop(queue);
        if taken > 1 && self.many {
            core.batch.fetch();
        }
        // What turns out to be dead costs the class's share, not the pass's budget, as in HAProxy.
        self.left[index] -= taken;
        self.ran += taken;
        self.finish_batch();
        if unbound && taken < max && self.run_unbound() {
            self.left[index] -= 1;
        } else if taken == 0 {
            self.left[index] = 0;
        }
    }

    /// Runs what has been taken from the queue. All of it counts as run until it turns out otherwise.
    fn finish_batch(&mut self) {
        let core: &Core = self.core;
        if core.profiler.is_on() {
            while let Some(slot) = core.batch.pop() {
                self.run_slot(slot, |slot, _| core.run_measured(slot));
            }
        }
        while let Some(slot) = core.batch.pop() {
            self.run_slot(slot, |slot, state| core.run_slot(slot, state));
        }
    }

    /// Runs the next unbound object; false if there is none.
    fn run_unbound(&mut self) -> bool {
        let task = self.core.queue.borrow_mut().pop_unbound();
        let Some(task) = task else { return false };
        match task.run(self.core, self.number) {
            UnboundRun::Yes => self.ran += 1,
            UnboundRun::Freed => {}
            UnboundRun::Twice => self.core.queue.borrow_mut().defer_unbound(task),
        }
        true
    }

    /// Runs an object, unless it has ended, is to be freed or has run before.
    #[inline]
    fn run_slot(&mut self, slot: SlotRef, run: impl FnOnce(SlotRef, u32)) {
        let state = slot.state.get();
        if state & DONE != 0 || slot.shared.load(Ordering::Relaxed) & KILLED != 0 {
            self.bury(slot);
        } else if slot.mark.replace(self.mark) == self.mark {
            self.defer(slot);
        } else {
            run(slot, state);
        }
    }

    /// An object that has run before in this pass.
    #[cold]
    fn defer(&mut self, slot: SlotRef) {
        self.ran -= 1;
        self.core.queue.borrow_mut().defer(self.class, slot);
    }

    /// An object that was killed while it waited.
    #[cold]
    fn bury(&mut self, slot: SlotRef) {
        self.ran -= 1;
        let state = slot.state.get();
        slot.state.set(state & !QUEUED);
        if state & DONE == 0 {
            self.core.kill(slot);
        } else {
            self.core.try_release(slot);
        }
    }
}

/// So many slots, with small futures, stay in the nearest cache: fetching them ahead would be lost work.
const CACHED: usize = 256;
