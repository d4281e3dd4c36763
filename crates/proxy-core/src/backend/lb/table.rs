//! The table of servers that can be chosen, and the algorithms over it.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use smallvec::SmallVec;

use super::{Balance, Choice, Pick};
use crate::{
    backend::server::{Server, WEIGHT_SCALE},
    config::Proxy,
};

/// The longest round; beyond it strides are rounded.
const ROUND_MAX: u64 = 1 << 48;
/// Turns are moved back to zero beyond this.
const TURN_LIMIT: u64 = 1 << 62;

#[derive(Default)]
pub(super) struct Table {
    /// The generation of server changes it was built from, plus one; 0 for not built.
    built: u64,
    /// Servers that can be chosen, by their order in the file (by id for `first`).
    entries: Vec<Entry>,
    /// Running sums of weights, for `random`.
    sums: Vec<u32>,
    /// An entry a unit of weight, for hashes; indices of `entries`.
    map: Vec<u32>,
    /// Whose turn it is, earliest first.
    turns: BinaryHeap<Reverse<Turn>>,
    /// The time in which everyone gets as many turns as his weight says.
    round: u64,
    /// Where `leastconn` begins, so that equals take turns.
    next: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Index in the proxy.
    server: usize,
    /// Weight in sixteenths, never 0.
    weight: u32,
}

/// A server's next turn. Ordered by time; at the same time the lighter one goes first, then the
/// one declared first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Turn {
    at: u64,
    server: usize,
    stride: u64,
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        let lighter = || other.stride.cmp(&self.stride);
        self.at.cmp(&other.at).then_with(lighter).then_with(|| self.server.cmp(&other.server))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Table {
    /// Rebuilds the table if a server changed.
    pub(super) fn refresh(&mut self, proxy: &Proxy) {
        let generation = proxy.state.generation() + 1;
        if self.built != generation {
            self.build(proxy);
            self.built = generation;
        }
    }

    pub(super) fn pick(&mut self, proxy: &Proxy, choice: Choice, avoid: Option<usize>) -> Pick {
        if self.entries.is_empty() {
            return Pick::None;
        }
        let avoid = avoid.filter(|a| self.entries.iter().any(|e| e.server != *a));
        if let Some(pick) = choice.hash.and_then(|hash| self.pick_hashed(proxy, hash, avoid)) {
            return pick;
        }
        // Who comes now must not pass those who wait already.
        if proxy.state.queued.cur() > 0 {
            return Pick::AllFull;
        }
        let taken = match proxy.balance {
            Balance::LeastConn => self.pick_least(proxy, avoid),
            Balance::First => self.pick_first(proxy, avoid),
            Balance::Random { draws } => self.pick_random(proxy, choice.random, draws, avoid),
            _ => self.pick_turn(proxy, avoid),
        };
        taken.map_or(Pick::AllFull, Pick::Taken)
    }

    /// Next in turn that has room.
    fn pick_turn(&mut self, proxy: &Proxy, avoid: Option<usize>) -> Option<usize> {
        let mut first = self.turns.peek_mut()?;
        let Reverse(turn) = *first;
        if Some(turn.server) == avoid || !take(&proxy.servers[turn.server]) {
            drop(first);
            return self.pick_later_turn(proxy, avoid);
        }
        first.0.at += turn.stride;
        drop(first);
        if turn.at > TURN_LIMIT {
            self.rebase();
        }
        Some(turn.server)
    }

    /// The same where the first in turn cannot be taken. Those passed over keep no claim to the
    /// turns they missed.
    #[cold]
    fn pick_later_turn(&mut self, proxy: &Proxy, avoid: Option<usize>) -> Option<usize> {
        let mut passed: SmallVec<[Turn; 8]> = SmallVec::new();
        let taken = loop {
            let Some(Reverse(turn)) = self.turns.pop() else { break None };
            if Some(turn.server) != avoid && take(&proxy.servers[turn.server]) {
                break Some(turn);
            }
            passed.push(turn);
        };
        let floor = taken.map_or(0, |turn| turn.at);
        self.turns.extend(passed.into_iter().map(|t| Reverse(Turn { at: t.at.max(floor), ..t })));
        let taken = taken?;
        self.turns.push(Reverse(Turn { at: taken.at + taken.stride, ..taken }));
        Some(taken.server)
    }

    fn pick_least(&mut self, proxy: &Proxy, avoid: Option<usize>) -> Option<usize> {
        let count = self.entries.len();
        loop {
            let mut best: Option<(u64, usize, u64)> = None;
            for step in 0..count {
                let at = (self.next + step) % count;
                let Entry { server, weight } = self.entries[at];
                let candidate = &proxy.servers[server];
                if Some(server) == avoid || !is_open(candidate) {
                    continue;
                }
                let (load, weight) = (candidate.load() as u64, u64::from(weight));
                if best.is_none_or(|(least, _, of)| load * of < least * weight) {
                    best = Some((load, at, weight));
                }
            }
            let (_, at, _) = best?;
            let server = self.entries[at].server;
            if proxy.servers[server].try_acquire() {
                self.next = (at + 1) % count;
                return Some(server);
            }
        }
    }

    fn pick_first(&self, proxy: &Proxy, avoid: Option<usize>) -> Option<usize> {
        let open = |e: &&Entry| Some(e.server) != avoid && take(&proxy.servers[e.server]);
        self.entries.iter().find(open).map(|e| e.server)
    }

    fn pick_random(&self, proxy: &Proxy, seed: u64, draws: u32, avoid: Option<usize>) -> Option<usize> {
        let total = u64::from(*self.sums.last()?);
        let mut best: Option<Entry> = None;
        let mut state = seed;
        for _ in 0..draws.max(1) {
            let at = draw(&mut state, total);
            let entry = self.entries[self.sums.partition_point(|sum| u64::from(*sum) <= at)];
            let candidate = &proxy.servers[entry.server];
            if Some(entry.server) == avoid || !is_open(candidate) {
                continue;
            }
            let lighter = best.is_none_or(|b| {
                let held = proxy.servers[b.server].load() as u64;
                (candidate.load() as u64) * u64::from(b.weight) < held * u64::from(entry.weight)
            });
            if lighter {
                best = Some(entry);
            }
        }
        if let Some(entry) = best.filter(|e| proxy.servers[e.server].try_acquire()) {
            return Some(entry.server);
        }
        let start = draw(&mut state, self.entries.len() as u64);
        let rotated = self.entries.iter().cycle().skip(usize::try_from(start).unwrap_or(0));
        let open = |e: &&Entry| Some(e.server) != avoid && take(&proxy.servers[e.server]);
        rotated.take(self.entries.len()).find(open).map(|e| e.server)
    }

    /// The server a hash stands for. `None`: it is to be avoided, or its queue is full.
    fn pick_hashed(&self, proxy: &Proxy, hash: u32, avoid: Option<usize>) -> Option<Pick> {
        let at = *self.map.get(hash as usize % self.map.len().max(1))?;
        let index = self.entries[at as usize].server;
        if Some(index) == avoid {
            return None;
        }
        let server = &proxy.servers[index];
        if server.queued.cur() == 0 && server.try_acquire() {
            return Some(Pick::Taken(index));
        }
        let limit = server.config.maxqueue;
        (limit == 0 || server.queued.cur() < limit).then_some(Pick::Full(index))
    }

    fn build(&mut self, proxy: &Proxy) {
        let dynamic = proxy.balance.is_dynamic();
        self.entries.clear();
        self.entries.extend(usable(proxy, false, dynamic));
        if self.entries.is_empty() {
            let backups = usable(proxy, true, dynamic);
            let count = if proxy.options.allbackups { usize::MAX } else { 1 };
            self.entries.extend(backups.take(count));
        }
        if matches!(proxy.balance, Balance::First) {
            self.entries.sort_by_key(|e| proxy.servers[e.server].puid);
        }
        self.next = 0;
        self.build_turns();
        self.sums.clear();
        let mut sum = 0;
        self.sums.extend(self.entries.iter().map(|e| {
            sum += e.weight;
            sum
        }));
        if !self.entries.is_empty() && proxy.balance.is_hashed() {
            self.build_map();
        }
    }

    /// Gives everyone a next turn. Who had one keeps it; who comes (back) begins a part of his
    /// stride later, as large as the part of all weight that stands before him, which spreads
    /// the turns of unequal servers evenly.
    fn build_turns(&mut self) {
        let old: Vec<Turn> = std::mem::take(&mut self.turns).into_iter().map(|t| t.0).collect();
        let base = old.iter().map(|t| t.at).min().unwrap_or(0);
        let round = round_length(&self.entries);
        let old_round = std::mem::replace(&mut self.round, round).max(1);
        let rescale = |at: u64| u128::from(at) * u128::from(round) / u128::from(old_round);
        let total: u64 = self.entries.iter().map(|e| u64::from(e.weight)).sum();
        let mut before = 0;
        self.turns.extend(self.entries.iter().map(|e| {
            let weight = u64::from(e.weight);
            let stride = round / weight;
            let fresh = u128::from(round) * u128::from(before) / (u128::from(total) * u128::from(weight));
            before += weight;
            let kept = old.iter().find(|t| t.server == e.server).map(|t| rescale(t.at - base));
            let at = u64::try_from(kept.unwrap_or(fresh)).map_or(stride, |at| at.min(stride));
            Reverse(Turn { at, server: e.server, stride })
        }));
    }

    fn rebase(&mut self) {
        let turns = std::mem::take(&mut self.turns).into_vec();
        let base = turns.iter().map(|t| t.0.at).min().unwrap_or(0);
        self.turns.extend(turns.into_iter().map(|t| Reverse(Turn { at: t.0.at - base, ..t.0 })));
    }

    /// Spreads each server's units of weight over the map: each place goes to the server with the
    /// most whole turns due, the first declared among equals.
    ///
    /// Upstream: the same places as HAProxy 2.6 gives, found by asking it.
    fn build_map(&mut self) {
        self.map.clear();
        let units = |e: &Entry| i64::from((e.weight / WEIGHT_SCALE).max(1));
        let total: i64 = self.entries.iter().map(units).sum();
        let mut credit = vec![0_i64; self.entries.len()];
        for _ in 0..total {
            for (credit, entry) in credit.iter_mut().zip(&self.entries) {
                *credit += units(entry);
            }
            let due = |i: &usize| credit[*i].div_euclid(total);
            let most = (0..credit.len()).rev().max_by_key(due).expect("invariant: there are entries");
            credit[most] -= total;
            self.map.push(u32::try_from(most).expect("invariant: fewer servers than 2^32"));
        }
    }
}

/// A round in which every stride, and every part of it that a server may begin with, is whole.
fn round_length(entries: &[Entry]) -> u64 {
    let total: u64 = entries.iter().map(|e| u64::from(e.weight)).sum();
    let common = entries.iter().try_fold(1_u64, |lcm, e| {
        let weight = u64::from(e.weight);
        (lcm / gcd(lcm, weight)).checked_mul(weight)
    });
    common.and_then(|lcm| lcm.checked_mul(total)).filter(|round| *round <= ROUND_MAX).unwrap_or(ROUND_MAX)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Servers of one kind that can be chosen. Static algorithms go by the configured weight.
fn usable(proxy: &Proxy, backup: bool, dynamic: bool) -> impl Iterator<Item = Entry> {
    proxy.servers.iter().enumerate().filter(move |(_, s)| s.config.backup == backup).filter_map(
        move |(server, s)| {
            let share = s.share();
            let fixed = (s.initial_weight() * WEIGHT_SCALE).max(u32::from(share > 0));
            let weight = if dynamic || share == 0 { share } else { fixed };
            (weight > 0).then_some(Entry { server, weight })
        },
    )
}

/// Whether somebody new may take a slot: room, and nobody waiting.
fn is_open(server: &Server) -> bool {
    server.has_room() && server.queued.cur() == 0
}

fn take(server: &Server) -> bool {
    is_open(server) && server.try_acquire()
}

/// A number below `bound`, out of a stream of chance begun by the host's number (SplitMix64).
fn draw(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    u64::try_from((u128::from(z) * u128::from(bound)) >> 64).expect("invariant: below the bound")
}
