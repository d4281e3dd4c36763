//! `log` lines.
//!
//! Source: configuration.txt section 4.2 (`log`), 8.1 (levels).

use super::{
    ParseError, Resolve,
    address::{self, Parsed},
    number,
};
use crate::{
    config::{LogAddr, LogHeader, LogTarget},
    log::{Facility, Level},
};

/// Parses `log <target> [len L] [format F] <facility> [<max> [<min>]]`.
pub(super) fn target(words: &[&str], resolve: &dyn Resolve) -> Result<LogTarget, ParseError> {
    if words.len() < 3 && words.get(1) != Some(&"global") {
        return Err(ParseError::new("log : expects <address> and <facility>  as arguments"));
    }
    let to = destination(words[1], resolve).map_err(|why| ParseError::at(1, format!("log : {why}")))?;
    let mut target = LogTarget {
        to,
        format: LogHeader::default(),
        facility: Facility(0),
        max_level: Level::Debug,
        min_level: None,
        max_len: LEN_DEFAULT,
    };
    let mut at = 2;
    loop {
        let value = words.get(at + 1).copied().unwrap_or_default();
        match words.get(at).copied() {
            Some("len") => target.max_len = length(value).ok_or_else(|| bad_length(at + 1, value))?,
            Some("format") => target.format = header(value, at + 1)?,
            Some(word @ ("sample" | "profile")) => {
                let text = format!("log : '{word}' is a keyword of HAProxy that is not supported yet");
                return Err(ParseError::at(at, text));
            }
            _ => break,
        }
        at += 2;
    }
    levels(words, at, &mut target)?;
    Ok(target)
}

/// The levels, by their names.
pub(super) fn level(name: &str) -> Option<Level> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

fn levels(words: &[&str], at: usize, target: &mut LogTarget) -> Result<(), ParseError> {
    let name = words.get(at).copied().unwrap_or_default();
    if name.is_empty() {
        return Err(ParseError::new("log : expects <address> and <facility>  as arguments"));
    }
    let facility = FACILITIES.iter().position(|known| *known == name);
    let facility = facility.and_then(|n| u8::try_from(n).ok());
    target.facility =
        Facility(facility.ok_or_else(|| ParseError::at(at, format!("log : unknown log facility '{name}'")))?);
    if let Some(name) = words.get(at + 1) {
        target.max_level = level(name)
            .ok_or_else(|| ParseError::at(at + 1, format!("log : unknown optional log level '{name}'")))?;
    }
    if let Some(name) = words.get(at + 2) {
        let text = format!("log : unknown optional minimum log level '{name}'");
        target.min_level = Some(level(name).ok_or_else(|| ParseError::at(at + 2, text))?);
    }
    match words.get(at + 3) {
        Some(extra) => {
            Err(ParseError::at(at + 3, format!("log : cannot handle unexpected argument '{extra}'")))
        }
        None => Ok(()),
    }
}

fn destination(text: &str, resolve: &dyn Resolve) -> Result<LogAddr, String> {
    match text {
        "stdout" => Ok(LogAddr::Stdout),
        "stderr" => Ok(LogAddr::Stderr),
        "global" => Err("'global' is not supported for a global syslog server".to_owned()),
        _ => {
            let parsed: Parsed = address::parse(text, address::LOG, resolve)?;
            Ok(LogAddr::Socket(parsed.single(SYSLOG_PORT)))
        }
    }
}

fn length(text: &str) -> Option<usize> {
    number::count(text).filter(|len| (80..=65535).contains(len))
}

fn bad_length(at: usize, value: &str) -> ParseError {
    ParseError::at(at, format!("log : invalid log length '{value}', must be between 80 and 65535"))
}

fn header(name: &str, at: usize) -> Result<LogHeader, ParseError> {
    Ok(match name {
        "rfc3164" => LogHeader::Rfc3164,
        "rfc5424" => LogHeader::Rfc5424,
        "priority" => LogHeader::Priority,
        "short" => LogHeader::Short,
        "iso" => LogHeader::Iso,
        "timed" => LogHeader::Timed,
        "raw" => LogHeader::Raw,
        "local" => return Err(ParseError::at(at, "log : format 'local' is not supported yet")),
        _ => return Err(ParseError::at(at, format!("log : unknown log format '{name}'"))),
    })
}

const SYSLOG_PORT: u16 = 514;
const LEN_DEFAULT: usize = 1024;

/// By their syslog numbers.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

const LEVELS: &[(&str, Level)] = &[
    ("emerg", Level::Emerg),
    ("alert", Level::Alert),
    ("crit", Level::Crit),
    ("err", Level::Err),
    ("warning", Level::Warning),
    ("notice", Level::Notice),
    ("info", Level::Info),
    ("debug", Level::Debug),
];
