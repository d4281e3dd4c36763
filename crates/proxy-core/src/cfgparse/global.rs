//! The keywords of the `global` section.
//!
//! Source: configuration.txt section 3.

use super::{
    ParseError, Resolve, known, log, number, setvar, stats,
    time::{self, TimeError, Unit},
    tls, tuning, words,
};
use crate::{
    config::{Global, Place, ProcVar},
    registry::{GlobalContext, Registry},
};

/// One line of the section and all that it may change.
pub(super) struct GlobalLine<'a> {
    pub(super) words: &'a [&'a str],
    pub(super) global: &'a mut Global,
    pub(super) proc_vars: &'a mut Vec<ProcVar>,
    pub(super) registry: &'a mut Registry,
    pub(super) place: &'a Place,
    pub(super) warnings: &'a mut Vec<String>,
    pub(super) resolve: &'a dyn Resolve,
}

/// Handles one line. Keywords of extensions win.
pub(super) fn line(mut line: GlobalLine<'_>) -> Result<(), ParseError> {
    let name = line.words[0];
    if let Some(keyword) = line.registry.globals.get(name).cloned() {
        let mut cx = GlobalContext {
            global: line.global,
            registry: line.registry,
            place: line.place,
            warnings: line.warnings,
        };
        return keyword.parse(&line.words[1..], &mut cx).map_err(|e| e.shifted(1));
    }
    match KEYWORDS.iter().find(|(known, _)| *known == name) {
        Some((_, keyword)) => keyword(&mut line),
        None => {
            if let Some(accepted) = tuning::line(&line) {
                return accepted;
            }
            let registry = &*line.registry;
            let haproxy =
                known::words(known::GLOBAL).chain(registry.known_globals.iter().map(String::as_str));
            let haproxy = haproxy.filter(|known| !registry.globals.contains_key(*known));
            let ours = registry.globals.keys().map(String::as_str);
            let ours = ours.chain(tuning::names().map(|name| -> &str { name }));
            let role = " in 'global' section";
            Err(ParseError::at(0, words::unknown(name, ours, haproxy, role)))
        }
    }
}

type Keyword = fn(&mut GlobalLine<'_>) -> Result<(), ParseError>;

const KEYWORDS: &[(&str, Keyword)] = &[
    ("ca-base", |l| tls::base(l, |g| &mut g.ca_base)),
    ("chroot", |l| path(l, "'chroot' expects a directory as an argument.", |g| &mut g.chroot)),
    ("crt-base", |l| tls::base(l, |g| &mut g.crt_base)),
    ("daemon", |l| flag(l, |g| &mut g.daemon)),
    ("description", |l| text(l, "'description' expects a string argument.", |g| &mut g.description)),
    ("gid", |l| id(l, |g| &mut g.group)),
    ("group", |l| path(l, "'group' expects a group name.", |g| &mut g.group)),
    ("hard-stop-after", hard_stop_after),
    ("localpeer", |l| name(l, "'localpeer' expects a name as an argument.", |g| &mut g.localpeer)),
    ("log", |l| {
        let target = log::target(l.words, l.resolve)?;
        l.global.logs.push(target);
        Ok(())
    }),
    ("log-tag", |l| name(l, "'log-tag' expects a tag for use in syslog.", |g| &mut g.log_tag)),
    ("maxconn", |l| count(l, |g| &mut g.maxconn)),
    ("nbthread", |l| threads(l, 1..=1024, |g| &mut g.nbthread)),
    ("node", node),
    ("pidfile", |l| path(l, "'pidfile' expects a file name as an argument.", |g| &mut g.pidfile)),
    ("presetenv", |l| variable(l, |env, name, value| env.preset(name, value))),
    ("quiet", |l| flag(l, |g| &mut g.quiet)),
    ("resetenv", |l| {
        l.registry.env.reset(&l.words[1..]);
        Ok(())
    }),
    ("set-var", setvar::set_var),
    ("setenv", |l| variable(l, |env, name, value| env.set(name, value))),
    ("ssl-default-bind-ciphers", |l| tls::default_list(l, |g| &mut g.bind_tls.ciphers)),
    ("ssl-default-bind-ciphersuites", |l| tls::default_list(l, |g| &mut g.bind_tls.suites)),
    ("ssl-default-bind-curves", |l| tls::default_list(l, |g| &mut g.bind_tls.curves)),
    ("ssl-default-bind-options", |l| tls::default_options(l, |g| &mut g.bind_tls)),
    ("ssl-default-server-ciphers", |l| tls::default_list(l, |g| &mut g.server_tls.ciphers)),
    ("ssl-default-server-ciphersuites", |l| tls::default_list(l, |g| &mut g.server_tls.suites)),
    ("ssl-default-server-curves", |l| tls::default_list(l, |g| &mut g.server_tls.curves)),
    ("ssl-default-server-options", |l| tls::default_options(l, |g| &mut g.server_tls)),
    ("ssl-server-verify", tls::server_verify),
    ("stats", stats::stats),
    ("thread-groups", |l| threads(l, 1..=16, |g| &mut g.thread_groups)),
    ("tune.bufsize", |l| bytes(l, |g| &mut g.bufsize)),
    ("tune.http.maxhdr", maxhdr),
    ("tune.maxrewrite", |l| bytes(l, |g| &mut g.maxrewrite)),
    ("uid", |l| id(l, |g| &mut g.user)),
    ("ulimit-n", |l| count(l, |g| &mut g.ulimit_n)),
    ("unsetenv", unsetenv),
    ("user", |l| path(l, "'user' expects a user name.", |g| &mut g.user)),
    ("zero-warning", |l| flag(l, |g| &mut g.zero_warning)),
];

fn flag(line: &mut GlobalLine<'_>, field: fn(&mut Global) -> &mut bool) -> Result<(), ParseError> {
    words::at_most(line.words, 0)?;
    *field(line.global) = true;
    Ok(())
}

/// One word; the first line counts.
fn path(
    line: &mut GlobalLine<'_>,
    expected: &str,
    field: fn(&mut Global) -> &mut Option<String>,
) -> Result<(), ParseError> {
    let value = words::word(line.words, 1, expected)?;
    words::at_most(line.words, 1)?;
    once(line, value, field);
    Ok(())
}

/// One word; the last line counts.
fn name(
    line: &mut GlobalLine<'_>,
    expected: &str,
    field: fn(&mut Global) -> &mut Option<String>,
) -> Result<(), ParseError> {
    let value = words::word(line.words, 1, expected)?;
    words::at_most(line.words, 1)?;
    *field(line.global) = Some(value.to_owned());
    Ok(())
}

/// The words up to the end of the line, with single spaces.
fn text(
    line: &mut GlobalLine<'_>,
    expected: &str,
    field: fn(&mut Global) -> &mut Option<String>,
) -> Result<(), ParseError> {
    words::word(line.words, 1, expected)?;
    *field(line.global) = Some(line.words[1..].join(" "));
    Ok(())
}

/// A user or group by its number.
fn id(line: &mut GlobalLine<'_>, field: fn(&mut Global) -> &mut Option<String>) -> Result<(), ParseError> {
    let name = line.words[0];
    let value = words::word(line.words, 1, &format!("'{name}' expects an integer argument."))?;
    if number::integer(value).is_none() {
        return Err(ParseError::at(1, format!("{name}: string '{value}' is not a number.")));
    }
    words::at_most(line.words, 1)?;
    once(line, value, field);
    Ok(())
}

fn once(line: &mut GlobalLine<'_>, value: &str, field: fn(&mut Global) -> &mut Option<String>) {
    let name = line.words[0];
    let field = field(line.global);
    if field.is_some() {
        line.warnings.push(format!("'{name}' already specified. Continuing."));
    } else {
        *field = Some(value.to_owned());
    }
}

fn count(line: &mut GlobalLine<'_>, field: fn(&mut Global) -> &mut usize) -> Result<(), ParseError> {
    let expected = format!("'{}' expects an integer argument.", line.words[0]);
    *field(line.global) = words::number(line.words, &expected)?;
    Ok(())
}

fn threads(
    line: &mut GlobalLine<'_>,
    range: std::ops::RangeInclusive<usize>,
    field: fn(&mut Global) -> &mut usize,
) -> Result<(), ParseError> {
    let (name, text) = (line.words[0], line.words.get(1).copied().unwrap_or_default());
    words::at_most(line.words, 1)?;
    let value = number::count(text).ok_or_else(|| {
        ParseError::at(1, format!("'{name}' passed a missing or unparsable integer value in '{text}'"))
    })?;
    if !range.contains(&value) {
        let (first, last) = range.into_inner();
        return Err(ParseError::at(
            1,
            format!("'{name}' value must be between {first} and {last} (was {value})"),
        ));
    }
    *field(line.global) = value;
    Ok(())
}

fn bytes(line: &mut GlobalLine<'_>, field: fn(&mut Global) -> &mut usize) -> Result<(), ParseError> {
    let name = line.words[0];
    let value = words::word(line.words, 1, &format!("'{name}' expects an integer argument."))?;
    let size = number::size(value).and_then(|n| usize::try_from(n).ok());
    let size = size.filter(|n| *n > 0 && *n <= BUFSIZE_MAX);
    *field(line.global) =
        size.ok_or_else(|| ParseError::at(1, format!("'{name}' expects a positive integer argument.")))?;
    if name == "tune.bufsize" && line.global.bufsize < BUFSIZE_MIN {
        let text = format!("'tune.bufsize' has to be at least {BUFSIZE_MIN} (got '{value}').");
        return Err(ParseError::at(1, text));
    }
    words::at_most(line.words, 1)
}

fn maxhdr(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    let expected = "'tune.http.maxhdr' expects a numeric value between 1 and 32767";
    let value = words::number(line.words, expected)?;
    if !(1..=32767).contains(&value) {
        return Err(ParseError::at(1, expected));
    }
    line.global.maxhdr = value;
    Ok(())
}

fn node(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    let name = line.words.get(1).copied().unwrap_or_default();
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if name.is_empty() || !name.bytes().all(good) {
        return Err(ParseError::at(
            line.words.len().min(2) - 1,
            "'node' requires valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), dot(.), \
             hyphen(-) or underscode(_).",
        ));
    }
    words::at_most(line.words, 1)?;
    line.global.node = Some(name.to_owned());
    Ok(())
}

fn hard_stop_after(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    let text = words::word(line.words, 1, "'hard-stop-after' expects <time> as argument.")?;
    let value = time::parse(text, Unit::Millis).map_err(|error| match error {
        TimeError::Unexpected(_) => ParseError::at(
            1,
            format!("unexpected character '{}' in argument to <hard-stop-after>.", error.shown()),
        ),
        TimeError::Overflow => ParseError::at(
            1,
            format!(
                "timer overflow in argument '{text}' to <hard-stop-after>, maximum value is 2147483647 ms \
                 (~24.8 days)."
            ),
        ),
    })?;
    words::at_most(line.words, 1)?;
    line.global.hard_stop_after = Some(value);
    Ok(())
}

fn variable(line: &mut GlobalLine<'_>, set: fn(&mut super::Env, &str, &str)) -> Result<(), ParseError> {
    let name = line.words[0];
    match line.words {
        [_, variable, value, ..] if !variable.is_empty() && !variable.contains('=') => {
            words::at_most(line.words, 2)?;
            set(&mut line.registry.env, variable, value);
            Ok(())
        }
        _ => Err(ParseError::new(format!("'{name}' expects a name and a value."))),
    }
}

fn unsetenv(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    words::word(line.words, 1, "'unsetenv' expects at least one variable name.")?;
    line.words[1..].iter().for_each(|name| line.registry.env.unset(name));
    Ok(())
}

/// HAProxy's limit of a buffer.
const BUFSIZE_MAX: usize = (i32::MAX as usize) - 64;
/// Less holds no message head that is worth its name.
const BUFSIZE_MIN: usize = 512;
