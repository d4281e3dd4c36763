//! An ordered set of texts that finds those a text begins with, without a walk over all of them.

use std::{
    collections::BTreeMap,
    ops::Bound::{Included, Unbounded},
};

use super::index::Ids;

/// Keys in order. To find endings, keys and texts are given backwards.
#[derive(Clone, Default)]
pub(super) struct Prefixes(BTreeMap<Box<[u8]>, Ids>);

impl Prefixes {
    pub(super) fn insert(&mut self, key: Box<[u8]>, id: u64) {
        self.0.entry(key).or_default().push(id);
    }

    pub(super) fn remove(&mut self, key: &[u8], id: u64) {
        if let Some(ids) = self.0.get_mut(key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// The longest key that `text` begins with.
    pub(super) fn longest(&self, text: &[u8]) -> Option<u64> {
        self.all(text).next()
    }

    /// Of all keys that `text` begins with, the one that was added first.
    pub(super) fn first(&self, text: &[u8]) -> Option<u64> {
        self.all(text).min()
    }

    /// The first id of each key that `text` begins with, longest key first.
    ///
    /// The greatest key not above a text is its longest prefix, or shares with it all that any of
    /// its prefixes can have.
    fn all<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            loop {
                let bound = rest?;
                let (key, ids) = self.0.range::<[u8], _>((Unbounded, Included(bound))).next_back()?;
                let common = key.iter().zip(bound).take_while(|(a, b)| a == b).count();
                if common == key.len() {
                    rest = common.checked_sub(1).map(|shorter| &bound[..shorter]);
                    return ids.first().copied();
                }
                rest = Some(&bound[..common]);
            }
        })
    }
}
