//! The run queue of one thread: four class lists and, for tasks, an order by nice.
//!
//! ```text
//!   URGENT  [ tasklet tasklet … ]
//!   NORMAL  [ tasklet … ]  +  by place: fifo (nice 0) and rounds (any other nice)  +  [ unbound … ]
//!   BULK    [ tasklet … ]
//!   HEAVY   [ … ]
//! ```
//!
//! A task's place is the number of the pass it was woken before, plus its nice: one unit of nice is worth
//! what is woken during one pass, as in HAProxy, where it is worth a pass's depth. Places of nice 0 grow, so
//! those tasks need no more than a fifo, and only niced tasks pay for [`Rounds`].
//!
//! INVARIANT: an object is in at most one place here, as its QUEUED bit says.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::budget::Class;
use crate::rounds::Rounds;
use crate::slot::{SlotRef, TASKLET};
use crate::unbound::Unbound;

pub(crate) struct RunQueue {
    lists: [VecDeque<SlotRef>; 4],
    fifo: VecDeque<(u64, SlotRef)>,
    rounds: Rounds,
    unbound: VecDeque<Arc<Unbound>>,
    /// The place of a task of nice 0 that is woken now.
    place: u64,
    tasks_turn: bool,
    /// What came up a second time in this pass, of which class.
    deferred: Vec<(Class, SlotRef)>,
    deferred_unbound: Vec<Arc<Unbound>>,
    /// Tasks taken from the order by nice so far.
    pub(crate) by_nice: u64,
}

const NORMAL: usize = Class::Normal as usize;
/// The place of pass 0: beyond the reach of any nice.
const FIRST: u64 = 2048;

impl RunQueue {
    pub(crate) fn new() -> Self {
        Self {
            lists: Default::default(),
            fifo: VecDeque::new(),
            rounds: Rounds::new(FIRST),
            unbound: VecDeque::new(),
            place: FIRST,
            tasks_turn: false,
            deferred: Vec::new(),
            deferred_unbound: Vec::new(),
            by_nice: 0,
        }
    }

    /// Objects waiting in each class, those put aside for the next pass excepted.
    pub(crate) fn waiting(&self) -> [usize; 4] {
        let mut waiting = [0; 4];
        for (count, list) in waiting.iter_mut().zip(&self.lists) {
            *count = list.len();
        }
        waiting[NORMAL] += self.fifo.len() + self.rounds.len() + self.unbound.len();
        waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting() == [0; 4] && self.deferred.is_empty() && self.deferred_unbound.is_empty()
    }

    #[inline]
    pub(crate) fn push_list(&mut self, class: Class, slot: SlotRef) {
        self.lists[class.index()].push_back(slot);
    }

    /// Whether a list takes one more without growing.
    #[inline]
    pub(crate) fn has_room(&self, class: Class) -> bool {
        let list = &self.lists[class.index()];
        list.len() < list.capacity()
    }

    /// Puts a slot right after another of its class, or in front of all.
    pub(crate) fn push_after(&mut self, class: Class, slot: SlotRef, before: Option<SlotRef>) {
        let list = &mut self.lists[class.index()];
        let place = before.and_then(|before| list.iter().position(|other| *other == before));
        list.insert(place.map_or(0, |place| place + 1), slot);
    }

    /// A task of nice 0.
    #[inline]
    pub(crate) fn push_task(&mut self, slot: SlotRef) {
        self.fifo.push_back((self.place, slot));
    }

    pub(crate) fn push_by_nice(&mut self, nice: i32, slot: SlotRef) {
        if nice == 0 {
            self.push_task(slot);
        } else {
            self.rounds.push(self.place.saturating_add_signed(i64::from(nice)), slot);
        }
    }

    pub(crate) fn push_unbound(&mut self, unbound: Arc<Unbound>) {
        self.unbound.push_back(unbound);
    }

    /// Begins pass number `pass`.
    pub(crate) fn begin_pass(&mut self, pass: u64) {
        self.place = FIRST + pass;
        self.rounds.begin(self.place);
    }

    /// Puts what was deferred back in front: it was woken before what was woken later in the pass.
    pub(crate) fn end_pass(&mut self) {
        while let Some((class, slot)) = self.deferred.pop() {
            if slot.state.get() & TASKLET != 0 || slot.class().is_some() {
                self.lists[class.index()].push_front(slot);
            } else if slot.nice() == 0 {
                self.fifo.push_front((self.place, slot));
            } else {
                self.push_by_nice(slot.nice(), slot);
            }
        }
        while let Some(unbound) = self.deferred_unbound.pop() {
            self.unbound.push_front(unbound);
        }
        self.place += 1;
    }

    /// Takes the next objects of a class, at most as many as `into` has room for and `max`.
    pub(crate) fn take(&mut self, class: Class, max: usize, into: &mut Batch) {
        let max = max.min(BATCH);
        if class == Class::Normal && self.lists[NORMAL].is_empty() && self.rounds.len() == 0 {
            let count = self.fifo.as_slices().0.len().min(max);
            for (into, (_, slot)) in into.slots.iter_mut().zip(self.fifo.drain(..count)) {
                *into = slot;
            }
            self.by_nice += count as u64;
            return into.fill(count);
        }
        if class == Class::Normal && !(self.fifo.is_empty() && self.rounds.len() == 0) {
            return self.take_normal(max, into);
        }
        let list = &mut self.lists[class.index()];
        let count = list.as_slices().0.len().min(max);
        into.slots[..count].copy_from_slice(&list.as_slices().0[..count]);
        list.drain(..count);
        into.fill(count);
    }

    /// Tasklets and tasks of the class take turns, so that neither crowds the other out.
    fn take_normal(&mut self, max: usize, into: &mut Batch) {
        let mut count = 0;
        while count < max {
            self.tasks_turn = !self.tasks_turn;
            let next = if self.tasks_turn {
                self.pop_task().or_else(|| self.lists[NORMAL].pop_front())
            } else {
                self.lists[NORMAL].pop_front().or_else(|| self.pop_task())
            };
            let Some(slot) = next else { break };
            into.slots[count] = slot;
            count += 1;
        }
        into.fill(count);
    }

    #[inline]
    fn pop_task(&mut self) -> Option<SlotRef> {
        let fifo = self.fifo.front().map(|(place, _)| *place);
        let slot = if self.rounds.len() == 0 {
            self.fifo.pop_front()?.1
        } else {
            match self.rounds.pop_before(fifo.unwrap_or(u64::MAX)) {
                Some(slot) => slot,
                None => self.fifo.pop_front()?.1,
            }
        };
        self.by_nice += 1;
        Some(slot)
    }

    pub(crate) fn pop_unbound(&mut self) -> Option<Arc<Unbound>> {
        self.unbound.pop_front()
    }

    pub(crate) fn has_unbound(&self) -> bool {
        !self.unbound.is_empty()
    }

    /// Keeps an object that has already run in this pass for the next one.
    pub(crate) fn defer(&mut self, class: Class, slot: SlotRef) {
        self.deferred.push((class, slot));
    }

    pub(crate) fn defer_unbound(&mut self, unbound: Arc<Unbound>) {
        self.deferred_unbound.push(unbound);
    }

    /// What waits, for the statistics.
    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRef> + '_ {
        let lists = self.lists.iter().flatten().copied();
        let fifo = self.fifo.iter().map(|(_, slot)| *slot);
        lists.chain(fifo).chain(self.rounds.slots()).chain(self.deferred.iter().map(|(_, slot)| *slot))
    }

    /// Hands out the unbound tasks that wait, to be dropped elsewhere.
    pub(crate) fn clear(&mut self) -> Vec<Arc<Unbound>> {
        self.unbound.drain(..).chain(self.deferred_unbound.drain(..)).collect()
    }
}

/// How many objects are taken from the queue at a time.
pub(crate) const BATCH: usize = 32;

/// Objects taken from the queue that are to run next.
pub(crate) struct Batch {
    slots: [SlotRef; BATCH],
    next: usize,
    end: usize,
}

impl Batch {
    /// An empty one; `filler` is never given out.
    pub(crate) fn new(filler: SlotRef) -> Self {
        Self { slots: [filler; BATCH], next: 0, end: 0 }
    }

    fn fill(&mut self, count: usize) {
        (self.next, self.end) = (0, count);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<SlotRef> {
        if self.next == self.end {
            return None;
        }
        let slot = self.slots[self.next % BATCH];
        self.next += 1;
        Some(slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.next
    }
}
