//! One reference: its versions, and every way to change them.

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

    // ---- changes ----

    /// Adds an entry to the live version or, if given, to another.
    ///
    /// # Errors
    /// [`EditError::Malformed`], [`EditError::Future`].
    pub fn add(&self, version: Option<Version>, key: &[u8], value: Option<&[u8]>) -> Result<(), EditError> {
        self.change(|state| {
            let live = self.insert(state, version, key, value, 0)?;
            Ok(((), live.then_some(PatternEvent::Add)))
        })
    }

    /// Adds an entry unless the live version has its key.
    ///
    /// # Errors
    /// [`EditError::Malformed`].
    pub fn add_once(&self, key: &[u8]) -> Result<(), EditError> {
        if self.contains(key) {
            return Ok(());
        }
        self.change(|state| {
            if !state.live.ids(key).is_empty() {
                return Ok(((), None));
            }
            self.insert(state, None, key, None, 0)?;
            Ok(((), Some(PatternEvent::Add)))
        })
    }

    /// Gives every entry of that key another value. Without `version`, in the live one.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::Malformed`].
    pub fn set(&self, version: Option<Version>, key: &[u8], value: &[u8]) -> Result<(), EditError> {
        if version.is_none() && !self.contains(key) {
            return Err(EditError::NotFound);
        }
        self.change(|state| {
            let event = set_in(state, version, key, value)?.ok_or(EditError::NotFound)?;
            Ok(((), event))
        })
    }

    /// Gives every entry of that key another value, or adds one.
    ///
    /// # Errors
    /// [`EditError::Malformed`], [`EditError::Future`].
    pub fn set_or_add(&self, version: Option<Version>, key: &[u8], value: &[u8]) -> Result<(), EditError> {
        self.change(|state| match set_in(state, version, key, value)? {
            Some(event) => Ok(((), event)),
            None => {
                let live = self.insert(state, version, key, Some(value), 0)?;
                Ok(((), live.then_some(PatternEvent::Add)))
            }
        })
    }

    /// Gives one entry another value, in whatever version it is.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::Malformed`].
    pub fn set_by_id(&self, id: u64, value: &[u8]) -> Result<(), EditError> {
        self.change(|state| {
            state.check_value(value)?;
            let value = Arc::from(value);
            if state.live.set_value(id, &value) {
                return Ok(((), Some(PatternEvent::Set)));
            }
            let found = state.others.values_mut().any(|other| other.set_value(id, &value));
            if found { Ok(((), None)) } else { Err(EditError::NotFound) }
        })
    }

    /// Deletes every entry of that key. Without `version`, in the live one. Whether there was one.
    pub fn del(&self, version: Option<Version>, key: &[u8]) -> bool {
        // What changes nothing leaves readers without a lock.
        if version.is_none() && !self.contains(key) {
            return false;
        }
        let removed = self.change(|state| {
            let live = state.is_live(version);
            let Some(generation) = state.version(version) else { return Err(EditError::NotFound) };
            let ids = generation.ids(key);
            if ids.is_empty() {
                return Err(EditError::NotFound);
            }
            for id in ids {
                generation.remove(id);
            }
            Ok(((), live.then_some(PatternEvent::Del)))
        });
        removed.is_ok()
    }

    /// Deletes one entry, in whatever version it is. Whether there was one.
    pub fn del_by_id(&self, id: u64) -> bool {
        let removed = self.change(|state| {
            if state.live.remove(id).is_some() {
                return Ok(((), Some(PatternEvent::Del)));
            }
            let found = state.others.values_mut().any(|other| other.remove(id).is_some());
            if found { Ok(((), None)) } else { Err(EditError::NotFound) }
        });
        removed.is_ok()
    }

    /// Deletes all entries of a version, the live one by default.
    pub fn clear(&self, version: Option<Version>) {
        // What is dropped is returned, so that it is dropped without the lock.
        let _ = self.change(|state| {
            let live = state.is_live(version);
            let empty = Generation::new(&state.specs);
            let old = state.version(version).map(|generation| std::mem::replace(generation, empty));
            Ok((old, live.then_some(PatternEvent::Clear)))
        });
    }

    /// Deletes the entries of all versions and gives prepared ones up.
    pub fn purge(&self) {
        let _ = self.change(|state| {
            let empty = Generation::new(&state.specs);
            let old = (std::mem::replace(&mut state.live, empty), std::mem::take(&mut state.others));
            Ok((old, Some(PatternEvent::Clear)))
        });
    }

    /// Makes a new, empty version.
    pub fn prepare(&self) -> Version {
        let mut state = self.state.write();
        state.next = state.next.wrapping_add(1);
        state.next
    }

    /// Gives a prepared version up.
    pub fn give_up(&self, version: Version) {
        let dropped = self.state.write().others.remove(&version);
        drop(dropped);
    }

    /// Makes a prepared version the live one, at once for every reader; older ones are deleted.
    ///
    /// # Errors
    /// [`EditError::OutOfRange`].
    pub fn commit(&self, version: Version) -> Result<(), EditError> {
        let old = self.change(|state| {
            let ahead = version.wrapping_sub(state.curr);
            if ahead == 0 || ahead > state.next.wrapping_sub(state.curr) {
                return Err(EditError::OutOfRange);
            }
            let new = state.others.remove(&version).unwrap_or_else(|| Generation::new(&state.specs));
            let live = std::mem::replace(&mut state.live, new);
            state.curr = version;
            let next = state.next;
            let is_newer = |other: &Version| other.wrapping_sub(version) <= next.wrapping_sub(version);
            let (newer, older) =
                std::mem::take(&mut state.others).into_iter().partition(|(other, _)| is_newer(other));
            state.others = newer;
            let older: BTreeMap<Version, Generation> = older;
            Ok(((live, older), Some(PatternEvent::Commit)))
        })?;
        drop(old);
        Ok(())
    }

    /// Makes one change and tells of it.
    fn change<R>(
        &self,
        change: impl FnOnce(&mut State) -> Result<(R, Option<PatternEvent>), EditError>,
    ) -> Result<R, EditError> {
        let _turn = self.turn.lock();
        let (done, event) = {
            let mut state = self.state.write();
            self.thaw(&mut state);
            change(&mut state)?
        };
        if let Some(event) = event.filter(|_| self.watched.load(Ordering::Acquire))
            && let Some(observer) = self.observer.get()
        {
            observer.on_pattern_event(self, event);
        }
        Ok(done)
    }

    /// Readers need the lock from now on.
    fn thaw(&self, state: &mut State) {
        if let Some(frozen) = self.frozen.swap(None) {
            state.live = Arc::try_unwrap(frozen).unwrap_or_else(|shared| (*shared).clone());
        }
    }

    /// Adds an entry; whether the version is the live one.
    fn insert(
        &self,
        state: &mut State,
        version: Option<Version>,
        key: &[u8],
        value: Option<&[u8]>,
        line: u32,
    ) -> Result<bool, EditError> {
        if let Some(version) = version
            && version.wrapping_sub(state.next).cast_signed() > 0
        {
            return Err(EditError::Future(if self.is_map() { "map" } else { "acl" }));
        }
        let keys = state.read(key)?;
        if let Some(value) = value {
            state.check_value(value)?;
        }
        let live = state.is_live(version);
        let element = Element { key: key.into(), value: value.map(Into::into), line };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        match version {
            Some(version) if !live => {
                let specs = &state.specs;
                let generation = state.others.entry(version).or_insert_with(|| Generation::new(specs));
                generation.insert(id, element, keys);
            }
            _ => state.live.insert(id, element, keys),
        }
        Ok(live)
    }

    // ---- while the configuration is read ----

    /// Adds an entry of a file or an ACL's line.
    pub(super) fn load(&self, key: &[u8], value: Option<&[u8]>, line: u32) -> Result<(), EditError> {
        let mut state = self.state.write();
        self.thaw(&mut state);
        self.insert(&mut state, None, key, value, line).map(drop)
    }

    /// A use of this reference: the number of its index.
    ///
    /// # Errors
    /// A pattern or value that this use cannot read, with its line.
    pub(super) fn list(&self, spec: Spec, output: Output, may_add: bool) -> Result<Option<usize>, String> {
        let mut state = self.state.write();
        let known = state.specs.iter().position(|other| *other == spec);
        let info = known.map(|index| ListInfo { index, spec, output });
        if info.is_some_and(|info| state.lists.contains(&info)) {
            return Ok(known);
        }
        if !may_add {
            return Ok(None);
        }
        self.thaw(&mut state);
        let located = |text: String, element: &Element| match &self.name {
            Some(name) if element.line > 0 => format!("{text} at line {} of file '{name}'", element.line),
            _ => text,
        };
        for (_, element) in state.live.after(0) {
            if let Some(value) = &element.value {
                output.check(value).map_err(|text| located(text, element))?;
            }
        }
        let index = match known {
            Some(index) => index,
            None => {
                state.live.add_index(spec).map_err(|(text, element)| located(text, &element))?;
                for other in state.others.values_mut() {
                    other.add_index(spec).map_err(|(text, element)| located(text, &element))?;
                }
                state.specs.push(spec);
                state.specs.len() - 1
            }
        };
        state.lists.push(ListInfo { index, spec, output });
        Ok(Some(index))
    }

    /// Every use, in the order in which they were read.
    pub(super) fn lists(&self) -> Vec<ListInfo> {
        self.state.read().lists.clone()
    }

    /// The configuration was read: readers need no lock until something changes.
    pub(super) fn freeze(&self) {
        let mut state = self.state.write();
        if self.frozen.load().is_none() {
            let empty = Generation::new(&state.specs);
            let live = std::mem::replace(&mut state.live, empty);
            self.frozen.store(Some(Arc::new(live)));
        }
    }
}

/// Sets the value of all entries of a key. `None`: there is none; else what to tell of it.
#[expect(clippy::option_option, reason = "whether there is such an entry, then whether it is live")]
fn set_in(
    state: &mut State,
    version: Option<Version>,
    key: &[u8],
    value: &[u8],
) -> Result<Option<Option<PatternEvent>>, EditError> {
    state.check_value(value)?;
    let live = state.is_live(version);
    let Some(generation) = state.version(version) else { return Ok(None) };
    let ids = generation.ids(key);
    let value = Arc::from(value);
    for id in &ids {
        generation.set_value(*id, &value);
    }
    Ok((!ids.is_empty()).then(|| live.then_some(PatternEvent::Set)))
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
