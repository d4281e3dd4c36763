//! `stats socket` and `stats timeout` of the `global` section.

use super::{
    ParseError, address,
    global::GlobalLine,
    known, number,
    time::{self, TimeError, Unit},
    words,
};
use crate::config::{AccessLevel, StatsSocket};

pub(super) fn stats(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    match line.words.get(1).copied().unwrap_or_default() {
        "socket" => socket(line),
        "timeout" => timeout(line),
        other @ ("maxconn" | "bind-process") => Err(ParseError::at(
            1,
            format!("'stats {other}' is a keyword of HAProxy that is not supported yet"),
        )),
        other => Err(ParseError::new(format!(
            "'stats' only supports 'socket', 'maxconn', 'bind-process' and 'timeout' (got '{other}')"
        ))),
    }
}

fn socket(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    let expected = "'stats socket' in global section expects an address or a path to a UNIX socket";
    let text = words::word(line.words, 2, expected)?;
    let refuse = |at: usize, why: String| ParseError::at(at, format!("'stats socket' : {why}"));
    let parsed = address::parse(text, address::STATS, line.resolve).map_err(|why| refuse(2, why))?;
    let mut socket = StatsSocket { addr: parsed.single(0), level: AccessLevel::default(), mode: None };
    let mut at = 3;
    while let Some(word) = line.words.get(at).copied() {
        let value = line.words.get(at + 1).copied().unwrap_or_default();
        match word {
            "level" => socket.level = level(value).map_err(|why| refuse(at + 1, why))?,
            "mode" => {
                let bad = || format!("'mode' : missing or invalid mode '{value}' (octal integer expected)");
                socket.mode = Some(number::mode(value).ok_or_else(|| refuse(at + 1, bad()))?);
            }
            "name" if !value.is_empty() => {}
            _ => {
                let ours = ["level", "mode", "name"];
                let text = words::unknown(word, ours, known::words(known::BIND), "");
                return Err(refuse(at, text));
            }
        }
        at += 2;
    }
    line.global.stats_sockets.push(socket);
    Ok(())
}

fn level(name: &str) -> Result<AccessLevel, String> {
    match name {
        "user" => Ok(AccessLevel::User),
        "operator" => Ok(AccessLevel::Operator),
        "admin" => Ok(AccessLevel::Admin),
        _ => Err(format!("'level' only supports 'user', 'operator', and 'admin' (got '{name}')")),
    }
}

fn timeout(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    let text = words::word(line.words, 2, "'stats timeout' expects a positive value")?;
    let value = time::parse(text, Unit::Millis).map_err(|error| match error {
        TimeError::Unexpected(_) => {
            ParseError::at(2, format!("'stats timeout' : unexpected character '{}'", error.shown()))
        }
        TimeError::Overflow => ParseError::at(
            2,
            format!("timer overflow in argument '{text}' to 'stats timeout' (maximum value is 2147483647 ms or ~24.8 days)"),
        ),
    })?;
    if value.is_zero() {
        return Err(ParseError::at(2, "'stats timeout' expects a positive value"));
    }
    words::at_most_behind(line.words, "stats timeout", 3)?;
    line.global.stats_timeout = value;
    Ok(())
}
