//! Niced tasks in order of their places: a ring of lists and a bitmap of those that are not empty.
//!
//! ```text
//!   pass p        p−1024 ◀────────── places of new tasks ──────────▶ p+1024
//!   overdue [ … ]  │ list │ list │ … │ list │ … │ list │
//! ```
//!
//! A task that is pushed in pass p goes to a place within 1024 of p, so lists left behind by the passes
//! are older than all that may still come: they are moved to `overdue`, whole and in order, and that is
//! emptied first. Taking and adding so cost the same however many wait, and whatever their nices are.
//!
//! INVARIANT: a place in the ring lies within [`SPAN`] of `pass`, so no two share a list.

use std::collections::VecDeque;

use crate::slot::SlotRef;

/// How far a place may lie from the present pass.
const SPAN: u64 = 1024;
const PLACES: usize = 4096;
const WORDS: usize = PLACES / 64;
const NIL: u32 = u32::MAX;

struct Node {
    slot: SlotRef,
    next: u32,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List { head: NIL, tail: NIL };

/// Made when the first niced task is pushed.
struct Ring {
    lists: [List; PLACES],
    occupied: [u64; WORDS],
    /// Which words of `occupied` are not zero.
    words: u64,
}

pub(crate) struct Rounds {
    ring: Option<Box<Ring>>,
    nodes: Vec<Node>,
    free: Vec<u32>,
    overdue: VecDeque<(u64, SlotRef)>,
    pass: u64,
    /// In the ring.
    count: usize,
}

impl Rounds {
    pub(crate) fn new(pass: u64) -> Self {
        Self { ring: None, nodes: Vec::new(), free: Vec::new(), overdue: VecDeque::new(), pass, count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count + self.overdue.len()
    }

    /// Begins a pass: all places before it that new tasks cannot reach any more become overdue.
    pub(crate) fn begin(&mut self, pass: u64) {
        if self.count > 0 {
            let passed = (pass - self.pass).min(PLACES as u64);
            for step in 0..passed {
                self.retire((self.pass + step).wrapping_sub(SPAN));
            }
        }
        self.pass = pass;
    }

    fn retire(&mut self, place: u64) {
        while let Some(slot) = self.pop_at(place) {
            self.overdue.push_back((place, slot));
        }
    }

    pub(crate) fn push(&mut self, place: u64, slot: SlotRef) {
        if place + SPAN < self.pass {
            // Not reached by tasks woken in a pass; kept for the invariant.
            self.overdue.push_front((place, slot));
            return;
        }
        let node = Node { slot, next: NIL };
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 tasks")
            }
        };
        let ring = self.ring.get_or_insert_with(Ring::new);
        let place = place as usize % PLACES;
        let list = &mut ring.lists[place];
        match std::mem::replace(&mut list.tail, index) {
            NIL => {
                list.head = index;
                ring.occupied[place / 64] |= 1 << (place % 64);
                ring.words |= 1 << (place / 64);
            }
            tail => self.nodes[tail as usize].next = index,
        }
        self.count += 1;
    }

    /// Takes the first task, if its place comes before `limit`.
    #[inline]
    pub(crate) fn pop_before(&mut self, limit: u64) -> Option<SlotRef> {
        if let Some((place, slot)) = self.overdue.front() {
            let (place, slot) = (*place, *slot);
            return (place < limit).then(|| {
                self.overdue.pop_front();
                slot
            });
        }
        let place = self.first_in_ring()?;
        if place < limit { self.pop_at(place) } else { None }
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRef> + '_ {
        let heads = self.ring.iter().flat_map(|ring| ring.lists.iter().map(|list| list.head));
        let lists = heads.flat_map(|head| {
            let node = |index| (index != NIL).then(|| &self.nodes[index as usize]);
            std::iter::successors(node(head), move |last| node(last.next)).map(|node| node.slot)
        });
        self.overdue.iter().map(|(_, slot)| *slot).chain(lists)
    }

    fn first_in_ring(&self) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let ring = self.ring.as_ref()?;
        // The ring's first place, at which the search starts and wraps round.
        let start = self.pass.wrapping_sub(SPAN);
        let (word, bit) = ((start as usize % PLACES) / 64, start % 64);
        let here = ring.occupied[word] >> bit << bit;
        let found = match here {
            0 => {
                let ahead = ring.words.rotate_right(word as u32 + 1).trailing_zeros();
                let word = (word + 1 + ahead as usize) % WORDS;
                word * 64 + ring.occupied[word].trailing_zeros() as usize
            }
            bits => word * 64 + bits.trailing_zeros() as usize,
        };
        Some(start.wrapping_add((found as u64).wrapping_sub(start) % PLACES as u64))
    }

    fn pop_at(&mut self, place: u64) -> Option<SlotRef> {
        let ring = self.ring.as_mut()?;
        let at = place as usize % PLACES;
        let list = &mut ring.lists[at];
        if list.head == NIL {
            return None;
        }
        let index = list.head;
        let Node { slot, next } = self.nodes[index as usize];
        list.head = next;
        if next == NIL {
            list.tail = NIL;
            ring.occupied[at / 64] &= !(1 << (at % 64));
            if ring.occupied[at / 64] == 0 {
                ring.words &= !(1 << (at / 64));
            }
        }
        self.free.push(index);
        self.count -= 1;
        Some(slot)
    }
}

impl Ring {
    fn new() -> Box<Self> {
        Box::new(Self { lists: [EMPTY; PLACES], occupied: [0; WORDS], words: 0 })
    }
}
