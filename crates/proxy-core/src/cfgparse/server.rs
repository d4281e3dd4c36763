//! `server`, `default-server` and `source` lines.
//!
//! Source: configuration.txt sections 4.2 (`server`, `source`) and 5.2.

use std::time::Duration;

use super::{
    ParseError, Resolve,
    address::{self, Parsed},
    known, number,
    proxy::ProxyLine,
    time::{self, TimeError, Unit},
    tls, words,
};
use crate::config::{ServerConfig, SourceAddr};

pub(super) fn server(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let expected = "'server' expects <name> and <addr>[:<port>] as arguments.";
    let name = words::word(line.words, 1, expected)?;
    let addr = words::word(line.words, 2, expected)?;
    if let Some(bad) = name.chars().find(|c| !is_name_char(*c)) {
        return Err(ParseError::at(
            1,
            format!("character '{bad}' is not permitted in server name '{name}'."),
        ));
    }
    let title = format!("'server {}/{name}'", line.draft.name);
    let parsed = address::parse(addr, address::SERVER, line.resolve)
        .map_err(|why| ParseError::at(2, format!("{title} : {why}")))?;
    let mut server = line.draft.settings.server.clone();
    server.name = name.to_owned();
    server.place = line.place.clone();
    server.addr = parsed.single(0);
    settings(line, 3, &mut server, &title)?;
    duplicates(line, &server)?;
    line.draft.servers.push(server);
    Ok(())
}

pub(super) fn default_server(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let mut server = line.draft.settings.server.clone();
    if let Some(at) = line.words.iter().position(|word| *word == "id") {
        return Err(ParseError::at(at, "'default-server' : 'id' is not supported in 'default-server'."));
    }
    // For the texts of errors.
    server.name = "default-server".to_owned();
    settings(line, 1, &mut server, "'default-server'")?;
    line.draft.settings.server = server;
    Ok(())
}

pub(super) fn source(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let expected =
        "'source' expects <addr>[:<port>], and optionally 'usesrc' <addr>, and 'interface' <name>.";
    let text = words::word(line.words, 1, expected)?;
    let source = source_addr(text, line.resolve)
        .map_err(|why| ParseError::at(1, format!("'source {text}' : {why}")))?;
    if let Some(word) = line.words.get(2) {
        return Err(ParseError::at(2, format!("'source' : {}", source_word(word))));
    }
    line.draft.settings.source = Some(source);
    Ok(())
}

/// Characters of the names of proxies, servers and so on.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

fn duplicates(line: &ProxyLine<'_>, server: &ServerConfig) -> Result<(), ParseError> {
    for other in &line.draft.servers {
        if other.name == server.name {
            return Err(ParseError::at(
                1,
                format!(
                    "{}, another server named '{}' was already defined at line {}, please use distinct names.",
                    line.draft.title(),
                    server.name,
                    other.place.line
                ),
            ));
        }
        if server.puid != 0 && other.puid == server.puid {
            return Err(ParseError::new(format!(
                "'server {}/{}' : 'id' : custom id {} already used at {}:{} ('server {}').",
                line.draft.name, server.name, server.puid, other.place.file, other.place.line, other.name
            )));
        }
    }
    Ok(())
}

/// The words from `at` on.
fn settings(
    line: &ProxyLine<'_>,
    mut at: usize,
    server: &mut ServerConfig,
    title: &str,
) -> Result<(), ParseError> {
    while let Some(word) = line.words.get(at).copied() {
        let next = line.words.get(at + 1).copied().unwrap_or_default();
        if let Some(taken) = tls::server_word(server, word, next, line.registry) {
            let offending = at + usize::from(!next.is_empty());
            at += 1 + taken.map_err(|why| ParseError::at(offending, format!("{title} : {why}")))?;
            continue;
        }
        let Some((_, takes, set)) = WORDS.iter().find(|(known, ..)| *known == word) else {
            let ours = WORDS.iter().map(|(known, ..)| *known).chain(tls::SERVER_WORDS).chain(tls::WORDS);
            let text = words::unknown(word, ours, known::words(known::SERVER), "");
            return Err(ParseError::at(at, format!("{title} : {text}")));
        };
        let value = if *takes { line.words.get(at + 1).copied().unwrap_or_default() } else { "" };
        let cx = Word { name: word, value, resolve: line.resolve };
        let offending = at + usize::from(!value.is_empty());
        set(server, &cx).map_err(|why| ParseError::at(offending, format!("{title} : {why}")))?;
        at += 1 + usize::from(*takes);
        if word == "source"
            && let Some(next @ ("usesrc" | "interface")) = line.words.get(at).copied()
        {
            return Err(ParseError::at(at, format!("{title} : 'source' : {}", source_word(next))));
        }
    }
    Ok(())
}

/// A word of a `server` line with its argument.
struct Word<'a> {
    name: &'a str,
    value: &'a str,
    resolve: &'a dyn Resolve,
}

type Set = fn(&mut ServerConfig, &Word<'_>) -> Result<(), String>;

/// Name, whether an argument follows, effect.
const WORDS: &[(&str, bool, Set)] = &[
    ("addr", true, check_addr),
    ("backup", false, |s, _| {
        s.backup = true;
        Ok(())
    }),
    ("check", false, |s, _| {
        s.check = true;
        Ok(())
    }),
    ("disabled", false, |s, _| {
        s.disabled = true;
        Ok(())
    }),
    ("downinter", true, |s, w| {
        s.downinter = Some(w.period(s)?);
        Ok(())
    }),
    ("enabled", false, |s, _| {
        s.disabled = false;
        Ok(())
    }),
    ("fall", true, |s, w| {
        s.fall = w.threshold()?;
        Ok(())
    }),
    ("fastinter", true, |s, w| {
        s.fastinter = Some(w.period(s)?);
        Ok(())
    }),
    ("id", true, |s, w| {
        s.puid = w.id()?;
        Ok(())
    }),
    ("inter", true, |s, w| {
        s.inter = w.period(s)?;
        Ok(())
    }),
    ("maxconn", true, |s, w| {
        s.maxconn = w.count()?;
        Ok(())
    }),
    ("maxqueue", true, |s, w| {
        s.maxqueue = w.count()?;
        Ok(())
    }),
    ("no-backup", false, |s, _| {
        s.backup = false;
        Ok(())
    }),
    ("no-check", false, |s, _| {
        s.check = false;
        Ok(())
    }),
    ("pool-max-conn", true, |s, w| {
        // -1 stands for no limit.
        s.pool_max_conn = if w.value == "-1" { None } else { Some(w.count()?) };
        Ok(())
    }),
    ("port", true, |s, w| {
        if w.value.is_empty() {
            return Err("'port' expects a port number as argument.".to_owned());
        }
        s.check_port = Some(w.value.parse().map_err(|_| format!("'port' : invalid port '{}'.", w.value))?);
        Ok(())
    }),
    ("rise", true, |s, w| {
        s.rise = w.threshold()?;
        Ok(())
    }),
    ("slowstart", true, |s, w| {
        s.slowstart = Some(w.time(Unit::Seconds, &s.name)?).filter(|t| !t.is_zero());
        Ok(())
    }),
    ("source", true, |s, w| {
        if w.value.is_empty() {
            return Err("'source' expects <addr>[:<port>[-<port>]], and optionally 'usesrc' <addr>, and \
                        'interface' <name> as argument."
                .to_owned());
        }
        s.source =
            Some(source_addr(w.value, w.resolve).map_err(|why| format!("'source {}' : {why}", w.value))?);
        Ok(())
    }),
    ("weight", true, weight),
];

impl Word<'_> {
    /// A check interval: at least a millisecond.
    fn period(&self, server: &ServerConfig) -> Result<Duration, String> {
        let value = self.time(Unit::Millis, &server.name)?;
        if value.is_zero() {
            return Err(format!("invalid value 0 for argument '{}' of server {}.", self.name, server.name));
        }
        Ok(value)
    }

    fn time(&self, unit: Unit, server: &str) -> Result<Duration, String> {
        let name = self.name;
        if self.value.is_empty() {
            return Err(format!("'{name}' expects a delay as argument."));
        }
        time::parse(self.value, unit).map_err(|error| match error {
            TimeError::Unexpected(_) => {
                format!("unexpected character '{}' in '{name}' argument of server {server}.", error.shown())
            }
            TimeError::Overflow => format!(
                "timer overflow in argument <{}> to <{name}> of server {server}, maximum value is 2147483647 ms \
                 (~24.8 days).",
                self.value
            ),
        })
    }

    fn count(&self) -> Result<usize, String> {
        let name = self.name;
        number::count(self.value)
            .ok_or_else(|| format!("'{name}' expects an integer argument (got '{}').", self.value))
    }

    fn threshold(&self) -> Result<u32, String> {
        let name = self.name;
        if self.value.is_empty() {
            return Err(format!("'{name}' expects an integer argument."));
        }
        let value = number::count(self.value).and_then(|n| u32::try_from(n).ok());
        value.filter(|n| *n > 0).ok_or_else(|| format!("'{name}' has to be > 0."))
    }

    fn id(&self) -> Result<u32, String> {
        if self.value.is_empty() {
            return Err("'id' : expects an integer argument.".to_owned());
        }
        let value = number::count(self.value).and_then(|n| u32::try_from(n).ok());
        value.filter(|n| *n > 0).ok_or_else(|| "'id' : custom id has to be > 0.".to_owned())
    }
}

fn weight(server: &mut ServerConfig, word: &Word<'_>) -> Result<(), String> {
    let value = word.count()?;
    if value > WEIGHT_MAX {
        return Err(format!("weight of server {} is not within 0 and 256 ({value}).", server.name));
    }
    server.weight = u32::try_from(value).unwrap_or(0);
    Ok(())
}

fn check_addr(server: &mut ServerConfig, word: &Word<'_>) -> Result<(), String> {
    if word.value.is_empty() {
        return Err("'addr' expects <ipv4|ipv6> as argument.".to_owned());
    }
    match address::parse(word.value, address::CHECK, word.resolve) {
        Ok(Parsed::Ip { ip, first, written, .. }) => {
            server.check_addr = Some(ip);
            if written {
                server.check_port = Some(first);
            }
            Ok(())
        }
        Ok(Parsed::Other(_)) => Err(format!("'addr' : not an IP address: '{}'.", word.value)),
        Err(why) => Err(format!("'addr' : {why}.")),
    }
}

fn source_addr(text: &str, resolve: &dyn Resolve) -> Result<SourceAddr, String> {
    match address::parse(text, address::SOURCE, resolve)? {
        Parsed::Ip { ip, first, .. } => Ok(SourceAddr { ip, port: first }),
        Parsed::Other(_) => Err(format!("not an IP address: '{text}'")),
    }
}

fn source_word(word: &str) -> String {
    match word {
        "usesrc" | "interface" => format!("'{word}' is a keyword of HAProxy that is not supported yet"),
        _ => format!("cannot handle unexpected argument '{word}'."),
    }
}

const WEIGHT_MAX: usize = 256;
