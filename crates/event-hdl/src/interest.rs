//! How many ask for each subtype, and the word that says which are asked for at all.

use crate::Subtypes;

/// Set in a word when anybody asks for anything.
const ANYBODY: u32 = 1 << 16;

#[derive(Default)]
pub(crate) struct Interest {
    by_subtype: [u32; 16],
    all: u32,
}

impl Interest {
    pub(crate) fn add(&mut self, subtypes: Subtypes) {
        self.all += 1;
        self.each(subtypes, |count, bit| *count += bit);
    }

    pub(crate) fn remove(&mut self, subtypes: Subtypes) {
        self.all -= 1;
        self.each(subtypes, |count, bit| *count -= bit);
    }

    fn each(&mut self, subtypes: Subtypes, change: impl Fn(&mut u32, u32)) {
        let bits = u32::from(subtypes.bits());
        self.by_subtype.iter_mut().enumerate().for_each(|(n, count)| change(count, bits >> n & 1));
    }

    /// The subtypes asked for, for [`may_reach`].
    pub(crate) fn word(&self) -> u32 {
        let bit = |(n, count): (usize, &u32)| u32::from(*count > 0) << n;
        let subtypes: u32 = self.by_subtype.iter().enumerate().map(bit).sum();
        if self.all > 0 { subtypes | ANYBODY } else { 0 }
    }
}

/// Whether somebody might ask for all of `subtypes`; for a single subtype, whether somebody does.
#[inline]
pub(crate) fn may_reach(word: u32, subtypes: Subtypes) -> bool {
    let wanted = ANYBODY | u32::from(subtypes.bits());
    word & wanted == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_is_asked_for_until_the_last_leaves() {
        let (one, two) = (Subtypes::bit(1), Subtypes::bit(16));
        let mut interest = Interest::default();
        assert!(!may_reach(interest.word(), Subtypes::NONE));
        interest.add(one);
        interest.add(one | two);
        interest.remove(one | two);
        let word = interest.word();
        assert!(may_reach(word, one) && may_reach(word, Subtypes::NONE) && !may_reach(word, two));
        interest.remove(one);
        assert_eq!(interest.word(), 0);
    }
}
