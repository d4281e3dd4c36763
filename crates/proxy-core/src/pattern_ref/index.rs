//! One way to find elements: by match method and by whether case counts.
//!
//! Exact texts, bytes and integers are hashed, prefixes and suffixes lie in ordered trees, networks
//! are hashed by prefix length, words between delimiters by their length. Only substrings, ranges
//! and regular expressions are walked.

use std::collections::BTreeMap;

use ipnet::IpNet;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{nets::Nets, prefix::Prefixes};
use crate::{
    rules::pattern::{Method, is_method, network, range},
    sample::{Pattern as Regex, SampleRef, args::hex_bytes},
};

/// Elements of one key, in the order in which they were added.
pub(super) type Ids = SmallVec<[u64; 1]>;

/// What an index compares, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) method: Method,
    pub(super) ignore_case: bool,
}

/// A key as an index keeps it.
pub(super) enum Key {
    /// It needs none.
    Nothing,
    Text(Box<[u8]>),
    Range(i64, i64),
    Net(IpNet),
    Regex(Box<Regex>),
}

impl Spec {
    /// Reads a key. The error says what is wrong with it.
    pub(super) fn read(self, key: &[u8]) -> Result<Key, String> {
        let text = String::from_utf8_lossy(key);
        let words = |delimiters: &[u8]| {
            let from = key.iter().position(|b| !delimiters.contains(b)).unwrap_or(key.len());
            let to = key.iter().rposition(|b| !delimiters.contains(b)).map_or(from, |last| last + 1);
            Ok(Key::Text(self.folded(&key[from..to])))
        };
        match self.method {
            Method::Found | Method::Bool => Ok(Key::Nothing),
            Method::Int | Method::Len => range(&text).map(|(low, high)| Key::Range(low, high)),
            Method::Ip => network(&text).map(Key::Net),
            Method::Bin => hex_bytes(&text).map(|bytes| Key::Text(bytes.into())),
            Method::Reg => Regex::new(&text, self.ignore_case)
                .map(|regex| Key::Regex(Box::new(regex)))
                .map_err(|e| e.message),
            Method::Dir => words(b"/"),
            Method::Dom => words(b"/?.:"),
            Method::End => {
                let mut reversed = self.folded(key);
                reversed.reverse();
                Ok(Key::Text(reversed))
            }
            Method::Str | Method::Beg | Method::Sub | Method::Meth => Ok(Key::Text(self.folded(key))),
        }
    }

    fn folded(self, text: &[u8]) -> Box<[u8]> {
        if self.ignore_case && self.method != Method::Meth {
            text.to_ascii_lowercase().into()
        } else {
            text.into()
        }
    }
}

/// The elements of a generation under one [`Spec`].
#[derive(Clone)]
pub(super) struct Index {
    pub(super) spec: Spec,
    kind: IndexKind,
}

#[derive(Clone)]
enum IndexKind {
    Nothing,
    Exact(FxHashMap<Box<[u8]>, Ids>),
    Prefix(Prefixes),
    Suffix(Prefixes),
    Words(Words),
    Walked(BTreeMap<u64, Box<[u8]>>),
    Regexes(BTreeMap<u64, Regex>),
    Ranges { single: FxHashMap<i64, Ids>, ranges: BTreeMap<u64, (i64, i64)> },
    Nets(Nets),
}

impl Index {
    pub(super) fn new(spec: Spec) -> Self {
        let kind = match spec.method {
            Method::Found | Method::Bool => IndexKind::Nothing,
            Method::Int | Method::Len => {
                IndexKind::Ranges { single: FxHashMap::default(), ranges: BTreeMap::new() }
            }
            Method::Ip => IndexKind::Nets(Nets::default()),
            Method::Bin | Method::Str => IndexKind::Exact(FxHashMap::default()),
            Method::Beg => IndexKind::Prefix(Prefixes::default()),
            Method::End => IndexKind::Suffix(Prefixes::default()),
            Method::Dir | Method::Dom => IndexKind::Words(Words::default()),
            Method::Sub | Method::Meth => IndexKind::Walked(BTreeMap::new()),
            Method::Reg => IndexKind::Regexes(BTreeMap::new()),
        };
        Self { spec, kind }
    }

    /// Adds an element. `key` was read by this index's [`Spec`].
    pub(super) fn insert(&mut self, key: Key, id: u64) {
        match (&mut self.kind, key) {
            (IndexKind::Exact(map), Key::Text(text)) => map.entry(text).or_default().push(id),
            (IndexKind::Prefix(tree) | IndexKind::Suffix(tree), Key::Text(text)) => tree.insert(text, id),
            (IndexKind::Words(words), Key::Text(text)) => words.insert(text, id),
            (IndexKind::Walked(all), Key::Text(text)) => {
                all.insert(id, text);
            }
            (IndexKind::Regexes(all), Key::Regex(regex)) => {
                all.insert(id, *regex);
            }
            (IndexKind::Ranges { single, .. }, Key::Range(low, high)) if low == high => {
                single.entry(low).or_default().push(id);
            }
            (IndexKind::Ranges { ranges, .. }, Key::Range(low, high)) => {
                ranges.insert(id, (low, high));
            }
            (IndexKind::Nets(nets), Key::Net(net)) => nets.insert(net, id),
            _ => {}
        }
    }

    /// Removes the element that `key` has added.
    pub(super) fn remove(&mut self, key: &[u8], id: u64) {
        match &mut self.kind {
            IndexKind::Nothing => {}
            IndexKind::Walked(all) => drop(all.remove(&id)),
            IndexKind::Regexes(all) => drop(all.remove(&id)),
            kind => {
                let Ok(key) = self.spec.read(key) else { return };
                match (kind, key) {
                    (IndexKind::Exact(map), Key::Text(text)) => forget(map, &text, id),
                    (IndexKind::Prefix(tree) | IndexKind::Suffix(tree), Key::Text(text)) => {
                        tree.remove(&text, id);
                    }
                    (IndexKind::Words(words), Key::Text(text)) => words.remove(&text, id),
                    (IndexKind::Ranges { single, ranges }, Key::Range(low, high)) => {
                        if low == high {
                            forget(single, &low, id);
                        } else {
                            ranges.remove(&id);
                        }
                    }
                    (IndexKind::Nets(nets), Key::Net(net)) => nets.remove(net, id),
                    _ => {}
                }
            }
        }
    }

    /// The element that a value matches: the finest of prefixes and networks, else the one that was
    /// added first.
    pub(super) fn find(&self, value: SampleRef<'_>) -> Option<u64> {
        match &self.kind {
            IndexKind::Nothing => None,
            IndexKind::Nets(nets) => nets.find(value.addr()?),
            IndexKind::Ranges { single, ranges } => {
                let number = match self.spec.method {
                    Method::Len => i64::try_from(value.text().len()).ok()?,
                    _ => value.int()?,
                };
                let exact = single.get(&number).and_then(|ids| ids.first().copied());
                let within = ranges.iter().find(|(_, (low, high))| (*low..=*high).contains(&number));
                exact.into_iter().chain(within.map(|(id, _)| *id)).min()
            }
            IndexKind::Exact(map) if self.spec.method == Method::Bin => match value {
                SampleRef::Str(b) | SampleRef::Bin(b) | SampleRef::Method(b) => first(map, b),
                _ => None,
            },
            _ if self.spec.ignore_case && !matches!(self.spec.method, Method::Reg | Method::Meth) => {
                self.find_text(&value.text().to_ascii_lowercase())
            }
            _ => self.find_text(&value.text()),
        }
    }

    fn find_text(&self, text: &[u8]) -> Option<u64> {
        match &self.kind {
            IndexKind::Exact(map) => first(map, text),
            IndexKind::Prefix(tree) => tree.longest(text),
            IndexKind::Suffix(tree) => {
                let reversed: SmallVec<[u8; 128]> = text.iter().rev().copied().collect();
                tree.first(&reversed)
            }
            IndexKind::Words(words) => words.find(text, self.spec.method),
            IndexKind::Walked(all) if self.spec.method == Method::Meth => {
                all.iter().find(|(_, key)| is_method(key, text, self.spec.ignore_case)).map(|(id, _)| *id)
            }
            IndexKind::Walked(all) => {
                all.iter().find(|(_, key)| memchr::memmem::find(text, key).is_some()).map(|(id, _)| *id)
            }
            IndexKind::Regexes(all) => {
                all.iter().find(|(_, regex)| regex.0.is_match(text)).map(|(id, _)| *id)
            }
            IndexKind::Nothing | IndexKind::Ranges { .. } | IndexKind::Nets(_) => None,
        }
    }

    /// The regular expression of an element.
    pub(super) fn regex(&self, id: u64) -> Option<&Regex> {
        match &self.kind {
            IndexKind::Regexes(all) => all.get(&id),
            _ => None,
        }
    }
}

/// Words, looked up at each delimiter for each length that a key has.
#[derive(Clone, Default)]
struct Words {
    keys: FxHashMap<Box<[u8]>, Ids>,
    /// How many keys have a length.
    lengths: BTreeMap<usize, usize>,
}

impl Words {
    fn insert(&mut self, key: Box<[u8]>, id: u64) {
        let len = key.len();
        let ids = self.keys.entry(key).or_default();
        if ids.is_empty() {
            *self.lengths.entry(len).or_default() += 1;
        }
        ids.push(id);
    }

    fn remove(&mut self, key: &[u8], id: u64) {
        if !self.keys.contains_key(key) {
            return;
        }
        forget(&mut self.keys, key, id);
        if !self.keys.contains_key(key)
            && let Some(count) = self.lengths.get_mut(&key.len())
        {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&key.len());
            }
        }
    }

    fn find(&self, text: &[u8], method: Method) -> Option<u64> {
        let is_delimiter = |b: u8| match method {
            Method::Dir => matches!(b, b'/' | b'?'),
            _ => matches!(b, b'/' | b'?' | b'.' | b':'),
        };
        let starts = (0..=text.len()).filter(|at| *at == 0 || is_delimiter(text[at - 1]));
        let words = starts.flat_map(|from| {
            self.lengths.keys().take_while(move |len| from + **len <= text.len()).map(move |len| (from, *len))
        });
        words
            .filter(|(from, len)| *len > 0 && text.get(from + len).is_none_or(|b| is_delimiter(*b)))
            .filter_map(|(from, len)| first(&self.keys, &text[from..from + len]))
            .min()
    }
}

fn first<K, Q>(map: &FxHashMap<K, Ids>, key: &Q) -> Option<u64>
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    map.get(key)?.first().copied()
}

fn forget<K, Q>(map: &mut FxHashMap<K, Ids>, key: &Q, id: u64)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
