//! Maps, pattern references and stick tables: `Map`, `Patref`, `StickTable`, `core.set_map` and their kin.
//!
//! Source: lua-api "Map class", "Patref class", "StickTable class".

use std::sync::Arc;

use super::{HostResult, Value};

/// Maps and pattern references by name: names of files, `virt@…`, `opt@…`.
pub trait Patterns {
    /// `Map.new`: a map, loaded if need be. Called while the process starts only.
    ///
    /// The refusal says what is wrong with the file, as HAProxy words it, without a full stop.
    fn open_map(&self, name: &str, method: MatchMethod) -> HostResult<Arc<dyn Map>>;
    /// The reference that the configuration or a script has named.
    fn find(&self, name: &str) -> Option<Arc<dyn PatternRef>>;
}
const _: Option<&dyn Patterns> = None;

/// The ways in which a map compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchMethod {
    /// Integers and their ranges.
    Int,
    /// Addresses and networks.
    Ip,
    /// Exact texts.
    Str,
    /// Beginnings.
    Beg,
    /// Parts.
    Sub,
    /// Parts between slashes.
    Dir,
    /// Parts between dots, slashes, colons.
    Dom,
    /// Endings.
    End,
    /// Regular expressions.
    Reg,
}

/// The class `Map`. Scripts keep it, and of the shared VM every worker uses it.
pub trait Map: Send + Sync {
    /// The value for a key: an integer for [`MatchMethod::Int`], else text.
    fn lookup(&self, key: &Value<'_>) -> Option<Vec<u8>>;
}
const _: Option<&dyn Map> = None;

/// An entry of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternEntry {
    /// Grows from entry to entry.
    pub id: u64,
    /// The pattern.
    pub key: Vec<u8>,
    /// What a map gives for it; None in ACLs.
    pub value: Option<Vec<u8>>,
}

/// The class `Patref`. Where a version is given, changes are made to one that was prepared, else to the live one.
///
/// Refusals are texts for the script, which gets them beside nil.
pub trait PatternRef: Send + Sync {
    /// Its number, for [`Scope::Pattern`](super::Scope::Pattern).
    fn id(&self) -> i64;
    /// Its name.
    fn name(&self) -> String;
    /// Whether its entries have values.
    fn is_map(&self) -> bool;
    /// The first live entry of that key.
    fn entry(&self, key: &[u8]) -> Option<PatternEntry>;
    /// Up to `max` live entries with numbers above `after`, in their order.
    fn entries(&self, after: u64, max: usize) -> Vec<PatternEntry>;
    /// Adds an entry; `once`: unless the key is there.
    fn add(&self, version: Option<u32>, key: &[u8], value: Option<&[u8]>, once: bool) -> HostResult<()>;
    /// Gives all entries of a key another value; `force`: or adds one.
    fn set(&self, version: Option<u32>, key: &[u8], value: &[u8], force: bool) -> HostResult<()>;
    /// Removes all entries of a key. Whether there was one.
    fn del(&self, version: Option<u32>, key: &[u8]) -> bool;
    /// Makes a new, empty version.
    fn prepare(&self) -> u32;
    /// Makes a prepared version the live one. False: a newer one is.
    fn commit(&self, version: u32) -> bool;
    /// Gives a prepared version up.
    fn give_up(&self, version: u32);
    /// Removes all entries of all versions.
    fn purge(&self);
}
const _: Option<&dyn PatternRef> = None;

/// The class `StickTable`.
pub trait StickTable {
    /// What its line in the configuration says, and how full it is.
    fn info(&self) -> StickTableInfo;
    /// The entry of a key as text; None also where the text is no key of this table's type.
    fn lookup(&self, key: &[u8]) -> Option<StickEntry>;
    /// Every entry that passes all filters, in the order of keys.
    fn entries(&self, filters: &[StickFilter]) -> Vec<StickEntry>;
}
const _: Option<&dyn StickTable> = None;

/// The answer of `StickTable:info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickTableInfo {
    /// `ip`, `ipv6`, `integer`, `string`, `binary`
    pub kind: &'static str,
    /// The longest key in bytes.
    pub length: i64,
    /// How many entries there may be.
    pub size: i64,
    /// How many there are.
    pub used: i64,
    /// After how many milliseconds without use entries go; 0 for never.
    pub expire: i64,
    /// New entries are refused where it is full.
    pub nopurge: bool,
    /// Stored values by name, with the period of rates in milliseconds; None for what is no rate.
    pub data: Vec<(String, Option<i64>)>,
}

/// An entry of a stick table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickEntry {
    /// The key, printed.
    pub key: Vec<u8>,
    /// How many track it.
    pub users: i64,
    /// Milliseconds until it expires; 0 where entries do not.
    pub expire: i64,
    /// Stored values by name.
    pub data: Vec<(String, i64)>,
}

/// One comparison of `StickTable:dump`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickFilter {
    /// The value's name.
    pub name: String,
    /// How it must compare with `value`.
    pub operator: StickOperator,
    /// What it is compared with.
    pub value: i64,
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StickOperator {
    /// `eq`
    Eq,
    /// `ne`
    Ne,
    /// `le`
    Le,
    /// `lt`
    Lt,
    /// `ge`
    Ge,
    /// `gt`
    Gt,
}

impl StickOperator {
    /// Whether `stored` compares so with `value`.
    pub fn holds(self, stored: i64, value: i64) -> bool {
        match self {
            StickOperator::Eq => stored == value,
            StickOperator::Ne => stored != value,
            StickOperator::Le => stored <= value,
            StickOperator::Lt => stored < value,
            StickOperator::Ge => stored >= value,
            StickOperator::Gt => stored > value,
        }
    }
}
