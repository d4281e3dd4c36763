//! Samples about stick tables: `sc_*`, `sc0_*` to `sc2_*`, `src_*`, and the converters `table_*`.
//!
//! Source: configuration.txt 7.3.1 (table_*, in_table), 7.3.3 (sc_*, src_*).

use std::{net::IpAddr, sync::Arc, time::Instant};

use super::{
    Arg, Converter, Fetch, Sample, SampleRef, SampleType,
    args::{ArgKind, ArgSpec, Args, BadArg},
};
use crate::{
    cfgparse::ParseError,
    host::Addr,
    registry::Registry,
    stick_table::{DataType, Entry, Key, StickTable, StickTables, TRACKED_MAX, Tracked},
    txn::{Direction, Txn},
};

use DataType as D;

/// What is asked of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Value(DataType),
    /// In units of 1024.
    Kilo(DataType),
    /// Counts up, with the rate beside it; gives the new value.
    Inc(DataType, DataType),
    /// Sets to zero; gives the value before.
    Clear(DataType),
    Users,
    Known,
    Key,
    Expire,
    Idle,
}

impl Ask {
    fn output(self) -> SampleType {
        match self {
            Self::Known => SampleType::Bool,
            Self::Key => SampleType::Any,
            _ => SampleType::Int,
        }
    }

    /// Whether an entry is made where there is none.
    fn inserts(self) -> bool {
        matches!(self, Self::Inc(..))
    }

    /// The answer where there is no entry.
    fn absent(self) -> Option<Sample> {
        match self {
            Self::Known => Some(Sample::Bool(false)),
            Self::Key | Self::Expire | Self::Idle => None,
            _ => Some(Sample::Int(0)),
        }
    }

    fn answer(self, table: &StickTable, entry: &Entry, at: usize, now: Instant) -> Option<Sample> {
        let number = |value: u64| Some(Sample::Int(i64::try_from(value).unwrap_or(i64::MAX)));
        match self {
            Self::Value(kind) => number(table.value(entry, kind, at, now)?),
            Self::Kilo(kind) => number(table.value(entry, kind, at, now)? >> 10),
            Self::Inc(kind, rate) => {
                let rate = table.add(entry, rate, at, 1, now);
                number(table.add(entry, kind, at, 1, now).or(rate)?)
            }
            Self::Clear(kind) => number(table.set(entry, kind, at, 0, now)?),
            Self::Users => number(entry.users().into()),
            Self::Known => Some(Sample::Bool(true)),
            Self::Key => Some(match &entry.key {
                Key::Ipv4(addr) => Sample::Addr(IpAddr::V4(*addr)),
                Key::Ipv6(addr) => Sample::Addr(IpAddr::V6(*addr)),
                Key::Integer(number) => Sample::Int((*number).into()),
                Key::Bytes(bytes) => Sample::Str(bytes.to_vec()),
            }),
            Self::Expire => Some(Sample::Int(table.expires_in(entry, now).as_millis().try_into().ok()?)),
            Self::Idle => Some(Sample::Int(table.idle(entry, now).as_millis().try_into().ok()?)),
        }
    }
}

/// Names behind `sc_` and `src_`, and whether the first argument is an index.
const FETCHES: &[(&str, Ask, bool)] = &[
    ("bytes_in_rate", Ask::Value(D::BytesInRate), false),
    ("bytes_out_rate", Ask::Value(D::BytesOutRate), false),
    ("clr_gpc", Ask::Clear(D::Gpc), true),
    ("clr_gpc0", Ask::Clear(D::Gpc0), false),
    ("clr_gpc1", Ask::Clear(D::Gpc1), false),
    ("conn_cnt", Ask::Value(D::ConnCnt), false),
    ("conn_cur", Ask::Value(D::ConnCur), false),
    ("conn_rate", Ask::Value(D::ConnRate), false),
    ("get_gpc", Ask::Value(D::Gpc), true),
    ("get_gpc0", Ask::Value(D::Gpc0), false),
    ("get_gpc1", Ask::Value(D::Gpc1), false),
    ("get_gpt", Ask::Value(D::Gpt), true),
    ("get_gpt0", Ask::Value(D::Gpt0), false),
    ("glitch_cnt", Ask::Value(D::GlitchCnt), false),
    ("glitch_rate", Ask::Value(D::GlitchRate), false),
    ("gpc_rate", Ask::Value(D::GpcRate), true),
    ("gpc0_rate", Ask::Value(D::Gpc0Rate), false),
    ("gpc1_rate", Ask::Value(D::Gpc1Rate), false),
    ("http_err_cnt", Ask::Value(D::HttpErrCnt), false),
    ("http_err_rate", Ask::Value(D::HttpErrRate), false),
    ("http_fail_cnt", Ask::Value(D::HttpFailCnt), false),
    ("http_fail_rate", Ask::Value(D::HttpFailRate), false),
    ("http_req_cnt", Ask::Value(D::HttpReqCnt), false),
    ("http_req_rate", Ask::Value(D::HttpReqRate), false),
    ("inc_gpc", Ask::Inc(D::Gpc, D::GpcRate), true),
    ("inc_gpc0", Ask::Inc(D::Gpc0, D::Gpc0Rate), false),
    ("inc_gpc1", Ask::Inc(D::Gpc1, D::Gpc1Rate), false),
    ("kbytes_in", Ask::Kilo(D::BytesInCnt), false),
    ("kbytes_out", Ask::Kilo(D::BytesOutCnt), false),
    ("sess_cnt", Ask::Value(D::SessCnt), false),
    ("sess_rate", Ask::Value(D::SessRate), false),
];

/// Behind `sc_` only.
const TRACKED_ONLY: &[(&str, Ask, bool)] =
    &[("key", Ask::Key, false), ("tracked", Ask::Known, false), ("trackers", Ask::Users, false)];

/// Behind `table_`, where names differ from those of the fetches.
const CONVERTERS: &[(&str, Ask, bool)] = &[
    ("expire", Ask::Expire, false),
    ("gpc", Ask::Value(D::Gpc), true),
    ("gpc0", Ask::Value(D::Gpc0), false),
    ("gpc1", Ask::Value(D::Gpc1), false),
    ("gpt", Ask::Value(D::Gpt), true),
    ("gpt0", Ask::Value(D::Gpt0), false),
    ("idle", Ask::Idle, false),
    ("server_id", Ask::Value(D::ServerId), false),
    ("trackers", Ask::Users, false),
];

/// Adds them all.
pub(super) fn register(registry: &mut Registry) {
    let tables = registry.tables.clone();
    let mut fetch = |name: String, ask, indexed, origin| {
        let fetch = Counter { tables: tables.clone(), name: name.clone().into(), ask, indexed, origin };
        registry.fetches.insert(name, Arc::new(fetch));
    };
    for (name, ask, indexed) in FETCHES.iter().chain(TRACKED_ONLY) {
        fetch(format!("sc_{name}"), *ask, *indexed, Origin::Tracked(None));
        for number in (0..TRACKED_MAX).filter(|_| !indexed) {
            fetch(format!("sc{number}_{name}"), *ask, *indexed, Origin::Tracked(Some(number)));
        }
    }
    for (name, ask, indexed) in FETCHES {
        fetch(format!("src_{name}"), *ask, *indexed, Origin::Source);
    }
    fetch("src_updt_conn_cnt".to_owned(), Ask::Inc(D::ConnCnt, D::ConnRate), false, Origin::Source);
    let mut converter = |name: String, ask, indexed| {
        let converter = Lookup { tables: tables.clone(), name: name.clone().into(), ask, indexed };
        registry.converters.insert(name, Arc::new(converter));
    };
    for (name, ask, indexed) in
        FETCHES.iter().filter(|(name, ..)| !name.starts_with("get_")).chain(CONVERTERS)
    {
        converter(format!("table_{name}"), *ask, *indexed);
    }
    converter("in_table".to_owned(), Ask::Known, false);
}

/// Where a fetch finds its entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// What is tracked under that number, or under that of an argument.
    Tracked(Option<usize>),
    /// The client's address.
    Source,
}

/// One of the fetches. Its compiled arguments: index, number, table.
struct Counter {
    tables: Arc<StickTables>,
    name: Box<str>,
    ask: Ask,
    indexed: bool,
    origin: Origin,
}

impl Fetch for Counter {
    fn output(&self) -> SampleType {
        self.ask.output()
    }

    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        let numbered = self.origin == Origin::Tracked(None);
        let numbers = usize::from(self.indexed) + usize::from(numbered);
        let args = spec(numbers)
            .parse(raw)
            .map_err(|bad| ParseError::new(format!("fetch method '{}' : {}", self.name, bad.text)))?;
        let args = &args[..];
        let index = if self.indexed { args.int_at(0) } else { None };
        let number = match self.origin {
            Origin::Tracked(None) => args.int_at(usize::from(self.indexed)),
            Origin::Tracked(Some(number)) => i64::try_from(number).ok(),
            Origin::Source => None,
        };
        let name = args.str_at(numbers);
        let table = (name.is_some() || self.origin == Origin::Source).then(|| {
            let by = format!("in arg {} of sample fetch keyword '{}'", numbers + 1, self.name);
            Arg::Table(self.tables.refer(name, &by))
        });
        let int = |number: Option<i64>| number.map_or(Arg::None, Arg::Int);
        Ok(vec![int(index), int(number), table.unwrap_or(Arg::None)])
    }

    fn fetch(&self, txn: &mut Txn, args: &[Arg], _: Direction) -> Option<Sample> {
        let now = txn.worker.host.now();
        let at = index(args);
        let other = match args.get(2) {
            Some(Arg::Table(table)) => Some(table.table(txn)?),
            _ => None,
        };
        if self.origin == Origin::Source {
            let (Some(table), Some(Addr::Ip(src))) = (other, &txn.session.src) else { return None };
            let key = table.config.key_type.key(SampleRef::Addr(src.ip()))?;
            return look_up(self.ask, &table, &key, at, now);
        }
        let number = usize::try_from(args.int_at(1)?).ok()?;
        txn.with_tracked(number, |tracked| match (tracked, other) {
            (None, _) if self.ask == Ask::Known => Some(Sample::Bool(false)),
            (None, _) => None,
            (Some(Tracked { table, entry }), None) => self.ask.answer(table, entry, at, now),
            (Some(Tracked { entry, .. }), Some(table)) => look_up(self.ask, &table, &entry.key, at, now),
        })
    }
}

/// One of the converters. Its compiled arguments: index, default, table.
struct Lookup {
    tables: Arc<StickTables>,
    name: Box<str>,
    ask: Ask,
    indexed: bool,
}

impl Converter for Lookup {
    fn input(&self) -> SampleType {
        SampleType::Any
    }

    fn output(&self) -> SampleType {
        self.ask.output()
    }

    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        let numbers = usize::from(self.indexed);
        let spec = match self.ask {
            Ask::Expire | Ask::Idle => ArgSpec { min: 0, kinds: &[ArgKind::Str, ArgKind::Int] },
            _ => spec(numbers),
        };
        let refused = |bad: BadArg| {
            let place = format!("invalid arg {} in converter '{}'", bad.position, self.name);
            ParseError::new(format!("{place} : {}", bad.text))
        };
        let args = spec.parse(raw).map_err(refused)?;
        let args = &args[..];
        let by = format!("in arg {} of conversion keyword '{}'", numbers + 1, self.name);
        let table = self.tables.refer(args.str_at(numbers), &by);
        let int = |number: Option<i64>| number.map_or(Arg::None, Arg::Int);
        let (index, fallback) = if self.indexed { (args.int_at(0), None) } else { (None, args.int_at(1)) };
        Ok(vec![int(index), int(fallback), Arg::Table(table)])
    }

    fn convert(&self, txn: &mut Txn, input: Sample, args: &[Arg]) -> Option<Sample> {
        let Some(Arg::Table(table)) = args.get(2) else { return None };
        let table = table.table(txn)?;
        let now = txn.worker.host.now();
        let key = table.config.key_type.key(input.as_ref())?;
        look_up(self.ask, &table, &key, index(args), now).or_else(|| args.int_at(1).map(Sample::Int))
    }
}

/// The arguments of most: so many numbers, then a table.
fn spec(numbers: usize) -> ArgSpec {
    let kinds: &'static [ArgKind] = match numbers {
        0 => &[ArgKind::Str],
        1 => &[ArgKind::Int, ArgKind::Str],
        _ => &[ArgKind::Int, ArgKind::Int, ArgKind::Str],
    };
    ArgSpec { min: numbers, kinds }
}

fn index(args: &[Arg]) -> usize {
    args.int_at(0).map_or(0, |at| usize::try_from(at).unwrap_or(usize::MAX))
}

fn look_up(ask: Ask, table: &StickTable, key: &Key, at: usize, now: Instant) -> Option<Sample> {
    let entry = if ask.inserts() { table.get_or_insert(key, now) } else { table.find(key, now) };
    match entry {
        Some(entry) => ask.answer(table, &entry, at, now),
        None => ask.absent(),
    }
}
