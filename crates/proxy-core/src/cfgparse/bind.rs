//! `bind` lines.
//!
//! Source: configuration.txt sections 4.2 (`bind`) and 5.1.

use super::{ParseError, address, known, number, proxy::ProxyLine, tls, words};
use crate::{config::Bind, tls::TlsSettings};

pub(super) fn bind(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let expected = "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.";
    let list = words::word(line.words, 1, expected)?;
    let mut addrs = Vec::new();
    let list = list.strip_suffix(',').filter(|rest| !rest.is_empty()).unwrap_or(list);
    for text in list.split(',') {
        let parsed = address::parse(text, address::LISTEN, line.resolve)
            .map_err(|why| ParseError::at(1, format!("'bind' : {why}")))?;
        addrs.extend(parsed.all());
    }
    let title = format!("'bind {list}' in section '{}'", line.draft.section.name());
    let settings = settings(line, list, &title)?;
    if settings.id != 0 && addrs.len() > 1 {
        return Err(ParseError::new(format!("{title} : 'id' can only be used with a single socket")));
    }
    if let Some(other) = line.draft.binds.iter().find(|other| settings.id != 0 && other.id == settings.id) {
        return Err(ParseError::new(format!(
            "{title} : 'id' : custom id {} already used at {}:{} ('bind {}')",
            settings.id, other.place.file, other.place.line, other.addr
        )));
    }
    line.draft.binds.extend(addrs.into_iter().map(|addr| Bind { addr, ..settings.clone() }));
    Ok(())
}

/// The words behind the address, on a bind without one.
fn settings(line: &ProxyLine<'_>, written: &str, title: &str) -> Result<Bind, ParseError> {
    let mut bind = Bind {
        addr: crate::host::Addr::Fd(-1),
        written: written.into(),
        name: None,
        id: 0,
        place: line.place.clone(),
        unix_mode: None,
        maxconn: 0,
        backlog: 0,
        nice: 0,
        v6only: false,
        interface: None,
        ssl: false,
        crts: Vec::new(),
        alpn: Vec::new(),
        tls: TlsSettings::default(),
    };
    let mut at = 2;
    while let Some(word) = line.words.get(at).copied() {
        let value = line.words.get(at + 1).copied().unwrap_or_default();
        if let Some(taken) = tls::word(&mut bind.tls, word, value) {
            let shown = if word.starts_with("ssl-m") && !value.is_empty() { value } else { word };
            let values = taken.map_err(|why| {
                ParseError::at(at + usize::from(!value.is_empty()), format!("{title} : '{shown}' : {why}"))
            })?;
            at += 1 + values;
            continue;
        }
        let Some((_, takes, set)) = WORDS.iter().find(|(known, ..)| *known == word) else {
            let ours = WORDS.iter().map(|(w, ..)| *w).chain(tls::WORDS);
            let text = words::unknown(word, ours, known::words(known::BIND), "");
            return Err(ParseError::at(at, format!("{title}: {text}")));
        };
        set(&mut bind, value).map_err(|why| {
            ParseError::at(at + usize::from(!value.is_empty()), format!("{title} : '{word}' : {why}"))
        })?;
        at += 1 + takes;
    }
    Ok(bind)
}

type Set = fn(&mut Bind, &str) -> Result<(), String>;

/// Name, number of arguments, effect.
const WORDS: &[(&str, usize, Set)] = &[
    ("alpn", 1, |bind, value| {
        let list = text(value, "missing ALPN protocol name list")?;
        bind.alpn = list.split(',').map(|name| name.trim().to_owned()).collect();
        Ok(())
    }),
    ("backlog", 1, |bind, value| {
        bind.backlog = integer(value, 0)?;
        Ok(())
    }),
    ("crt", 1, |bind, value| {
        bind.crts.push(text(value, "missing certificate location")?);
        Ok(())
    }),
    ("id", 1, |bind, value| {
        let id = number::integer(value).and_then(|n| u32::try_from(n).ok());
        match id {
            Some(0) => Err("custom id has to be > 0".to_owned()),
            Some(id) => {
                bind.id = id;
                Ok(())
            }
            None => Err(format!("expects an integer argument, found '{value}'")),
        }
    }),
    ("interface", 1, |bind, value| {
        bind.interface = Some(text(value, "missing interface name")?);
        Ok(())
    }),
    ("maxconn", 1, |bind, value| {
        bind.maxconn = integer(value, 0)? as usize;
        Ok(())
    }),
    ("mode", 1, |bind, value| {
        let mode = number::mode(value);
        bind.unix_mode =
            Some(mode.ok_or_else(|| format!("missing or invalid mode '{value}' (octal integer expected)"))?);
        Ok(())
    }),
    ("name", 1, |bind, value| {
        bind.name = Some(text(value, "missing name")?);
        Ok(())
    }),
    ("nice", 1, |bind, value| {
        let nice = number::signed(value).filter(|n| (-1024..=1024).contains(n));
        let nice = nice.and_then(|n| i32::try_from(n).ok());
        bind.nice = nice.ok_or_else(|| format!("invalid value {value}, allowed range is -1024..1024"))?;
        Ok(())
    }),
    ("ssl", 0, |bind, _| {
        bind.ssl = true;
        Ok(())
    }),
    ("v4v6", 0, |bind, _| {
        bind.v6only = false;
        Ok(())
    }),
    ("v6only", 0, |bind, _| {
        bind.v6only = true;
        Ok(())
    }),
];

fn text(value: &str, missing: &str) -> Result<String, String> {
    if value.is_empty() { Err(missing.to_owned()) } else { Ok(value.to_owned()) }
}

fn integer(value: &str, min: u32) -> Result<u32, String> {
    if value.is_empty() {
        return Err("missing value".to_owned());
    }
    let number = number::count(value).and_then(|n| u32::try_from(n).ok()).filter(|n| *n >= min);
    number.ok_or_else(|| format!("invalid value {value}, must be >= {min}"))
}
