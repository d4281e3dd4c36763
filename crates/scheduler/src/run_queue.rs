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

use crate::batch::{BATCH, Batch};
use crate::budget::Class;
use crate::list::List;
use crate::rounds::Rounds;
use crate::slot::{SlotRef, TASKLET};
use crate::unbound::Unbound;

pub(crate) struct RunQueue {
    /// Of the classes.
    pub(crate) lists: [List<SlotRef>; 4],
    fifo: List<(u64, SlotRef)>,
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
            lists: [const { List::new() }; 4],
            fifo: List::new(),
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

    pub(crate) fn push_list(&mut self, class: Class, slot: SlotRef) {
        self.lists[class.index()].push(slot);
    }

    /// Puts slots back in front of their class, first to last.
    #[cold]
    pub(crate) fn put_back(&mut self, class: Class, slots: &[SlotRef]) {
        slots.iter().rev().for_each(|slot| self.lists[class.index()].push_front(*slot));
    }

    /// Puts a slot right after another of its class, or in front of all.
    pub(crate) fn push_after(&mut self, class: Class, slot: SlotRef, before: Option<SlotRef>) {
        self.lists[class.index()].push_after(slot, |other| Some(*other) == before);
    }

    /// A task of nice 0.
    #[inline]
    pub(crate) fn push_task(&mut self, slot: SlotRef) {
        self.fifo.push((self.place, slot));
    }

    #[inline]
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

    /// Takes the next bound objects of a class, at most `max`; answers how many.
    pub(crate) fn take(&mut self, class: Class, max: usize, into: &Batch) -> usize {
        let max = max.min(BATCH);
        if class != Class::Normal || self.tasks() == 0 {
            return into.fill(self.lists[class.index()].take(max).iter().copied());
        }
        let count = if self.lists[NORMAL].len() + self.rounds.len() == 0 {
            into.fill(self.fifo.take(max).iter().map(|(_, slot)| *slot))
        } else {
            self.take_normal(max, into)
        };
        self.by_nice += count as u64;
        count
    }

    /// Tasklets and tasks of the class take turns, so that neither crowds the other out.
    fn take_normal(&mut self, max: usize, into: &Batch) -> usize {
        let (mut slots, mut count) = ([SlotRef::NOBODY; BATCH], 0);
        for place in &mut slots[..max] {
            self.tasks_turn = !self.tasks_turn;
            let next = if self.tasks_turn {
                self.pop_task().or_else(|| self.lists[NORMAL].pop())
            } else {
                self.lists[NORMAL].pop().or_else(|| self.pop_task())
            };
            let Some(slot) = next else { break };
            *place = slot;
            count += 1;
        }
        into.fill(slots[..count].iter().copied())
    }

    #[inline]
    fn tasks(&self) -> usize {
        self.fifo.len() + self.rounds.len()
    }

    #[inline]
    fn pop_task(&mut self) -> Option<SlotRef> {
        if self.rounds.len() > 0 {
            let limit = self.fifo.front().map_or(u64::MAX, |(place, _)| *place);
            if let Some(slot) = self.rounds.pop_before(limit) {
                return Some(slot);
            }
        }
        self.fifo.pop().map(|(_, slot)| slot)
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
        let lists = self.lists.iter().flat_map(List::slots);
        lists
            .chain(self.fifo.slots())
            .chain(self.rounds.slots())
            .chain(self.deferred.iter().map(|(_, slot)| *slot))
    }

    /// Hands out the unbound tasks that wait, to be dropped elsewhere.
    pub(crate) fn clear(&mut self) -> Vec<Arc<Unbound>> {
        self.unbound.drain(..).chain(self.deferred_unbound.drain(..)).collect()
    }
}
