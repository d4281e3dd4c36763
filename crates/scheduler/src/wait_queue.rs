//! Armed timers: which node is due when, over a [`Wheel`] of entries.
//!
//! Placement is lazy, as in HAProxy: a node's entry in the wheel is a lower bound of its deadline. Moving a
//! deadline later, or cancelling, is a store; the entry is put right when it is met. An earlier deadline, and
//! a freed node, leave a stale entry behind: one whose key is not its node's `placed`. Stale entries are
//! swept away before they outnumber the nodes, so memory stays within two entries a timer.
//!
//! INVARIANT: a node with an entry has `placed` ≤ `deadline`; one without has `placed` = [`NEVER`].

use std::sync::Arc;
use std::task::Waker;

use crate::slot::Slot;
use crate::sync::EXACT;
use crate::task::TaskId;
use crate::unbound::Unbound;
use crate::wheel::{Entry, Judge, Stamp, Wheel};

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// Nobody listens; else the number of a task's slot or, with [`ASIDE`], of a listener.
const NOBODY: u32 = u32::MAX;
const ASIDE: u32 = 1 << 31;
/// Fewer stale entries than this are not worth a sweep.
const SWEEP_MIN: usize = 1024;

/// Whom a timer wakes, if not the task whose own timer it is.
#[derive(Default)]
pub(crate) enum Listener {
    #[default]
    Nobody,
    /// A task of this scheduler that polled the timer.
    Task(TaskId),
    Waker(Waker),
    /// An unbound task that ran here last time its deadline was set.
    Unbound(Arc<Unbound>),
}

/// Timers that have expired.
pub(crate) struct Expired {
    /// Tasks to be woken, by the numbers of their slots: `own[..count]`.
    pub(crate) own: [u32; EXPIRED],
    pub(crate) count: usize,
    /// A timer that is not a task's own, and whom it wakes. It is the last.
    pub(crate) other: Option<(u32, Listener)>,
}

/// How many timers are expired at a time.
pub(crate) const EXPIRED: usize = 32;

pub(crate) struct Node {
    deadline: Stamp,
    placed: Stamp,
    /// Of a free node: the next free one.
    listener: u32,
}

const _: () = assert!(!EXACT || size_of::<Slot>() + size_of::<Node>() + size_of::<Entry>() == 64);

pub(crate) struct WaitQueue {
    wheel: Wheel,
    nodes: Vec<Node>,
    free: u32,
    in_use: usize,
    aside: Vec<Listener>,
    free_aside: Vec<u32>,
    /// The next expiry if it is known: `Some(NEVER)` when nothing is armed.
    known_next: Option<u64>,
}

impl WaitQueue {
    pub(crate) fn new() -> Self {
        Self {
            wheel: Wheel::new(),
            nodes: Vec::new(),
            free: NOBODY,
            in_use: 0,
            aside: Vec::new(),
            free_aside: Vec::new(),
            known_next: Some(NEVER),
        }
    }

    /// Makes a disarmed timer.
    pub(crate) fn insert(&mut self) -> u32 {
        self.add(NOBODY)
    }

    /// Makes a task's own timer.
    pub(crate) fn insert_own(&mut self, slot: u32) -> u32 {
        assert!(slot < ASIDE, "fewer than 2^31 tasks");
        self.add(slot)
    }

    fn add(&mut self, listener: u32) -> u32 {
        self.in_use += 1;
        let node = Node { deadline: Stamp::new(NEVER), placed: Stamp::new(NEVER), listener };
        if self.free == NOBODY {
            self.nodes.push(node);
            return u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 timers");
        }
        let index = self.free;
        self.free = self.nodes[index as usize].listener;
        self.nodes[index as usize] = node;
        index
    }

    /// Frees a timer; what it would have woken is handed back, to be dropped outside any borrow.
    pub(crate) fn remove(&mut self, index: u32) -> Listener {
        let listener = self.take_listener(index);
        let aside = self.nodes[index as usize].listener;
        if aside != NOBODY && aside & ASIDE != 0 {
            self.free_aside.push(aside & !ASIDE);
        }
        let node = &mut self.nodes[index as usize];
        if self.known_next == Some(node.deadline.get()) {
            self.known_next = None;
        }
        node.deadline = Stamp::new(NEVER);
        node.placed = Stamp::new(NEVER);
        node.listener = self.free;
        self.free = index;
        self.in_use -= 1;
        self.sweep_if_due();
        listener
    }

    #[inline]
    pub(crate) fn deadline(&self, index: u32) -> u64 {
        self.nodes[index as usize].deadline.get()
    }

    /// Entries in the wheel: those cancelled or moved and not yet met included.
    pub(crate) fn armed(&self) -> usize {
        self.wheel.len()
    }

    /// Sets or, with [`NEVER`], cancels a deadline. Later is a store; earlier is a new entry.
    #[inline]
    pub(crate) fn set(&mut self, index: u32, deadline: u64) {
        let node = &mut self.nodes[index as usize];
        let old = std::mem::replace(&mut node.deadline, Stamp::new(deadline)).get();
        if deadline >= node.placed.get() {
            if self.known_next == Some(old) && old != NEVER {
                self.known_next = None;
            }
            return;
        }
        node.placed = Stamp::new(deadline);
        self.wheel.push(deadline, index);
        self.known_next = self.known_next.map(|next| next.min(deadline));
        self.sweep_if_due();
    }

    /// The listener of a timer that is not a task's own, to be looked at or replaced.
    pub(crate) fn listener(&mut self, index: u32) -> &mut Listener {
        let node = &mut self.nodes[index as usize];
        if node.listener == NOBODY {
            let aside = self.free_aside.pop().unwrap_or_else(|| {
                self.aside.push(Listener::Nobody);
                u32::try_from(self.aside.len() - 1).expect("fewer than 2^31 timers")
            });
            node.listener = aside | ASIDE;
        }
        &mut self.aside[(node.listener & !ASIDE) as usize]
    }

    pub(crate) fn take_listener(&mut self, index: u32) -> Listener {
        match self.nodes[index as usize].listener {
            NOBODY => Listener::Nobody,
            own if own & ASIDE == 0 => Listener::Nobody,
            aside => std::mem::take(&mut self.aside[(aside & !ASIDE) as usize]),
        }
    }

    /// Forgets all listeners; they are handed out, to be dropped outside any borrow.
    pub(crate) fn clear(&mut self) -> Vec<Listener> {
        self.aside.iter_mut().map(std::mem::take).collect()
    }

    /// Takes the next timers that are due at `now`, `max` at most, in order of expiry.
    pub(crate) fn expire(&mut self, now: u64, max: usize) -> Expired {
        let mut expired = Expired { own: [0; EXPIRED], count: 0, other: None };
        // All nodes of the batch are fetched from memory at the same time.
        let (mut touched, nodes) = (0, &self.nodes);
        let touch = |entry: &Entry| touched |= nodes.get(entry.node as usize).map_or(0, |node| node.listener);
        if !self.wheel.look_ahead(now, touch, max.min(EXPIRED)) {
            self.known_next = self.known_next.filter(|next| *next > now);
            return expired;
        }
        std::hint::black_box(touched);
        while expired.count < max.min(EXPIRED) {
            let Some(entry) = self.wheel.pop_due(now) else {
                self.known_next = self.known_next.filter(|next| *next > now);
                return expired;
            };
            let index = entry.node;
            let Some(node) = self.nodes.get_mut(index as usize) else { continue };
            if node.placed != entry.key {
                continue;
            }
            let deadline = node.deadline.get();
            if deadline > now {
                node.placed = Stamp::new(deadline);
                if deadline != NEVER {
                    self.wheel.push(deadline, index);
                }
                continue;
            }
            node.placed = Stamp::new(NEVER);
            self.known_next = None;
            if node.listener & ASIDE == 0 {
                expired.own[expired.count] = node.listener;
                expired.count += 1;
            } else {
                expired.other = Some((index, self.take_listener(index)));
                return expired;
            }
        }
        expired
    }

    /// When the next timer expires, or a little before.
    pub(crate) fn next_expiry(&mut self) -> Option<u64> {
        let next = match self.known_next {
            Some(next) => next,
            None => self.find_next(),
        };
        self.known_next = Some(next);
        (next != NEVER).then_some(next)
    }

    fn find_next(&mut self) -> u64 {
        self.wheel.first(&mut Nodes(&mut self.nodes))
    }

    /// Keeps the entries within twice the timers.
    #[inline]
    fn sweep_if_due(&mut self) {
        if self.wheel.len() > 2 * self.in_use + SWEEP_MIN {
            self.sweep();
        }
    }

    #[cold]
    fn sweep(&mut self) {
        self.wheel.sweep(&mut Nodes(&mut self.nodes));
    }
}

struct Nodes<'a>(&'a mut [Node]);

impl Judge for Nodes<'_> {
    fn due(&self, entry: Entry) -> Option<u64> {
        let node = self.0.get(entry.node as usize).filter(|node| node.placed == entry.key)?;
        Some(node.deadline.get())
    }

    fn moved(&mut self, entry: Entry, time: u64) {
        self.0[entry.node as usize].placed = Stamp::new(time);
    }
}
