//! The classes Map, Patref and StickTable, made of pattern references and stick tables.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use hlua::host::{
    self, HostError, HostResult, Map, MatchMethod, PatternEntry, PatternRef, StickEntry, StickFilter,
    StickTableInfo, Value,
};
use proxy_core::{
    pattern_ref::{self, EditError, Entry, Kind, Output, PatternList, PatternRefs},
    rules::pattern::Method,
    sample::SampleRef,
    stick_table::{Entry as Counted, Key, StickTable},
    worker::Worker,
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

/// A stick table, on one worker's clock.
pub(super) struct LuaStickTable {
    worker: Rc<Worker>,
    table: Arc<StickTable>,
}

impl LuaStickTable {
    pub(super) fn new(worker: &Rc<Worker>, table: Arc<StickTable>) -> Self {
        Self { worker: worker.clone(), table }
    }

    fn entry(&self, entry: &Counted) -> StickEntry {
        let now = self.worker.host.now();
        let data = self.table.config.columns.iter().map(|column| {
            let value = self.table.value(entry, column.kind, 0, now).unwrap_or_default();
            (column.kind.name().to_owned(), number(value))
        });
        StickEntry {
            key: match &entry.key {
                Key::Bytes(bytes) => bytes.to_vec(),
                other => other.to_string().into_bytes(),
            },
            users: entry.users().into(),
            expire: number(self.table.expires_in(entry, now).as_millis()),
            data: data.collect(),
        }
    }
}

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

impl host::StickTable for LuaStickTable {
    fn info(&self) -> StickTableInfo {
        let config = &self.table.config;
        let period = |ms: u64| (ms > 0).then(|| number(ms));
        let data = config.columns.iter().map(|c| (c.kind.name().to_owned(), period(c.period_ms)));
        StickTableInfo {
            kind: config.key_type.name(),
            length: number(config.key_type.length()),
            size: number(config.size),
            used: number(self.table.used(self.worker.host.now())),
            expire: config.expire.map_or(0, |expire| number(expire.as_millis())),
            nopurge: config.nopurge,
            data: data.collect(),
        }
    }

    fn lookup(&self, key: &[u8]) -> Option<StickEntry> {
        let key = self.table.config.key_type.parse(key)?;
        self.table.find(&key, self.worker.host.now()).map(|entry| self.entry(&entry))
    }

    fn entries(&self, filters: &[StickFilter]) -> Vec<StickEntry> {
        let passes = |entry: &StickEntry, filter: &StickFilter| {
            let stored = entry.data.iter().find(|(name, _)| *name == filter.name);
            stored.is_some_and(|(_, stored)| filter.operator.holds(*stored, filter.value))
        };
        let entries = self.table.entries(self.worker.host.now());
        let entries = entries.iter().map(|entry| self.entry(entry));
        entries.filter(|entry| filters.iter().all(|filter| passes(entry, filter))).collect()
    }
}
