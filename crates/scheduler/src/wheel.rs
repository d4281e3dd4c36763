//! A hierarchical wheel of nanoseconds that holds entries: a time and a number.
//!
//! Eleven levels of 64 slots cover all 64 bits, so there is no horizon to wrap at (584 years) and no
//! rounding: an entry is due at its nanosecond or at the first pass after it, never before.
//!
//! ```text
//!   level 0   64 slots of 1 ns        an entry lives on the level of the highest digit (base 64) in which
//!   level 1   64 slots of 64 ns       its time differs from `elapsed`, in the slot named by that digit;
//!   …                                 when time reaches the slot it moves down, or into `due`
//!   level 10  16 slots of 36 years
//! ```
//!
//! A slot is a chain of blocks of twenty entries, so that adding one, and moving all down, goes through
//! memory in order. What an entry stands for is not looked at before it is due.
//!
//! INVARIANT: all occupied slots lie after `elapsed`; within a slot entries stand in order of arrival.

use std::collections::VecDeque;

const NIL: u32 = u32::MAX;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 11;
const BLOCK: usize = 20;
/// How many entries of the first slot are looked at for the exact next expiry.
const SCAN_MAX: usize = 64;

/// A time of eight bytes that may stand at any multiple of four.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([u32; 2]);

impl Stamp {
    #[inline]
    pub(crate) const fn new(time: u64) -> Self {
        Self([time as u32, (time >> 32) as u32])
    }

    #[inline]
    pub(crate) const fn get(self) -> u64 {
        (self.0[1] as u64) << 32 | self.0[0] as u64
    }
}

/// Something is due at a time.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: Stamp,
    pub(crate) node: u32,
}

const _: () = assert!(size_of::<Entry>() == 12);

/// Aligned to the size it has anyway, nearly: an index is a shift.
#[repr(align(256))]
struct Block {
    next: u32,
    len: u32,
    entries: [Entry; BLOCK],
}

#[derive(Clone, Copy)]
struct Chain {
    head: u32,
    tail: u32,
}

const EMPTY: Chain = Chain { head: NIL, tail: NIL };

pub(crate) struct Wheel {
    elapsed: u64,
    /// Levels that have an occupied slot.
    levels: u32,
    occupied: [u64; LEVELS],
    slots: Box<[Chain]>,
    blocks: Vec<Block>,
    free: u32,
    due: VecDeque<Entry>,
    len: usize,
    /// Used by `gather`, kept for its memory.
    sorted: Vec<Entry>,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            elapsed: 0,
            levels: 0,
            occupied: [0; LEVELS],
            slots: vec![EMPTY; LEVELS * SLOTS].into_boxed_slice(),
            blocks: Vec::new(),
            free: NIL,
            due: VecDeque::new(),
            len: 0,
            sorted: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn push(&mut self, time: u64, node: u32) {
        self.len += 1;
        self.place(Entry { key: Stamp::new(time), node });
    }

    #[inline]
    fn place(&mut self, entry: Entry) {
        let time = entry.key.get();
        if time <= self.elapsed {
            self.due.push_back(entry);
            return;
        }
        let level = ((63 - (time ^ self.elapsed).leading_zeros()) / BITS) as usize;
        let slot = (time >> (level as u32 * BITS)) as usize & (SLOTS - 1);
        let at = level * SLOTS + slot;
        let tail = self.slots[at].tail;
        let block = match self.blocks.get_mut(tail as usize) {
            Some(block) if (block.len as usize) < BLOCK => block,
            _ => {
                self.levels |= 1 << level;
                self.occupied[level] |= 1 << slot;
                self.extend(at)
            }
        };
        block.entries[block.len as usize] = entry;
        block.len += 1;
    }

    /// Adds a block to a slot's chain.
    fn extend(&mut self, at: usize) -> &mut Block {
        let index = match self.free {
            NIL => {
                let entries = [Entry { key: Stamp::new(0), node: NIL }; BLOCK];
                self.blocks.push(Block { next: NIL, len: 0, entries });
                u32::try_from(self.blocks.len() - 1).expect("fewer than 2^32 blocks")
            }
            free => {
                self.free = self.blocks[free as usize].next;
                free
            }
        };
        let tail = std::mem::replace(&mut self.slots[at].tail, index);
        match tail {
            NIL => self.slots[at].head = index,
            tail => self.blocks[tail as usize].next = index,
        }
        let block = &mut self.blocks[index as usize];
        (block.next, block.len) = (NIL, 0);
        block
    }

    /// Takes the next entry that is due at `now`, in order of time.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Entry> {
        while self.due.is_empty() {
            if !self.advance(now) {
                return None;
            }
        }
        self.len -= 1;
        self.due.pop_front()
    }

    /// Goes on to the first occupied slot; false if it lies after `now`.
    ///
    /// What is due in it goes straight to `due`, in order of time, the rest to where it stands from `now`:
    /// going down level by level would touch each entry again on each. All other slots lie after `now`, or
    /// after this one.
    #[inline]
    fn advance(&mut self, now: u64) -> bool {
        let Some((level, slot, start)) = self.first_slot().filter(|(_, _, start)| *start <= now) else {
            self.elapsed = self.elapsed.max(now);
            return false;
        };
        self.elapsed = now.min(start + ((1 << (level as u32 * BITS)) - 1));
        self.gather(level, slot);
        true
    }

    fn gather(&mut self, level: usize, slot: usize) {
        let mut next = self.unhook(level, slot).head;
        let mut sorted = std::mem::take(&mut self.sorted);
        while next != NIL {
            let index = next;
            for number in 0..self.blocks[index as usize].len as usize {
                let entry = self.blocks[index as usize].entries[number];
                if entry.key.get() <= self.elapsed { sorted.push(entry) } else { self.place(entry) }
            }
            next = self.blocks[index as usize].next;
            self.recycle(index);
        }
        // Stable: timers of one instant expire in the order in which they were set.
        if !sorted.is_sorted_by_key(|entry| entry.key.get()) {
            sorted.sort_by_key(|entry| entry.key.get());
        }
        self.due.extend(sorted.drain(..));
        self.sorted = sorted;
    }

    fn unhook(&mut self, level: usize, slot: usize) -> Chain {
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
        std::mem::replace(&mut self.slots[level * SLOTS + slot], EMPTY)
    }

    fn recycle(&mut self, index: u32) {
        self.blocks[index as usize].next = self.free;
        self.free = index;
    }

    /// The first occupied slot and the time at which it starts.
    #[inline]
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = level as u32 * BITS;
        // The digits above this level, which all entries of the level share with `elapsed`.
        let above = if shift + BITS >= 64 { 0 } else { self.elapsed >> (shift + BITS) << (shift + BITS) };
        Some((level, slot, above | (slot as u64) << shift))
    }

    /// The earliest time at which something is due, or one a little before; `u64::MAX` for never.
    ///
    /// Looks at some entries of the first slot, and puts those right that have moved.
    pub(crate) fn first(&mut self, judge: &mut impl Judge) -> u64 {
        if let Some(due) = self.due.front() {
            // Found before; whether it still counts shows when it is taken.
            return due.key.get();
        }
        let mut looks = 0;
        loop {
            let Some((level, slot, start)) = self.first_slot() else { return u64::MAX };
            match self.look(level * SLOTS + slot, judge, &mut looks) {
                Some(Look { first, moved: false }) => return first,
                Some(_) => self.put_right(level, slot, judge),
                None => return start,
            }
        }
    }

    /// The first entry of a slot that has few; `None` if it has many.
    fn look(&self, at: usize, judge: &impl Judge, looks: &mut usize) -> Option<Look> {
        let mut look = Look { first: u64::MAX, moved: false };
        let mut next = self.slots[at].head;
        while next != NIL {
            let block = &self.blocks[next as usize];
            *looks += block.len as usize;
            if *looks > SCAN_MAX {
                return None;
            }
            for entry in &block.entries[..block.len as usize] {
                let due = judge.due(*entry);
                look.moved |= due != Some(entry.key.get());
                look.first = look.first.min(entry.key.get());
            }
            next = block.next;
        }
        Some(look)
    }

    fn put_right(&mut self, level: usize, slot: usize, judge: &mut impl Judge) {
        let mut next = self.unhook(level, slot).head;
        while next != NIL {
            let index = next;
            next = self.blocks[index as usize].next;
            for number in 0..self.blocks[index as usize].len as usize {
                let entry = self.blocks[index as usize].entries[number];
                match judge.due(entry) {
                    Some(time) if time != u64::MAX => {
                        judge.moved(entry, time);
                        self.place(Entry { key: Stamp::new(time), ..entry });
                    }
                    due => {
                        if let Some(never) = due {
                            judge.moved(entry, never);
                        }
                        self.len -= 1;
                    }
                }
            }
            self.recycle(index);
        }
    }

    /// Drops the entries that stand for nothing.
    pub(crate) fn sweep(&mut self, judge: &mut impl Judge) {
        let mut kept = Vec::with_capacity(self.len / 2);
        let mut keep = |entry: Entry| match judge.due(entry) {
            None => false,
            Some(u64::MAX) => {
                judge.moved(entry, u64::MAX);
                false
            }
            Some(_) => true,
        };
        for level in 0..LEVELS {
            while self.occupied[level] != 0 {
                let slot = self.occupied[level].trailing_zeros() as usize;
                let mut next = self.unhook(level, slot).head;
                while next != NIL {
                    let index = next;
                    let block = &self.blocks[index as usize];
                    kept.extend(block.entries[..block.len as usize].iter().copied().filter(|e| keep(*e)));
                    next = block.next;
                    self.recycle(index);
                }
            }
        }
        self.due.retain(|entry| keep(*entry));
        self.len = kept.len() + self.due.len();
        kept.into_iter().for_each(|entry| self.place(entry));
    }
}

/// Tells what an entry stands for.
pub(crate) trait Judge {
    /// When it is really due: not before its key, `u64::MAX` for never; `None` if it stands for nothing.
    fn due(&self, entry: Entry) -> Option<u64>;
    /// The entry is from now on one of this time, or with `u64::MAX` no more.
    fn moved(&mut self, entry: Entry, time: u64);
}

struct Look {
    first: u64,
    moved: bool,
}
