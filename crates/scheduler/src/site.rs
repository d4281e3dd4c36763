//! What is known of each function that tasks were spawned with: how to poll it, and how it fares.
//!
//! A site is a pair of name and future type. There are as many as spawning places in the program, so they
//! are never freed; a slot names its site in two bytes.

use rustc_hash::FxHashMap;

use crate::body::Vtable;
use crate::remote::Shared;
use crate::stats::{NameStats, Profile};

pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) vtable: &'static Vtable,
    pub(crate) spawned: u64,
    pub(crate) live: u64,
    pub(crate) calls: u64,
    pub(crate) panics: u64,
    pub(crate) profile: Option<Box<Profile>>,
}

/// Address and length of the name, address of the table.
type Key = (usize, usize, usize);

#[derive(Default)]
pub(crate) struct Sites {
    pub(crate) list: Vec<Site>,
    by_key: FxHashMap<Key, u16>,
    last: Option<(Key, u16)>,
}

impl Sites {
    /// The number of a name and type.
    #[inline]
    pub(crate) fn find(&mut self, name: &'static str, vtable: &'static Vtable, shared: &Shared) -> u16 {
        let key = (name.as_ptr().addr(), name.len(), std::ptr::from_ref(vtable).addr());
        match self.last {
            Some((last, number)) if last == key => number,
            _ => self.look_up(key, name, vtable, shared),
        }
    }

    fn look_up(&mut self, key: Key, name: &'static str, vtable: &'static Vtable, shared: &Shared) -> u16 {
        let number = self.by_key.get(&key).copied().unwrap_or_else(|| {
            let number = u16::try_from(self.list.len()).expect("fewer than 2^16 names");
            self.list.push(Site { name, vtable, spawned: 0, live: 0, calls: 0, panics: 0, profile: None });
            self.by_key.insert(key, number);
            shared.add_name(name);
            number
        });
        self.last = Some((key, number));
        number
    }

    /// Figures by name, in the order of first use. `queued` counts by site what waits.
    pub(crate) fn stats(&self, queued: &[u64]) -> Vec<NameStats> {
        let mut stats: Vec<NameStats> = Vec::new();
        for (site, queued) in self.list.iter().zip(queued) {
            let known = stats.iter_mut().position(|stats| stats.name == site.name);
            let index = known.unwrap_or_else(|| {
                stats.push(NameStats::new(site.name, (site.vtable.function)()));
                stats.len() - 1
            });
            stats[index].add(site, *queued);
        }
        stats
    }
}
