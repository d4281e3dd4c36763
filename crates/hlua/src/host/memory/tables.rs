//! Maps and pattern references in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::events::{PatternQueues, tell};
use crate::host::{HostError, HostResult, Map, MatchMethod, PatternEntry, PatternRef, Patterns, Value};

/// The references of a test. Entries are walked; regular expressions are not understood and match by equality.
pub struct MemoryPatterns {
    list: RefCell<BTreeMap<String, Arc<Reference>>>,
    queues: PatternQueues,
}

struct Reference {
    id: i64,
    name: String,
    is_map: bool,
    state: Mutex<State>,
    queues: PatternQueues,
}

#[derive(Default)]
struct State {
    curr: u32,
    next: u32,
    versions: BTreeMap<u32, Vec<PatternEntry>>,
    next_id: u64,
}

impl MemoryPatterns {
    pub(super) fn new(queues: PatternQueues) -> Self {
        MemoryPatterns { list: RefCell::default(), queues }
    }

    /// Adds a map, as a file of `key value` lines would.
    pub fn add_map(&self, name: &str, entries: &[(&str, &str)]) {
        let reference = self.add(name, true);
        for (key, value) in entries {
            reference.lock().push(None, key.as_bytes(), Some(value.as_bytes()));
        }
    }

    /// Adds an ACL's list.
    pub fn add_acl(&self, name: &str, keys: &[&str]) {
        let reference = self.add(name, false);
        for key in keys {
            reference.lock().push(None, key.as_bytes(), None);
        }
    }

    fn add(&self, name: &str, is_map: bool) -> Arc<Reference> {
        let mut list = self.list.borrow_mut();
        let id = list.len() as i64;
        let (name, queues) = (name.to_string(), self.queues.clone());
        let reference =
            Arc::new(Reference { id, name: name.clone(), is_map, state: Mutex::default(), queues });
        list.insert(name, reference.clone());
        reference
    }
}

impl Patterns for MemoryPatterns {
    fn open_map(&self, name: &str, method: MatchMethod) -> HostResult<Arc<dyn Map>> {
        let list = self.list.borrow();
        let missing = || HostError::Refused(format!("failed to open pattern file <{name}>").into());
        let reference = list.get(name).filter(|reference| reference.is_map).ok_or_else(missing)?;
        Ok(Arc::new(MemoryMap { reference: reference.clone(), method }))
    }

    fn find(&self, name: &str) -> Option<Arc<dyn PatternRef>> {
        self.list.borrow().get(name).map(|reference| reference.clone() as Arc<dyn PatternRef>)
    }
}

struct MemoryMap {
    reference: Arc<Reference>,
    method: MatchMethod,
}

impl Map for MemoryMap {
    fn lookup(&self, key: &Value<'_>) -> Option<Vec<u8>> {
        let text = match key {
            Value::Int(int) => int.to_string().into_bytes(),
            Value::Str(text) => text.to_vec(),
            _ => return None,
        };
        let state = self.reference.lock();
        let entry = state.live().iter().find(|entry| matches(self.method, &entry.key, &text))?;
        entry.value.clone()
    }
}

fn matches(method: MatchMethod, key: &[u8], text: &[u8]) -> bool {
    let word = |delimiters: &[u8]| text.split(|byte| delimiters.contains(byte)).any(|part| part == key);
    match method {
        MatchMethod::Beg => text.starts_with(key),
        MatchMethod::End => text.ends_with(key),
        MatchMethod::Sub => key.is_empty() || text.windows(key.len()).any(|part| part == key),
        MatchMethod::Dir => word(b"/"),
        MatchMethod::Dom => word(b"./?:"),
        MatchMethod::Int | MatchMethod::Ip | MatchMethod::Str | MatchMethod::Reg => key == text,
    }
}

impl State {
    fn live(&self) -> &[PatternEntry] {
        self.versions.get(&self.curr).map_or(&[], Vec::as_slice)
    }

    fn version(&mut self, version: Option<u32>) -> &mut Vec<PatternEntry> {
        self.versions.entry(version.unwrap_or(self.curr)).or_default()
    }

    fn push(&mut self, version: Option<u32>, key: &[u8], value: Option<&[u8]>) {
        self.next_id += 1;
        let entry = PatternEntry { id: self.next_id, key: key.to_vec(), value: value.map(<[u8]>::to_vec) };
        self.version(version).push(entry);
    }
}

impl Reference {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics with the entries locked")
    }

    fn tell(&self, version: Option<u32>, name: &'static str) {
        if version.is_none() {
            tell(&self.queues, self.id, name);
        }
    }
}

impl PatternRef for Reference {
    fn id(&self) -> i64 {
        self.id
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_map(&self) -> bool {
        self.is_map
    }

    fn entry(&self, key: &[u8]) -> Option<PatternEntry> {
        self.lock().live().iter().find(|entry| entry.key == key).cloned()
    }

    fn entries(&self, after: u64, max: usize) -> Vec<PatternEntry> {
        self.lock().live().iter().filter(|entry| entry.id > after).take(max).cloned().collect()
    }

    fn add(&self, version: Option<u32>, key: &[u8], value: Option<&[u8]>, once: bool) -> HostResult<()> {
        let there = once && self.entry(key).is_some();
        if !there {
            self.lock().push(version, key, value);
            self.tell(version, "PAT_REF_ADD");
        }
        Ok(())
    }

    fn set(&self, version: Option<u32>, key: &[u8], value: &[u8], force: bool) -> HostResult<()> {
        let mut found = false;
        for entry in self.lock().version(version).iter_mut().filter(|entry| entry.key == key) {
            entry.value = Some(value.to_vec());
            found = true;
        }
        match (found, force) {
            (true, _) => self.tell(version, "PAT_REF_SET"),
            (false, true) => self.add(version, key, Some(value), false)?,
            (false, false) => return Err(HostError::Refused("entry not found.".into())),
        }
        Ok(())
    }

    fn del(&self, version: Option<u32>, key: &[u8]) -> bool {
        let mut state = self.lock();
        let entries = state.version(version);
        let before = entries.len();
        entries.retain(|entry| entry.key != key);
        let found = entries.len() < before;
        drop(state);
        if found {
            self.tell(version, "PAT_REF_DEL");
        }
        found
    }

    fn prepare(&self) -> u32 {
        let mut state = self.lock();
        state.next += 1;
        state.next
    }

    fn commit(&self, version: u32) -> bool {
        let mut state = self.lock();
        if version <= state.curr {
            return false;
        }
        state.curr = version;
        state.versions.retain(|other, _| *other >= version);
        drop(state);
        self.tell(None, "PAT_REF_COMMIT");
        true
    }

    fn give_up(&self, version: u32) {
        self.lock().versions.remove(&version);
    }

    fn purge(&self) {
        self.lock().versions.clear();
        self.tell(None, "PAT_REF_CLEAR");
    }
}
