//! One reference: its versions, and every way to change them.

mod edit;
mod load;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, RwLock};

use super::{
    generation::{Element, Generation, Keys},
    index::Spec,
    list::Output,
    table::Kind,
};
use crate::host::PatternObserver;

/// A version's number. They wrap, so that only their distance says which is newer.
pub type Version = u32;

/// What happened to the live version of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternEvent {
    /// An entry was added.
    Add,
    /// An entry was deleted.
    Del,
    /// An entry has another value.
    Set,
    /// A prepared version has become the live one.
    Commit,
    /// All entries were deleted.
    Clear,
}

/// Why a change was refused. The texts are HAProxy's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A pattern or value that one of the reference's users cannot read.
    #[error("{0}.")]
    Malformed(String),
    /// A version that was never prepared.
    #[error("Version number in the future, please use 'prepare {0}' before.")]
    Future(&'static str),
    /// A version that cannot become the live one: unknown, or superseded.
    #[error("Version number out of range.")]
    OutOfRange,
    /// No entry has that key.
    #[error("entry not found.")]
    NotFound,
}

/// An entry with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number, unique within the reference. Entries are listed in its order.
    pub id: u64,
    /// The entry.
    pub element: Element,
}

/// A list of patterns under a name or number. Shared by all threads.
///
/// # Thread affinity
/// `Send` and `Sync`. Changes are made one after the other; the observer is told of each before the
/// next one begins.
pub struct PatternRef {
    number: OnceLock<u32>,
    /// Its name; `None` for what stands on the line of an ACL itself.
    pub name: Option<Box<str>>,
    /// One column, or two.
    pub kind: Kind,
    /// Who uses it: `acl`, `map`, and what `show acl` says about it.
    pub(super) users: Mutex<Users>,
    /// The live version, while nobody has changed anything since the start.
    frozen: ArcSwapOption<Generation>,
    state: RwLock<State>,
    /// Held from the beginning of a change until its observer was told.
    turn: Mutex<()>,
    observer: Arc<OnceLock<Arc<dyn PatternObserver>>>,
    watched: AtomicBool,
    next_id: AtomicU64,
}

/// Who uses a reference.
#[derive(Clone, Debug, Default)]
pub(super) struct Users {
    pub(super) acl: bool,
    pub(super) map: bool,
    pub(super) text: String,
}

#[derive(Default)]
struct State {
    curr: Version,
    next: Version,
    live: Generation,
    others: BTreeMap<Version, Generation>,
    specs: Vec<Spec>,
    lists: Vec<ListInfo>,
}

/// A way in which the reference is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListInfo {
    pub(super) index: usize,
    pub(super) spec: Spec,
    pub(super) output: Output,
}

impl PatternRef {
    pub(super) fn new(
        number: Option<u32>,
        name: Option<&str>,
        kind: Kind,
        observer: Arc<OnceLock<Arc<dyn PatternObserver>>>,
    ) -> Self {
        Self {
            number: number.map_or_else(OnceLock::new, OnceLock::from),
            name: name.map(Into::into),
            kind,
            users: Mutex::default(),
            frozen: ArcSwapOption::empty(),
            state: RwLock::default(),
            turn: Mutex::default(),
            observer,
            watched: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
        }
    }

    /// Its number (`#3`), once the configuration was read.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.number.get().copied()
    }

    pub(super) fn set_number(&self, number: u32) {
        let _ = self.number.set(number);
    }

    /// What `show map` and `show acl` say about it.
    #[must_use]
    pub fn description(&self) -> String {
        self.users.lock().text.clone()
    }

    /// Whether an ACL uses it.
    #[must_use]
    pub fn is_acl(&self) -> bool {
        self.users.lock().acl
    }

    /// Whether a map uses it, or an ACL as a map.
    #[must_use]
    pub fn is_map(&self) -> bool {
        self.users.lock().map
    }

    /// From now on the observer is told of what happens.
    pub fn watch(&self) {
        self.watched.store(true, Ordering::Release);
    }

    /// The live version and the one prepared last.
    #[must_use]
    pub fn versions(&self) -> (Version, Version) {
        let state = self.state.read();
        (state.curr, state.next)
    }

    /// Entries of all versions.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        let pending = |state: &State| state.others.values().map(Generation::len).sum::<usize>();
        let state = self.state.read();
        pending(&state) + self.frozen.load().as_ref().map_or(state.live.len(), |live| live.len())
    }

    /// Up to `max` entries of a version (the live one by default) with numbers above `after`.
    #[must_use]
    pub fn entries(&self, version: Option<Version>, after: u64, max: usize) -> Vec<Entry> {
        let list = |generation: &Generation| {
            let entries = generation.after(after).take(max);
            entries.map(|(id, element)| Entry { id, element: element.clone() }).collect()
        };
        let state = self.state.read();
        match version.filter(|version| *version != state.curr) {
            Some(other) => state.others.get(&other).map(list).unwrap_or_default(),
            None => match &*self.frozen.load() {
                Some(frozen) => list(frozen),
                None => list(&state.live),
            },
        }
    }

    /// The first live entry with exactly that key.
    #[must_use]
    pub fn entry(&self, key: &[u8]) -> Option<Entry> {
        self.with_live(|live| {
            let id = *live.ids(key).first()?;
            Some(Entry { id, element: live.get(id)?.clone() })
        })
    }

    /// Whether the live version has that key.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.with_live(|live| !live.ids(key).is_empty())
    }

    /// Calls `look` with the live version.
    pub(super) fn with_live<R>(&self, look: impl FnOnce(&Generation) -> R) -> R {
        match &*self.frozen.load() {
            Some(frozen) => look(frozen),
            None => look(&self.state.read().live),
        }
    }
}

impl State {
    fn is_live(&self, version: Option<Version>) -> bool {
        version.is_none_or(|version| version == self.curr)
    }

    fn version(&mut self, version: Option<Version>) -> Option<&mut Generation> {
        match version {
            Some(version) if version != self.curr => self.others.get_mut(&version),
            _ => Some(&mut self.live),
        }
    }

    /// The key as each index reads it.
    fn read(&self, key: &[u8]) -> Result<Keys, EditError> {
        self.specs.iter().map(|spec| spec.read(key).map_err(EditError::Malformed)).collect()
    }

    fn check_value(&self, value: &[u8]) -> Result<(), EditError> {
        self.lists.iter().try_for_each(|list| list.output.check(value)).map_err(EditError::Malformed)
    }
}
