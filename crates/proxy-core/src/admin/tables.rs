//! Commands about stick tables: `show table`, `set table`, `clear table`.

use std::{fmt::Write as _, sync::Arc};

use super::{AdminContext, Answer};
use crate::{
    config::AccessLevel,
    stick_table::{Column, DataType, Entry, Key, StickTable},
};

/// A comparison of one stored value. Source: management.txt 9.3 (show table).
#[derive(Clone, Copy)]
struct Filter {
    kind: DataType,
    at: usize,
    compare: fn(&u64, &u64) -> bool,
    value: u64,
}

/// Which entries a command means.
enum Which {
    All,
    Filtered(Vec<Filter>),
    Key(Option<Key>),
    Id(u64),
}

/// `show table [NAME [FILTERS | key KEY | ptr PTR]]`
pub(super) fn show(words: &[&str], level: AccessLevel, cx: &AdminContext<'_>) -> Answer {
    let Some((name, rest)) = words.split_first() else {
        let tables = cx.shared.config.tables.list();
        return Answer::text(tables.iter().rev().map(|table| title(table, cx)).collect::<String>());
    };
    let Some(table) = cx.shared.config.tables.find(name) else { return Answer::error("No such table") };
    let which = match Which::read(rest, &table) {
        Ok(which) => which,
        Err(Unread::Text(text)) => return Answer::error(text),
        Err(Unread::Usage) => return Answer::error(SHOW_USAGE),
    };
    let mut text = title(&table, cx);
    if level < AccessLevel::Operator {
        text.push_str("# contents not dumped due to insufficient privileges\n");
        return Answer::text(text);
    }
    for entry in which.entries(&table, cx) {
        write_entry(&mut text, &table, &entry, cx);
    }
    Answer::text(text)
}

/// `set table NAME key KEY [data.TYPE VALUE]*`
pub(super) fn set(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let Some((name, rest)) = words.split_first() else { return Answer::error(SET_USAGE) };
    let Some(table) = cx.shared.config.tables.find(name) else { return Answer::error("No such table") };
    let (entry, values) = match rest {
        [] => return Answer::done(),
        ["key"] => return Answer::error("Key value expected"),
        ["key", key, values @ ..] => {
            // A text that is no key is none of the table's, as in HAProxy.
            let Some(key) = table.config.key_type.parse(key.as_bytes()) else { return Answer::done() };
            if let Err(text) = check(values, &table) {
                return Answer::error(text);
            }
            let Some(entry) = table.get_or_insert(&key, cx.now) else {
                return Answer::error("Unable to allocate a new entry");
            };
            (entry, values)
        }
        ["ptr", id, values @ ..] => {
            let found = Which::id(id).and_then(|which| which.entries(&table, cx).pop());
            let Some(entry) = found else { return Answer::error("Entry can't be located") };
            if let Err(text) = check(values, &table) {
                return Answer::error(text);
            }
            (entry, values)
        }
        [first, ..] if first.starts_with("data.") => {
            let text = "content-based lookup is only supported with the \"show\" and \"clear\" actions";
            return Answer::error(text);
        }
        _ => return Answer::error(SET_USAGE),
    };
    for pair in values.chunks_exact(2) {
        if let (Ok((kind, at)), Ok(value)) = (stored(pair[0], &table), pair[1].parse()) {
            table.set(&entry, kind, at, value, cx.now);
        }
    }
    Answer::done()
}

/// `clear table NAME [FILTERS | key KEY | ptr PTR]`
pub(super) fn clear(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let Some((name, rest)) = words.split_first() else { return Answer::error(CLEAR_USAGE) };
    let Some(table) = cx.shared.config.tables.find(name) else { return Answer::error("No such table") };
    match Which::read(rest, &table) {
        Err(Unread::Usage) => Answer::error(CLEAR_USAGE),
        Err(Unread::Text(text)) => Answer::error(text),
        Ok(Which::All) => {
            table.clear();
            Answer::done()
        }
        Ok(which) => {
            let refused = which.entries(&table, cx).iter().filter(|entry| !table.remove(entry)).count();
            match which {
                Which::Key(_) | Which::Id(_) if refused > 0 => {
                    Answer::error("Entry currently in use, cannot remove")
                }
                _ => Answer::done(),
            }
        }
    }
}

/// Why a choice of entries is refused.
enum Unread {
    /// It says none.
    Usage,
    Text(String),
}

impl Which {
    fn read(words: &[&str], table: &StickTable) -> Result<Self, Unread> {
        let refused = |text: &str| Unread::Text(text.to_owned());
        match words {
            [] => Ok(Self::All),
            ["key"] => Err(refused("Key value expected")),
            ["key", key, ..] => Ok(Self::Key(table.config.key_type.parse(key.as_bytes()))),
            ["ptr", id, ..] => Self::id(id).ok_or_else(|| refused("Pointer expected (0xffff notation)")),
            [first, ..] if first.starts_with("data.") => {
                filters(words, table).map(Self::Filtered).map_err(Unread::Text)
            }
            _ => Err(Unread::Usage),
        }
    }

    fn id(text: &str) -> Option<Self> {
        u64::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(Self::Id)
    }

    fn entries(&self, table: &StickTable, cx: &AdminContext<'_>) -> Vec<Arc<Entry>> {
        match self {
            Self::Key(key) => key.iter().filter_map(|key| table.find(key, cx.now)).collect(),
            Self::All => table.entries(cx.now),
            Self::Id(id) => table.entries(cx.now).into_iter().filter(|entry| entry.id == *id).collect(),
            Self::Filtered(filters) => {
                let holds = |entry: &Entry, filter: &Filter| {
                    let value = table.value(entry, filter.kind, filter.at, cx.now);
                    value.is_some_and(|value| (filter.compare)(&value, &filter.value))
                };
                let entries = table.entries(cx.now).into_iter();
                entries.filter(|entry| filters.iter().all(|filter| holds(entry, filter))).collect()
            }
        }
    }
}

fn filters(words: &[&str], table: &StickTable) -> Result<Vec<Filter>, String> {
    let mut filters = Vec::new();
    for (number, triplet) in (1..=FILTERS_MAX).zip(words.chunks(3)) {
        let wrong = |text: &str| format!("Filter entry #{number}: {text}");
        let name = triplet.first().copied().unwrap_or_default();
        if !name.starts_with("data.") {
            break;
        }
        let (kind, at) = stored(name, table).map_err(|text| wrong(&text))?;
        let compare: fn(&u64, &u64) -> bool = match triplet.get(1).copied().unwrap_or_default() {
            "eq" => u64::eq,
            "ne" => u64::ne,
            "le" => u64::le,
            "ge" => u64::ge,
            "lt" => u64::lt,
            "gt" => u64::gt,
            _ => {
                return Err(wrong(
                    "Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"",
                ));
            }
        };
        let value = triplet.get(2).and_then(|text| text.parse().ok());
        let value = value.ok_or_else(|| wrong("Require a valid integer value to compare against"))?;
        filters.push(Filter { kind, at, compare, value });
    }
    Ok(filters)
}

/// `data.TYPE` or `data.TYPE[INDEX]`.
fn stored(word: &str, table: &StickTable) -> Result<(DataType, usize), String> {
    let unknown = || "Unknown data type".to_owned();
    let name = word.strip_prefix("data.").ok_or_else(unknown)?;
    let (name, at) = match name.split_once('[') {
        Some((name, index)) => {
            (name, index.strip_suffix(']').and_then(|at| at.parse().ok()).ok_or_else(unknown)?)
        }
        None => (name, 0),
    };
    let kind = DataType::from_name(name).ok_or_else(unknown)?;
    match table.column(kind) {
        Some(column) if at < column.len => Ok((kind, at)),
        _ => Err("Data type not stored in this table".to_owned()),
    }
}

/// Whether pairs of a type and a number follow.
fn check(values: &[&str], table: &StickTable) -> Result<(), String> {
    for pair in values.chunks(2) {
        if !pair[0].starts_with("data.") {
            return Err("\"data.<type>\" followed by a value expected".to_owned());
        }
        stored(pair[0], table)?;
        let value = pair.get(1).and_then(|text| text.parse::<u64>().ok());
        value.ok_or_else(|| "Require a valid integer value to store".to_owned())?;
    }
    Ok(())
}

fn title(table: &StickTable, cx: &AdminContext<'_>) -> String {
    let config = &table.config;
    let (kind, size, used) = (config.key_type.name(), config.size, table.used(cx.now));
    format!("# table: {}, type: {kind}, size:{size}, used:{used}\n", config.name)
}

fn write_entry(text: &mut String, table: &StickTable, entry: &Entry, cx: &AdminContext<'_>) {
    let expires = table.expires_in(entry, cx.now).as_millis();
    let _ = write!(text, "{:#x}: key={} use={} exp={expires} shard=0", entry.id, entry.key, entry.users());
    for column in &table.config.columns {
        for at in 0..column.len {
            let value = table.value(entry, column.kind, at, cx.now).unwrap_or_default();
            let _ = write!(text, " {}={value}", label(column, at));
        }
    }
    text.push('\n');
}

fn label(column: &Column, at: usize) -> String {
    let name = column.label(at);
    if column.kind.is_rate() { format!("{name}({})", column.period_ms) } else { name }
}

/// Comparisons in one command.
const FILTERS_MAX: usize = 4;
const SHOW_USAGE: &str =
    "Optional argument only supports \"data.<store_data_type>\" <operator> <value> and key <key>";
const SET_USAGE: &str = "Required arguments: <table> key <key> [data.<store_data_type> <value>]*";
const CLEAR_USAGE: &str =
    "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>";
