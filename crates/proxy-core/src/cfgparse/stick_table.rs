//! `stick-table` lines. Source: configuration.txt 11.1.

use std::time::Duration;

use super::{
    ParseError, number,
    proxy::ProxyLine,
    time::{self, Unit},
};
use crate::stick_table::{Column, DataType, KeyType, StickTable, StickTableConfig};

pub(super) fn stick_table(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let table =
        Parsed::read(line).map_err(|e| ParseError { message: format!("stick-table: {}", e.message), ..e })?;
    let name = line.draft.name.clone();
    if !line.registry.tables.add(StickTable::new(table)) {
        let text = format!("stick-table: there is a table '{name}' already.");
        return Err(ParseError::at(0, text));
    }
    Ok(())
}

#[derive(Default)]
struct Parsed {
    key_type: Option<KeyType>,
    size: Option<usize>,
    expire: Option<Duration>,
    nopurge: bool,
    columns: Vec<Column>,
}

impl Parsed {
    fn read(line: &mut ProxyLine<'_>) -> Result<StickTableConfig, ParseError> {
        let words = line.words;
        let mut parsed = Self::default();
        let mut at = 1;
        while let Some(word) = words.get(at).copied() {
            let argument = || {
                let missing = || ParseError::at(at, format!("missing argument after '{word}'."));
                words.get(at + 1).copied().ok_or_else(missing)
            };
            at += match word {
                "type" => parsed.key_type(words, at)?,
                "size" => {
                    parsed.size = Some(size(argument()?, at + 1)?);
                    2
                }
                "expire" => {
                    parsed.expire = Some(duration(argument()?, word, at + 1)?);
                    2
                }
                "store" => {
                    for option in split(argument()?) {
                        parsed.store(option, at + 1, line)?;
                    }
                    2
                }
                "nopurge" => {
                    parsed.nopurge = true;
                    1
                }
                "peers" | "recv-only" | "write-to" | "srvkey" | "brates-factor" => {
                    return Err(ParseError::at(at, format!("'{word}' is not supported yet.")));
                }
                other => return Err(ParseError::at(at, format!("unknown argument '{other}'."))),
            };
        }
        let size = parsed.size.ok_or_else(|| ParseError::new("missing size."))?;
        let key_type = parsed.key_type.ok_or_else(|| ParseError::new("missing type."))?;
        parsed.exclusive()?;
        Ok(StickTableConfig {
            name: line.draft.name.clone(),
            key_type,
            size,
            expire: parsed.expire.filter(|expire| !expire.is_zero()),
            nopurge: parsed.nopurge,
            columns: parsed.columns,
        })
    }

    /// `type NAME [len N]`; how many words that is.
    fn key_type(&mut self, words: &[&str], at: usize) -> Result<usize, ParseError> {
        let name = words.get(at + 1).copied().unwrap_or_default();
        let len = match (name, words.get(at + 2), words.get(at + 3)) {
            ("string" | "binary", Some(&"len"), len) => {
                let len = len.copied().unwrap_or_default();
                let read = number::count(len).filter(|len| *len > 0);
                Some(read.ok_or_else(|| ParseError::at(at + 3, format!("unknown type '{len}'.")))?)
            }
            _ => None,
        };
        self.key_type = Some(match name {
            "ip" | "ipv4" => KeyType::Ipv4,
            "ipv6" => KeyType::Ipv6,
            "integer" => KeyType::Integer,
            "string" => KeyType::String(len.unwrap_or(KEY_LEN)),
            "binary" => KeyType::Binary(len.unwrap_or(KEY_LEN)),
            other => return Err(ParseError::at(at + 1, format!("unknown type '{other}'."))),
        });
        Ok(if len.is_some() { 4 } else { 2 })
    }

    /// One kind of data with its arguments.
    fn store(&mut self, option: &str, word: usize, line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
        let refuse = |text: String| ParseError::at(word, text);
        let (name, args) = match option.split_once('(') {
            Some((name, args)) => (name, Some(args.strip_suffix(')').unwrap_or(args))),
            None => (option, None),
        };
        let kind = DataType::from_name(name).ok_or_else(|| {
            if name == "server_key" {
                return refuse(format!("store option '{name}' is not supported yet."));
            }
            refuse(format!("unknown store option '{name}'."))
        })?;
        if self.columns.iter().any(|column| column.kind == kind) {
            line.warn(format!("stick-table: store option '{name}' already enabled, ignored."));
            return Ok(());
        }
        let mut args = args.map(|args| args.split(',').map(str::trim));
        let mut next = || args.as_mut().and_then(|args| args.next()).filter(|arg| !arg.is_empty());
        let missing = || refuse(format!("missing argument to store option '{name}'."));
        let len = match kind.is_array().then(|| next().ok_or_else(missing)).transpose()? {
            Some(text) => {
                number::count(text).filter(|len| (1..=ARRAY_MAX).contains(len)).ok_or_else(|| {
                    refuse(format!(
                        "array size is out of allowed range (1-{ARRAY_MAX}) for store option '{name}'."
                    ))
                })?
            }
            None => 1,
        };
        let period = match kind.is_rate().then(|| next().ok_or_else(missing)).transpose()? {
            Some(text) => {
                let period = time::parse(text, Unit::Millis).ok().filter(|period| !period.is_zero());
                period
                    .ok_or_else(|| refuse(format!("invalid argument '{text}' to store option '{name}'.")))?
            }
            None => Duration::ZERO,
        };
        if next().is_some() {
            return Err(refuse(format!("unexpected argument to store option '{name}'.")));
        }
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        self.columns.push(Column::new(kind, len, period));
        Ok(())
    }

    /// An array stands in for the single counters.
    fn exclusive(&self) -> Result<(), ParseError> {
        use DataType::{Gpc, Gpc0, Gpc0Rate, Gpc1, Gpc1Rate, GpcRate, Gpt, Gpt0};
        let has = |kind| self.columns.iter().any(|column| column.kind == kind);
        for (array, single, shown) in [
            (Gpc, has(Gpc0) || has(Gpc1), "gpc[0/1]"),
            (GpcRate, has(Gpc0Rate) || has(Gpc1Rate), "gpc[0/1]_rate"),
            (Gpt, has(Gpt0), "gpt0"),
        ] {
            if has(array) && single {
                let name = array.name();
                return Err(ParseError::new(format!(
                    "simultaneous usage of '{name}' and '{shown}' in a same table is not permitted as '{name}' overrides '{shown}'."
                )));
            }
        }
        Ok(())
    }
}

fn size(text: &str, word: usize) -> Result<usize, ParseError> {
    let size = number::size(text).and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
    size.ok_or_else(|| {
        let bad = text.chars().find(|c| !c.is_ascii_digit()).unwrap_or('0');
        ParseError::at(word, format!("unexpected character '{bad}' in argument of 'size'."))
    })
}

fn duration(text: &str, name: &str, word: usize) -> Result<Duration, ParseError> {
    time::parse(text, Unit::Millis).map_err(|error| {
        ParseError::at(word, format!("unexpected character '{}' in argument of '{name}'.", error.shown()))
    })
}

/// At commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// Bytes of a string or binary key when not given.
const KEY_LEN: usize = 32;
/// Values of an array.
const ARRAY_MAX: usize = 100;
