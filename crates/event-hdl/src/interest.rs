//! How many ask for each subtype, and the word that says which are asked for at all.

use crate::Subtypes;

/// Set in a word when anybody asks for anything.
const ANYBODY: u32 = 1 << 16;

#[derive(Default)]
pub(crate) struct Interest {
    by_subtype: [u32; 16],
    all: u32,
    word: u32,
}

impl Interest {
    pub(crate) fn add(&mut self, subtypes: Subtypes) {
        self.all += 1;
        self.word |= ANYBODY | u32::from(subtypes.bits());
        ones(subtypes).for_each(|n| self.by_subtype[n] += 1);
    }

    pub(crate) fn remove(&mut self, subtypes: Subtypes) {
        self.all -= 1;
        for n in ones(subtypes) {
            self.by_subtype[n] -= 1;
            if self.by_subtype[n] == 0 {
                self.word &= !(1 << n);
            }
        }
        if self.all == 0 {
            self.word = 0;
        }
    }

    /// The subtypes asked for, for [`may_reach`].
    pub(crate) fn word(&self) -> u32 {
        self.word
    }
}

/// The places of the bits that are set.
fn ones(subtypes: Subtypes) -> impl Iterator<Item = usize> {
    let mut rest = subtypes.bits();
    std::iter::from_fn(move || {
        let place = (rest != 0).then(|| rest.trailing_zeros() as usize);
        rest &= rest.wrapping_sub(1);
        place
    })
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
