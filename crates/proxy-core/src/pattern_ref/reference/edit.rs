//! Changes to a reference's entries and versions.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use super::{
    super::generation::{Element, Generation},
    EditError, PatternEvent, PatternRef, State, Version,
};

impl PatternRef {
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
    pub(super) fn thaw(&self, state: &mut State) {
        if let Some(frozen) = self.frozen.swap(None) {
            state.live = Arc::try_unwrap(frozen).unwrap_or_else(|shared| (*shared).clone());
        }
    }

    /// Adds an entry; whether the version is the live one.
    pub(super) fn insert(
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
