//! Armed timers in order: a hierarchical wheel of nanoseconds.
//!
//! Eleven levels of 64 slots cover all 64 bits, so there is no horizon to wrap at (584 years) and no
//! rounding: a timer fires at its nanosecond or at the first pass after it, never before.
//!
//! ```text
//!   level 0   64 slots of 1 ns        a timer lives on the level of the highest digit (base 64) in which
//!   level 1   64 slots of 64 ns       its expiry differs from `elapsed`, in the slot named by that digit;
//!   …                                 when `elapsed` reaches the slot it moves down, at last into `due`
//!   level 10  16 slots of 36 years
//! ```
//!
//! Placement is lazy, as in HAProxy: a node's place is a lower bound of its deadline. Moving a deadline
//! later, or cancelling, is a store; the node is put right when it is met.
//!
//! INVARIANT: a linked node's `placed` ≤ its `deadline`, and all occupied slots lie after `elapsed`.

use std::task::Waker;

use crate::task::TaskId;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

const NIL: u32 = u32::MAX;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 11;
/// Places of a node that is in no slot.
const NOWHERE: u16 = u16::MAX;
const DUE: u16 = u16::MAX - 1;
/// How many nodes of the first slot are looked at for the exact next expiry.
const SCAN_MAX: usize = 64;

/// Whom a timer wakes: a task of this scheduler, or any waker.
#[derive(Default)]
pub(crate) enum Listener {
    #[default]
    Nobody,
    Task(TaskId),
    Waker(Waker),
}

struct Node {
    deadline: u64,
    placed: u64,
    prev: u32,
    next: u32,
    place: u16,
    listener: Listener,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List { head: NIL, tail: NIL };

pub(crate) struct WaitQueue {
    elapsed: u64,
    occupied: [u64; LEVELS],
    slots: Box<[List]>,
    due: List,
    nodes: Vec<Node>,
    free: u32,
    armed: usize,
    /// Used by `gather`, kept for its memory.
    sorted: Vec<(u64, u32)>,
    /// The next expiry if it is known: `Some(NEVER)` when nothing is armed.
    known_next: Option<u64>,
}

impl WaitQueue {
    pub(crate) fn new() -> Self {
        Self {
            elapsed: 0,
            occupied: [0; LEVELS],
            slots: vec![EMPTY; LEVELS * SLOTS].into_boxed_slice(),
            due: EMPTY,
            nodes: Vec::new(),
            free: NIL,
            armed: 0,
            sorted: Vec::new(),
            known_next: Some(NEVER),
        }
    }

    /// Makes a disarmed timer.
    pub(crate) fn insert(&mut self) -> u32 {
        let node = Node {
            deadline: NEVER,
            placed: NEVER,
            prev: NIL,
            next: NIL,
            place: NOWHERE,
            listener: Listener::Nobody,
        };
        if self.free == NIL {
            self.nodes.push(node);
            return u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 timers");
        }
        let index = self.free;
        self.free = self.nodes[index as usize].next;
        self.nodes[index as usize] = node;
        index
    }

    /// Frees a timer; what it would have woken is handed back, to be dropped outside any borrow.
    pub(crate) fn remove(&mut self, index: u32) -> Listener {
        self.unlink(index);
        let free = self.free;
        let node = &mut self.nodes[index as usize];
        node.deadline = NEVER;
        node.next = free;
        self.free = index;
        std::mem::take(&mut node.listener)
    }

    pub(crate) fn deadline(&self, index: u32) -> u64 {
        self.nodes[index as usize].deadline
    }

    /// Number of timers in the wheel, those cancelled but not yet met included.
    pub(crate) fn armed(&self) -> usize {
        self.armed
    }

    /// Sets or, with [`NEVER`], cancels a deadline. Later is a store; earlier relinks.
    pub(crate) fn set(&mut self, index: u32, deadline: u64) {
        let node = &mut self.nodes[index as usize];
        if node.deadline != NEVER && self.known_next == Some(node.deadline) {
            self.known_next = None;
        }
        node.deadline = deadline;
        let (place, placed) = (node.place, node.placed);
        if deadline == NEVER || (place != NOWHERE && deadline >= placed) {
            return;
        }
        self.unlink(index);
        self.link(index, deadline);
    }

    pub(crate) fn listener(&mut self, index: u32) -> &mut Listener {
        &mut self.nodes[index as usize].listener
    }

    /// Takes the listener of the next timer that is due at `now`, in order of expiry.
    pub(crate) fn expire(&mut self, now: u64) -> Option<Listener> {
        loop {
            while let Some(index) = self.pop_due() {
                match self.nodes[index as usize].deadline {
                    NEVER => {}
                    deadline if deadline > now => self.link(index, deadline),
                    _ => {
                        self.known_next = None;
                        return Some(std::mem::take(&mut self.nodes[index as usize].listener));
                    }
                }
            }
            match self.first_slot() {
                Some((level, slot, start)) if start <= now => {
                    let last = start + ((1 << (level as u32 * BITS)) - 1);
                    self.elapsed = start;
                    if last <= now { self.gather(level, slot, last) } else { self.cascade(level, slot) }
                }
                _ => {
                    self.elapsed = self.elapsed.max(now);
                    self.known_next = self.known_next.filter(|next| *next > now);
                    return None;
                }
            }
        }
    }

    /// When the next timer expires, or a little before.
    pub(crate) fn next_expiry(&mut self) -> Option<u64> {
        if self.due.head != NIL {
            return Some(self.elapsed);
        }
        let next = match self.known_next {
            Some(next) => next,
            None => self.find_next(),
        };
        self.known_next = Some(next);
        (next != NEVER).then_some(next)
    }

    /// Looks at the first slot, puts right those that were moved or cancelled, finds the earliest.
    fn find_next(&mut self) -> u64 {
        let mut looks = 0;
        loop {
            let Some((level, slot, start)) = self.first_slot() else { return NEVER };
            let mut first = NEVER;
            let mut index = self.slots[level * SLOTS + slot].head;
            while index != NIL {
                looks += 1;
                if looks > SCAN_MAX {
                    return start;
                }
                let Node { deadline, placed, place, next, .. } = self.nodes[index as usize];
                if deadline == NEVER {
                    self.unlink(index);
                } else if deadline == placed || self.place_of(deadline) == place {
                    self.nodes[index as usize].placed = deadline;
                    first = first.min(deadline);
                } else {
                    self.unlink(index);
                    self.link(index, deadline);
                }
                index = next;
            }
            // All that stood here have moved to later slots.
            if first != NEVER {
                return first;
            }
        }
    }

    fn cascade(&mut self, level: usize, slot: usize) {
        let list = std::mem::replace(&mut self.slots[level * SLOTS + slot], EMPTY);
        self.occupied[level] &= !(1 << slot);
        let mut index = list.head;
        while index != NIL {
            let node = &mut self.nodes[index as usize];
            let (next, deadline) = (node.next, node.deadline);
            node.place = NOWHERE;
            self.armed -= 1;
            if deadline != NEVER {
                self.link(index, deadline);
            }
            index = next;
        }
    }

    /// Moves a slot whose last nanosecond has passed straight into `due`, in order of expiry. Going
    /// down level by level would touch each node again on each.
    fn gather(&mut self, level: usize, slot: usize, last: u64) {
        let list = std::mem::replace(&mut self.slots[level * SLOTS + slot], EMPTY);
        self.occupied[level] &= !(1 << slot);
        self.elapsed = last;
        let mut sorted = std::mem::take(&mut self.sorted);
        let mut index = list.head;
        while index != NIL {
            let node = &mut self.nodes[index as usize];
            node.place = NOWHERE;
            self.armed -= 1;
            if node.deadline != NEVER {
                sorted.push((node.deadline, index));
            }
            index = node.next;
        }
        // Stable: timers of one instant expire in the order in which they were set.
        sorted.sort_by_key(|(deadline, _)| *deadline);
        for (deadline, index) in sorted.drain(..) {
            self.link(index, deadline);
        }
        self.sorted = sorted;
    }

    /// The first occupied slot and the time at which it starts.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = level as u32 * BITS;
        // The digits above this level, which all nodes of the level share with `elapsed`.
        let above = if shift + BITS >= 64 { 0 } else { self.elapsed >> (shift + BITS) << (shift + BITS) };
        Some((level, slot, above | (slot as u64) << shift))
    }

    fn link(&mut self, index: u32, when: u64) {
        let place = self.place_of(when);
        self.nodes[index as usize].placed = when;
        self.nodes[index as usize].place = place;
        self.armed += 1;
        if let Some(next) = self.known_next {
            self.known_next = Some(next.min(when));
        }
        if place != DUE {
            self.occupied[place as usize / SLOTS] |= 1 << (place as usize % SLOTS);
        }
        let tail = std::mem::replace(&mut self.list(place).tail, index);
        self.nodes[index as usize].prev = tail;
        self.nodes[index as usize].next = NIL;
        match tail {
            NIL => self.list(place).head = index,
            tail => self.nodes[tail as usize].next = index,
        }
    }

    fn place_of(&self, when: u64) -> u16 {
        if when <= self.elapsed {
            return DUE;
        }
        let level = (63 - (when ^ self.elapsed).leading_zeros()) / BITS;
        let slot = (when >> (level * BITS)) & (SLOTS as u64 - 1);
        (level * SLOTS as u32) as u16 + slot as u16
    }

    fn unlink(&mut self, index: u32) {
        let Node { prev, next, place, placed, .. } = self.nodes[index as usize];
        if place == NOWHERE {
            return;
        }
        self.armed -= 1;
        if self.known_next == Some(placed) {
            self.known_next = None;
        }
        match prev {
            NIL => self.list(place).head = next,
            prev => self.nodes[prev as usize].next = next,
        }
        match next {
            NIL => self.list(place).tail = prev,
            next => self.nodes[next as usize].prev = prev,
        }
        if place != DUE && self.slots[place as usize].head == NIL {
            self.occupied[place as usize / SLOTS] &= !(1 << (place as usize % SLOTS));
        }
        self.nodes[index as usize].place = NOWHERE;
    }

    fn pop_due(&mut self) -> Option<u32> {
        let index = self.due.head;
        if index == NIL {
            return None;
        }
        self.unlink(index);
        Some(index)
    }

    fn list(&mut self, place: u16) -> &mut List {
        if place == DUE { &mut self.due } else { &mut self.slots[place as usize] }
    }
}
