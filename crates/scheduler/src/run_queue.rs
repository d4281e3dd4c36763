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
use crate::slot::SlotRef;
use crate::unbound::Unbound;

/// What a class gives out.
pub(crate) enum Next {
    Slot(SlotRef, Source),
    Unbound(Arc<Unbound>),
}

/// Where an object was taken from, so that it can be put back.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    List(Class),
    Fifo(u64),
    Rounds(u64),
}

pub(crate) struct RunQueue {
    lists: [VecDeque<SlotRef>; 4],
    fifo: VecDeque<(u64, SlotRef)>,
    rounds: Rounds,
    unbound: VecDeque<Arc<Unbound>>,
    /// The number of the pass, or of the one to come.
    pass: u64,
    turn: u8,
    /// Sources that are done for this pass.
    closed: [bool; 4],
    fifo_closed: bool,
    unbound_closed: bool,
    /// Niced tasks that came up a second time in this pass.
    deferred: Vec<(u64, SlotRef)>,
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
            pass: FIRST,
            turn: 0,
            closed: [false; 4],
            fifo_closed: false,
            unbound_closed: false,
            deferred: Vec::new(),
            by_nice: 0,
        }
    }

    /// Objects waiting in each class.
    pub(crate) fn waiting(&self) -> [usize; 4] {
        let mut waiting = [0; 4];
        for (count, list) in waiting.iter_mut().zip(&self.lists) {
            *count = list.len();
        }
        waiting[NORMAL] += self.fifo.len() + self.rounds.len() + self.deferred.len() + self.unbound.len();
        waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting() == [0; 4]
    }

    #[inline]
    pub(crate) fn push_list(&mut self, class: Class, slot: SlotRef) {
        self.lists[class.index()].push_back(slot);
    }

    /// Puts a slot right after another of its class, or in front of all.
    pub(crate) fn push_after(&mut self, class: Class, slot: SlotRef, before: Option<SlotRef>) {
        let list = &mut self.lists[class.index()];
        let place = before.and_then(|before| list.iter().position(|other| *other == before));
        list.insert(place.map_or(0, |place| place + 1), slot);
    }

    #[inline]
    pub(crate) fn push_by_nice(&mut self, nice: i32, slot: SlotRef) {
        if nice == 0 {
            self.fifo.push_back((self.pass, slot));
        } else {
            self.rounds.push(self.pass.saturating_add_signed(i64::from(nice)), slot);
        }
    }

    pub(crate) fn push_unbound(&mut self, unbound: Arc<Unbound>) {
        self.unbound.push_back(unbound);
    }

    /// Opens all sources for a new pass.
    pub(crate) fn begin_pass(&mut self, pass: u64) {
        self.pass = FIRST + pass;
        self.rounds.begin(self.pass);
        self.closed = [false; 4];
        self.fifo_closed = false;
        self.unbound_closed = false;
    }

    /// Puts the deferred tasks back in their places.
    pub(crate) fn end_pass(&mut self) {
        self.pass += 1;
        for (place, slot) in self.deferred.drain(..) {
            self.rounds.push(place, slot);
        }
    }

    /// Takes the next object of `class` that may still run in this pass.
    #[inline]
    pub(crate) fn pop(&mut self, class: Class) -> Option<Next> {
        if class == Class::Normal { self.pop_normal() } else { self.pop_list(class) }
    }

    /// Tasklets, tasks and unbound tasks of the class take turns, so that none crowds the others out.
    fn pop_normal(&mut self) -> Option<Next> {
        for _ in 0..3 {
            self.turn = if self.turn == 2 { 0 } else { self.turn + 1 };
            let next = match self.turn {
                0 => self.pop_by_place(),
                1 => self.pop_list(Class::Normal),
                _ => self.pop_unbound(),
            };
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Puts back an object that has already run in this pass, and closes its source: what stands
    /// behind it was queued later still.
    pub(crate) fn put_back(&mut self, slot: SlotRef, source: Source) {
        match source {
            Source::List(class) => {
                self.lists[class.index()].push_front(slot);
                self.closed[class.index()] = true;
            }
            Source::Fifo(place) => {
                self.fifo.push_front((place, slot));
                self.fifo_closed = true;
            }
            // A task of very low nice comes up first again and again; the others must not wait for it.
            Source::Rounds(place) => self.deferred.push((place, slot)),
        }
    }

    pub(crate) fn put_unbound_back(&mut self, unbound: Arc<Unbound>) {
        self.unbound.push_front(unbound);
        self.unbound_closed = true;
    }

    /// What waits, for the statistics.
    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRef> + '_ {
        let lists = self.lists.iter().flatten().copied();
        let fifo = self.fifo.iter().map(|(_, slot)| *slot);
        lists.chain(fifo).chain(self.rounds.slots()).chain(self.deferred.iter().map(|(_, slot)| *slot))
    }

    /// Forgets everything that waits; unbound tasks are handed out, to be dropped elsewhere.
    pub(crate) fn clear(&mut self) -> Vec<Arc<Unbound>> {
        self.unbound.drain(..).collect()
    }

    #[inline]
    fn pop_list(&mut self, class: Class) -> Option<Next> {
        if self.closed[class.index()] {
            return None;
        }
        let slot = self.lists[class.index()].pop_front()?;
        Some(Next::Slot(slot, Source::List(class)))
    }

    fn pop_by_place(&mut self) -> Option<Next> {
        let fifo = if self.fifo_closed { None } else { self.fifo.front().map(|(place, _)| *place) };
        let next = match (fifo, self.rounds.first()) {
            (Some(first), Some(other)) if other < first => self.pop_rounds(),
            (Some(_), _) => self.fifo.pop_front().map(|(place, slot)| Next::Slot(slot, Source::Fifo(place))),
            (None, _) => self.pop_rounds(),
        };
        self.by_nice += u64::from(next.is_some());
        next
    }

    fn pop_rounds(&mut self) -> Option<Next> {
        let (place, slot) = self.rounds.pop()?;
        Some(Next::Slot(slot, Source::Rounds(place)))
    }

    fn pop_unbound(&mut self) -> Option<Next> {
        if self.unbound_closed {
            return None;
        }
        self.unbound.pop_front().map(Next::Unbound)
    }
}
