//! The classes Map and Patref, made of pattern references.

use std::{borrow::Cow, sync::Arc};

use hlua::host::{self, HostError, HostResult, Map, MatchMethod, PatternEntry, PatternRef, Value};
use proxy_core::{
    pattern_ref::{self, EditError, Entry, Kind, Output, PatternList, PatternRefs},
    rules::pattern::Method,
    sample::SampleRef,
};

/// The references of a configuration, as scripts see them.
#[derive(Clone)]
pub struct LuaPatterns(pub Arc<PatternRefs>);

impl host::Patterns for LuaPatterns {
    fn open_map(&self, name: &str, method: MatchMethod) -> HostResult<Arc<dyn Map>> {
        let list = self.0.map(name, method_of(method), Output::Str);
        list.map(|list| Arc::new(LuaMap(list)) as Arc<dyn Map>)
            .map_err(|error| HostError::Refused(Cow::Owned(error.message)))
    }

    fn find(&self, name: &str) -> Option<Arc<dyn PatternRef>> {
        Some(Arc::new(LuaPatternRef(self.0.find(name)?)))
    }
}

fn method_of(method: MatchMethod) -> Method {
    match method {
        MatchMethod::Int => Method::Int,
        MatchMethod::Ip => Method::Ip,
        MatchMethod::Str => Method::Str,
        MatchMethod::Beg => Method::Beg,
        MatchMethod::Sub => Method::Sub,
        MatchMethod::Dir => Method::Dir,
        MatchMethod::Dom => Method::Dom,
        MatchMethod::End => Method::End,
        MatchMethod::Reg => Method::Reg,
    }
}

struct LuaMap(PatternList);

impl Map for LuaMap {
    fn lookup(&self, key: &Value<'_>) -> Option<Vec<u8>> {
        self.0.text(match key {
            Value::Int(number) => SampleRef::Int(*number),
            Value::Str(text) => SampleRef::Str(text),
            Value::Bool(flag) => SampleRef::Bool(*flag),
            Value::Ip(addr) => SampleRef::Addr(*addr),
        })
    }
}

struct LuaPatternRef(Arc<pattern_ref::PatternRef>);

fn entry(entry: Entry) -> PatternEntry {
    let Entry { id, element } = entry;
    PatternEntry { id, key: element.key.to_vec(), value: element.value.map(|value| value.to_vec()) }
}

fn done(done: Result<(), EditError>) -> HostResult<()> {
    done.map_err(|error| HostError::Refused(Cow::Owned(error.to_string())))
}

impl PatternRef for LuaPatternRef {
    fn id(&self) -> i64 {
        self.0.number().map_or(-1, i64::from)
    }

    fn name(&self) -> String {
        self.0.name.as_deref().unwrap_or_default().to_owned()
    }

    fn is_map(&self) -> bool {
        self.0.kind == Kind::Map
    }

    fn entry(&self, key: &[u8]) -> Option<PatternEntry> {
        self.0.entry(key).map(entry)
    }

    fn entries(&self, after: u64, max: usize) -> Vec<PatternEntry> {
        self.0.entries(None, after, max).into_iter().map(entry).collect()
    }

    fn add(&self, version: Option<u32>, key: &[u8], value: Option<&[u8]>, once: bool) -> HostResult<()> {
        done(if once { self.0.add_once(key) } else { self.0.add(version, key, value) })
    }

    fn set(&self, version: Option<u32>, key: &[u8], value: &[u8], force: bool) -> HostResult<()> {
        done(if force { self.0.set_or_add(version, key, value) } else { self.0.set(version, key, value) })
    }

    fn del(&self, version: Option<u32>, key: &[u8]) -> bool {
        self.0.del(version, key)
    }

    fn prepare(&self) -> u32 {
        self.0.prepare()
    }

    fn commit(&self, version: u32) -> bool {
        self.0.commit(version).is_ok()
    }

    fn give_up(&self, version: u32) {
        self.0.give_up(version);
    }

    fn purge(&self) {
        self.0.purge();
    }
}
