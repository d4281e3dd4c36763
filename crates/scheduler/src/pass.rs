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
    /// Whether the last object of the NORMAL class was an unbound one.
    unbound_turn: bool,
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
            unbound_turn: true,
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

    /// Runs objects of a class as its share and its queue allow, `max` at most.
    fn serve(&mut self, class: Class, max: usize) {
        self.class = class;
        if class == Class::Normal && self.core.queue.borrow().has_unbound() {
            return self.take_turns(max);
        }
        let measured = self.core.profiler.is_on();
        // What turns out to be dead costs the class's share, not the pass's budget, as in HAProxy.
        for _ in 0..self.left[class.index()].min(max) {
            let next = self.core.queue.borrow_mut().pop(class);
            let Some(slot) = next else {
                self.left[class.index()] = 0;
                return;
            };
            self.left[class.index()] -= 1;
            self.run_slot(slot, measured);
        }
    }

    /// Bound and unbound objects of the NORMAL class take turns.
    fn take_turns(&mut self, max: usize) {
        let normal = Class::Normal.index();
        for _ in 0..self.left[normal].min(max) {
            self.left[normal] -= 1;
            self.unbound_turn = !self.unbound_turn;
            if self.unbound_turn && self.run_unbound() {
                continue;
            }
            let next = self.core.queue.borrow_mut().pop(Class::Normal);
            match next {
                Some(slot) => self.run_slot(slot, self.core.profiler.is_on()),
                None if self.run_unbound() => {}
                None => {
                    self.left[normal] = 0;
                    return;
                }
            }
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
    fn run_slot(&mut self, slot: SlotRef, measured: bool) {
        let core = self.core;
        let state = slot.state.get();
        if state & DONE != 0 || slot.shared.load(Ordering::Relaxed) & KILLED != 0 {
            return self.bury(slot);
        }
        if slot.mark.replace(self.mark) == self.mark {
            return core.queue.borrow_mut().defer(self.class, slot);
        }
        self.ran += 1;
        if measured {
            core.run_measured(slot);
        } else {
            core.run_slot(slot, state);
        }
    }

    /// An object that was killed while it waited.
    #[cold]
    fn bury(&self, slot: SlotRef) {
        let state = slot.state.get();
        slot.state.set(state & !QUEUED);
        if state & DONE == 0 {
            self.core.kill(slot);
        } else {
            self.core.try_release(slot);
        }
    }
}
