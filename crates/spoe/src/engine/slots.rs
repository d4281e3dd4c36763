//! The exchanges under way: one slot each, reused, with two lists threaded through them.
//!
//! A frame-id is the slot's number and its generation, so an ACK finds its exchange without a search and an id never comes
//! back while the stream that used it can still be remembered by an agent. Both lists are oldest first: *deadlines* because
//! every exchange of an engine has the same timeout, *queue* because that is fair. Joining and leaving them is O(1).
//!
//! **Invariant:** a slot is in the queue exactly while it is [`Stage::Queued`], and in the deadlines at most until it is done.

use std::task::Waker;
use std::time::Instant;

use crate::error::StreamError;
use crate::frame::{FrameId, StreamId};

/// Where an exchange stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// The slot is free; the next free one.
    Free(u32),
    /// Encoded, for a connection that has room; `behind` is the connection whose greeting it hopes for.
    Queued { payload: Vec<u8>, behind: Option<usize> },
    /// Sent on this connection, then.
    Sent { connection: usize, at: Instant },
    /// Over; to be fetched.
    Done(Result<Vec<u8>, StreamError>),
}

/// One exchange.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) stream: StreamId,
    pub(super) stage: Stage,
    pub(super) waker: Option<Waker>,
    /// When the exchange began.
    pub(super) started: Instant,
    generation: u32,
    links: [Link; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    linked: bool,
    prev: Option<u32>,
    next: Option<u32>,
}

/// Which list.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    Deadlines = 0,
    Queue = 1,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    head: Option<u32>,
    tail: Option<u32>,
    len: usize,
}

/// All exchanges of an engine.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: u32,
    used: usize,
    lists: [Ends; 2],
}

impl Slots {
    pub(super) const fn new() -> Self {
        const EMPTY: Ends = Ends { head: None, tail: None, len: 0 };
        Self { slots: Vec::new(), free: NONE, used: 0, lists: [EMPTY; 2] }
    }

    /// Takes a slot, or gives `None` if all are in use.
    #[inline]
    pub(super) fn insert(&mut self, now: Instant, stream: StreamId, stage: Stage) -> Option<u32> {
        let index = self.free;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            if let Stage::Free(next) = slot.stage {
                self.free = next;
            }
            slot.generation = (slot.generation + 1) & GENERATION_MAX;
            slot.stream = stream;
            slot.started = now;
            slot.stage = stage;
            self.used += 1;
            return Some(index);
        }
        if self.slots.len() >= SLOTS_MAX {
            return None;
        }
        let links = [Link::default(); 2];
        self.slots.push(Slot { stream, stage, waker: None, started: now, generation: 0, links });
        self.used += 1;
        Some((self.slots.len() - 1) as u32)
    }

    /// Frees a slot; gives the stage it was in.
    #[inline]
    pub(super) fn remove(&mut self, index: u32) -> Stage {
        self.unlink(List::Deadlines, index);
        self.unlink(List::Queue, index);
        let slot = &mut self.slots[index as usize];
        slot.waker = None;
        self.used -= 1;
        std::mem::replace(&mut slot.stage, Stage::Free(std::mem::replace(&mut self.free, index)))
    }

    #[inline]
    pub(super) fn get(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    /// The id that goes on the wire.
    #[inline]
    pub(super) fn frame_id(&self, index: u32) -> FrameId {
        FrameId((u64::from(self.slots[index as usize].generation) << INDEX_BITS | u64::from(index)) + 1)
    }

    /// The slot of an id that came from the wire.
    #[inline]
    pub(super) fn find(&self, stream: StreamId, frame: FrameId) -> Option<u32> {
        let index = (frame.0.checked_sub(1)? & (SLOTS_MAX as u64 - 1)) as u32;
        let slot = self.slots.get(index as usize)?;
        let same = slot.stream == stream && self.frame_id(index) == frame;
        (same && !matches!(slot.stage, Stage::Free(_))).then_some(index)
    }

    /// How many exchanges there are.
    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// How many are in a list.
    #[inline]
    pub(super) const fn list_len(&self, list: List) -> usize {
        self.lists[list as usize].len
    }

    /// The oldest of a list.
    #[inline]
    pub(super) const fn head(&self, list: List) -> Option<u32> {
        self.lists[list as usize].head
    }

    /// The next of a list.
    pub(super) fn next(&self, list: List, index: u32) -> Option<u32> {
        self.slots[index as usize].links[list as usize].next
    }

    /// Puts a slot at the end of a list.
    #[inline]
    pub(super) fn link(&mut self, list: List, index: u32) {
        let l = list as usize;
        let tail = self.lists[l].tail.replace(index);
        debug_assert!(!self.slots[index as usize].links[l].linked, "invariant: linked once");
        self.slots[index as usize].links[l] = Link { linked: true, prev: tail, next: None };
        match tail {
            Some(tail) => self.slots[tail as usize].links[l].next = Some(index),
            None => self.lists[l].head = Some(index),
        }
        self.lists[l].len += 1;
    }

    /// Takes a slot out of a list, if it is in.
    #[inline]
    pub(super) fn unlink(&mut self, list: List, index: u32) {
        let l = list as usize;
        let link = std::mem::take(&mut self.slots[index as usize].links[l]);
        if !link.linked {
            return;
        }
        match link.prev {
            Some(prev) => self.slots[prev as usize].links[l].next = link.next,
            None => self.lists[l].head = link.next,
        }
        match link.next {
            Some(next) => self.slots[next as usize].links[l].prev = link.prev,
            None => self.lists[l].tail = link.prev,
        }
        self.lists[l].len -= 1;
    }

    /// Every slot in use and not done.
    pub(super) fn unfinished(&self) -> Vec<u32> {
        let open = |slot: &Slot| matches!(slot.stage, Stage::Queued { .. } | Stage::Sent { .. });
        (0..self.slots.len() as u32).filter(|&i| open(&self.slots[i as usize])).collect()
    }
}

const NONE: u32 = u32::MAX;
const INDEX_BITS: u32 = 16;
/// The most exchanges of one engine at once.
const SLOTS_MAX: usize = 1 << INDEX_BITS;
/// Ids stay below 2^31, which every agent can hold.
const GENERATION_MAX: u32 = (1 << 14) - 1;
