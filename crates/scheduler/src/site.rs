//! What is known of each function that tasks were spawned with: how to poll it, and how it fares.
//!
//! A site is a pair of name and future type. There are as many as spawning places in the program, so they
//! are never freed; a slot names its site in two bytes.

use std::cell::Cell;
use std::task::{Context, Poll};

use rustc_hash::FxHashMap;

use crate::body::{self, Vtable};
use crate::remote::Shared;
use crate::stats::{NameStats, Profile};

pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) vtable: &'static Vtable,
    pub(crate) spawned: u64,
    /// Runs, as far as they are not counted in a [`Hot`].
    pub(crate) calls: u64,
    /// Ends, as far as they are not counted in a [`Hot`].
    pub(crate) ended: u64,
    pub(crate) panics: u64,
    pub(crate) profile: Option<Box<Profile>>,
}

/// What each run and each end needs of a site, for the first [`HOT`] of them.
pub(crate) struct Hot {
    pub(crate) poll: Cell<unsafe fn(*mut (), &mut Context<'_>) -> Poll<()>>,
    pub(crate) calls: Cell<u64>,
    pub(crate) vtable: Cell<&'static Vtable>,
    pub(crate) ended: Cell<u64>,
}

/// More sites than most programs have spawning places; the others cost a little more each run.
pub(crate) const HOT: usize = 512;

#[expect(unsafe_code, reason = "see `body`")]
unsafe fn no_poll(_: *mut (), _: &mut Context<'_>) -> Poll<()> {
    unreachable!("invariant: a slot's site was found before")
}

/// A table without sites.
pub(crate) fn hot() -> Box<[Hot; HOT]> {
    let none = body::vtable::<std::future::Ready<()>>();
    let hot = (0..HOT).map(|_| Hot {
        poll: Cell::new(no_poll),
        calls: Cell::new(0),
        vtable: Cell::new(none),
        ended: Cell::new(0),
    });
    hot.collect::<Box<[Hot]>>().try_into().ok().expect("as many as collected")
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
    pub(crate) fn find(
        &mut self,
        name: &'static str,
        vtable: &'static Vtable,
        hot: &[Hot],
        shared: &Shared,
    ) -> u16 {
        let key = (name.as_ptr().addr(), name.len(), std::ptr::from_ref(vtable).addr());
        match self.last {
            Some((last, number)) if last == key => number,
            _ => self.look_up(key, name, vtable, hot, shared),
        }
    }

    fn look_up(
        &mut self,
        key: Key,
        name: &'static str,
        vtable: &'static Vtable,
        hot: &[Hot],
        shared: &Shared,
    ) -> u16 {
        let number = self.by_key.get(&key).copied().unwrap_or_else(|| {
            let number = u16::try_from(self.list.len()).ok().filter(|number| *number < u16::MAX);
            let number = number.expect("fewer than 2^16 names");
            self.list.push(Site { name, vtable, spawned: 0, calls: 0, ended: 0, panics: 0, profile: None });
            self.by_key.insert(key, number);
            shared.add_name(name);
            if let Some(hot) = hot.get(usize::from(number)) {
                hot.poll.set(vtable.poll);
                hot.vtable.set(vtable);
            }
            number
        });
        self.last = Some((key, number));
        number
    }

    /// Figures by name, in the order of first use. `queued` counts by site what waits.
    pub(crate) fn stats(&self, hot: &[Hot], queued: &[u64]) -> Vec<NameStats> {
        let mut stats: Vec<NameStats> = Vec::new();
        for (number, (site, queued)) in self.list.iter().zip(queued).enumerate() {
            let known = stats.iter_mut().position(|stats| stats.name == site.name);
            let index = known.unwrap_or_else(|| {
                stats.push(NameStats::new(site.name, (site.vtable.function)()));
                stats.len() - 1
            });
            let (calls, ended) = hot.get(number).map_or((0, 0), |hot| (hot.calls.get(), hot.ended.get()));
            stats[index].add_site(site, calls, ended, *queued);
        }
        stats
    }
}
