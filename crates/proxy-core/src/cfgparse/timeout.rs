//! `timeout …`.

use std::time::Duration;

use super::{
    ParseError,
    proxy::{ProxyLine, Side},
    time::{self, TimeError, Unit},
};
use crate::config::Timeouts;

pub(super) fn timeout(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words.get(1).copied().unwrap_or_default();
    let Some((name, side, field)) = TIMEOUTS.iter().find(|(known, ..)| *known == name) else {
        let word = line.words.len().min(2) - 1;
        return Err(match name {
            "client-hs" => {
                ParseError::at(word, "'timeout client-hs' is a keyword of HAProxy that is not supported yet")
            }
            _ => ParseError::at(word, format!("'timeout' supports {SUPPORTED} (got '{name}')")),
        });
    };
    let expected = || format!("'timeout {name}' expects an integer value (in milliseconds)");
    let text = line.words.get(2).copied().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| ParseError::at(1, expected()))?;
    let value = time::parse(text, Unit::Millis).map_err(|error| match error {
        TimeError::Unexpected(None) => ParseError::at(2, expected()),
        TimeError::Unexpected(Some(c)) => {
            ParseError::at(2, format!("unexpected character '{c}' in 'timeout {name}'"))
        }
        TimeError::Overflow => ParseError::at(
            2,
            format!(
                "timer overflow in argument '{text}' to 'timeout {name}' (maximum value is 2147483647 ms or \
                 ~24.8 days)"
            ),
        ),
    })?;
    if let Some(extra) = line.words.get(3) {
        let text = format!("'timeout {name}' : unexpected extra argument '{extra}' after value '{text}'.");
        return Err(ParseError::at(3, text));
    }
    remark(line, name, *side);
    // Zero means none, as in HAProxy.
    *field(&mut line.draft.settings.timeouts) = (!value.is_zero()).then_some(value);
    Ok(())
}

/// Keywords that HAProxy has dropped.
pub(super) fn retired(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words[0];
    let instead = match name {
        "clitimeout" => "client",
        "contimeout" => "connect",
        _ => "server",
    };
    Err(ParseError::at(
        0,
        format!(
            "the '{name}' directive is not supported anymore since HAProxy 2.1. Use 'timeout {instead}'."
        ),
    ))
}

fn remark(line: &mut ProxyLine<'_>, name: &'static str, side: Side) {
    let section = line.draft.section;
    let title = line.draft.title();
    let missing = match side {
        Side::Front if !section.frontend() => Some("frontend"),
        Side::Back if !section.backend() => Some("backend"),
        _ => None,
    };
    if let Some(missing) = missing {
        line.warn(format!("'timeout {name}' will be ignored because {title} has no {missing} capability"));
    }
    if line.draft.timeouts_seen.contains(&name) {
        line.warn(format!("overwriting 'timeout {name}' which was already specified"));
    } else {
        line.draft.timeouts_seen.push(name);
    }
}

type Field = fn(&mut Timeouts) -> &mut Option<Duration>;

const TIMEOUTS: &[(&str, Side, Field)] = &[
    ("check", Side::Back, |t| &mut t.check),
    ("client", Side::Front, |t| &mut t.client),
    ("client-fin", Side::Front, |t| &mut t.client_fin),
    ("connect", Side::Back, |t| &mut t.connect),
    ("http-keep-alive", Side::Any, |t| &mut t.http_keep_alive),
    ("http-request", Side::Any, |t| &mut t.http_request),
    ("queue", Side::Back, |t| &mut t.queue),
    ("server", Side::Back, |t| &mut t.server),
    ("server-fin", Side::Back, |t| &mut t.server_fin),
    ("tarpit", Side::Any, |t| &mut t.tarpit),
    ("tunnel", Side::Back, |t| &mut t.tunnel),
];

const SUPPORTED: &str = "'client', 'server', 'connect', 'check', 'queue', 'http-keep-alive', 'http-request', \
                         'tunnel', 'tarpit', 'client-fin' and 'server-fin'";
