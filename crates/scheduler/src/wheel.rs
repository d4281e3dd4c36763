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
//! A slot is a chain of blocks of sixteen entries, so that adding one, and moving all down, goes through
//! memory in order. It remembers where its next entry goes; a block is begun where that is at a block's start.
//! What an entry stands for is not looked at before it is due.
//!
//! INVARIANT: all occupied slots lie after `elapsed`; within a slot entries stand in order of arrival.
//! INVARIANT: all blocks of a chain but its last are full.

use std::collections::VecDeque;

const NIL: u32 = u32::MAX;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 11;
/// More than there are slots, for an index that needs no check.
const PLACES: usize = 16 * SLOTS;
const BLOCK: usize = 16;
/// How many entries of the first slot are looked at for the exact next expiry.
const SCAN_MAX: usize = 64;

/// A time of eight bytes that may stand at any multiple of four.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, packed(4))]
pub(crate) struct Stamp(u64);

impl Stamp {
    #[inline]
    pub(crate) const fn new(time: u64) -> Self {
        Self(time)
    }

    #[inline]
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

/// Something is due at a time.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: Stamp,
    pub(crate) node: u32,
}

const _: () = assert!(size_of::<Entry>() == 12);

#[derive(Clone, Copy)]
struct Chain {
    head: u32,
    /// Where the next entry goes: at a multiple of [`BLOCK`], into a new block; 0 for an empty chain.
    cursor: u32,
}

const EMPTY: Chain = Chain { head: NIL, cursor: 0 };
const NOTHING: Entry = Entry { key: Stamp::new(0), node: NIL };

impl Chain {
    /// Its last block.
    fn last(self) -> Option<u32> {
        self.cursor.checked_sub(1).map(|last| last / BLOCK as u32)
    }
}

pub(crate) struct Wheel {
    elapsed: u64,
    /// Levels that have an occupied slot.
    levels: u32,
    occupied: [u64; LEVELS],
    slots: Box<[Chain; PLACES]>,
    /// Of all blocks, [`BLOCK`] each.
    entries: Vec<Entry>,
    /// Of each block the next one of its chain, or the next free one.
    next: Vec<u32>,
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
            slots: Box::new([EMPTY; PLACES]),
            entries: Vec::new(),
            next: Vec::new(),
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
        let level = (time ^ self.elapsed).ilog2() / BITS;
        let slot = (time >> (level * BITS)) as usize % SLOTS;
        let chain = &mut self.slots[(level as usize * SLOTS + slot) % PLACES];
        let cursor = chain.cursor as usize;
        if !cursor.is_multiple_of(BLOCK)
            && let Some(place) = self.entries.get_mut(cursor)
        {
            *place = entry;
            chain.cursor += 1;
        } else {
            self.extend(level as usize, slot, entry);
        }
    }

    /// Adds an entry to a slot, in a new block.
    #[inline(never)]
    fn extend(&mut self, level: usize, slot: usize, entry: Entry) {
        let block = match self.free {
            NIL => {
                self.entries.resize(self.entries.len() + BLOCK, NOTHING);
                self.next.push(NIL);
                u32::try_from(self.next.len() - 1).expect("fewer than 2^32 blocks")
            }
            free => {
                self.free = std::mem::replace(&mut self.next[free as usize], NIL);
                free
            }
        };
        self.levels |= 1 << level;
        self.occupied[level] |= 1 << slot;
        let start = block as usize * BLOCK;
        self.entries[start] = entry;
        let chain = &mut self.slots[level * SLOTS + slot];
        match chain.last() {
            None => chain.head = block,
            Some(last) => self.next[last as usize] = block,
        }
        chain.cursor = u32::try_from(start + 1).expect("fewer than 2^32 timers");
    }

    /// The entries of a block of a chain.
    fn block(&self, chain: Chain, block: u32) -> std::ops::Range<usize> {
        let start = block as usize * BLOCK;
        start..if chain.last() == Some(block) { chain.cursor as usize } else { start + BLOCK }
    }

    /// Entries that are due next, as far as they are known; `false` if none is at `now`.
    pub(crate) fn look_ahead(&mut self, now: u64, see: impl FnMut(&Entry), max: usize) -> bool {
        while self.due.is_empty() {
            if !self.advance(now) {
                return false;
            }
        }
        self.due.iter().take(max).for_each(see);
        true
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
        let chain = self.unhook(level, slot);
        let mut sorted = std::mem::take(&mut self.sorted);
        let mut next = chain.head;
        while next != NIL {
            for number in self.block(chain, next) {
                let entry = self.entries[number];
                if entry.key.get() <= self.elapsed { sorted.push(entry) } else { self.place(entry) }
            }
            next = self.recycle(next);
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

    /// Frees a block; answers the next one of its chain.
    fn recycle(&mut self, block: u32) -> u32 {
        let next = std::mem::replace(&mut self.next[block as usize], self.free);
        self.free = block;
        next
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
        let chain = self.slots[at];
        let mut next = chain.head;
        while next != NIL {
            let block = &self.entries[self.block(chain, next)];
            *looks += block.len();
            if *looks > SCAN_MAX {
                return None;
            }
            for entry in block {
                let due = judge.due(*entry);
                look.moved |= due != Some(entry.key.get());
                look.first = look.first.min(entry.key.get());
            }
            next = self.next[next as usize];
        }
        Some(look)
    }

    fn put_right(&mut self, level: usize, slot: usize, judge: &mut impl Judge) {
        let chain = self.unhook(level, slot);
        let mut next = chain.head;
        while next != NIL {
            for number in self.block(chain, next) {
                let entry = self.entries[number];
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
            next = self.recycle(next);
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
                let chain = self.unhook(level, slot);
                let mut next = chain.head;
                while next != NIL {
                    let block = &self.entries[self.block(chain, next)];
                    kept.extend(block.iter().copied().filter(|entry| keep(*entry)));
                    next = self.recycle(next);
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
