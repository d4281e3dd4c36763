//! The set of connections that have room: a bit each, and a bit for each word with any, so that the first and the next one in
//! turn are found in a few instructions however many connections there are.

/// A set of small numbers.
#[derive(Clone, Debug)]
pub(super) struct Room {
    words: [u64; WORDS],
    /// Which words are not zero.
    some: u64,
}

impl Room {
    /// Numbers below this fit.
    pub(super) const CAPACITY: usize = WORDS * BITS;

    pub(super) const fn new() -> Self {
        Self { words: [0; WORDS], some: 0 }
    }

    #[inline]
    pub(super) fn set(&mut self, key: usize, has: bool) {
        let (word, bit) = (key / BITS, 1u64 << (key % BITS));
        if has {
            self.words[word] |= bit;
        } else {
            self.words[word] &= !bit;
        }
        let mark = 1u64 << word;
        if self.words[word] == 0 {
            self.some &= !mark;
        } else {
            self.some |= mark;
        }
    }

    #[inline]
    pub(super) fn contains(&self, key: usize) -> bool {
        self.words[key / BITS] >> (key % BITS) & 1 == 1
    }

    /// The least.
    #[inline]
    pub(super) fn first(&self) -> Option<usize> {
        if self.some == 0 {
            return None;
        }
        let word = self.some.trailing_zeros() as usize;
        Some(word * BITS + self.words[word].trailing_zeros() as usize)
    }

    /// The least above `key`, or else the least of all.
    pub(super) fn next_in_turn(&self, key: usize) -> Option<usize> {
        let (word, bit) = (key / BITS, key % BITS);
        let above = self.words[word] & (u64::MAX << bit << 1);
        if above != 0 {
            return Some(word * BITS + above.trailing_zeros() as usize);
        }
        let words = self.some & (u64::MAX << word << 1);
        if words != 0 {
            let word = words.trailing_zeros() as usize;
            return Some(word * BITS + self.words[word].trailing_zeros() as usize);
        }
        self.first()
    }
}

const BITS: usize = u64::BITS as usize;
const WORDS: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_an_ordered_set_does(
            steps in proptest::collection::vec((0..Room::CAPACITY, any::<bool>()), 1..200),
            asked in proptest::collection::vec(0..Room::CAPACITY, 20),
        ) {
            let (mut room, mut set) = (Room::new(), BTreeSet::new());
            for (key, has) in steps {
                room.set(key, has);
                if has { set.insert(key) } else { set.remove(&key) };
                prop_assert_eq!(room.contains(key), has);
                prop_assert_eq!(room.first(), set.first().copied());
            }
            for key in asked {
                let next = set.range(key + 1..).next().or(set.first());
                prop_assert_eq!(room.next_in_turn(key), next.copied());
            }
        }
    }
}
