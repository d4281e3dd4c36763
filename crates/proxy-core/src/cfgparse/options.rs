//! `option …`.
//!
//! Source: configuration.txt section 4.2.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    ParseError, check,
    draft::{Draft, TrafficLog},
    known,
    parser::{HTTP_LOG, TCP_LOG},
    proxy::{ProxyLine, Side},
    words,
};
use crate::{
    config::{ForwardFor, Mode, Options, Place},
    registry::Registry,
    sample::logformat::LogFormat,
};

pub(super) fn option(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = words::word(line.words, 1, "'option' expects an option name.")?;
    if let Some((_, side, set)) = SWITCHES.iter().find(|(known, ..)| *known == name) {
        line.warn_without(*side, name);
        words::at_most_behind(line.words, &format!("option {name}"), 2)?;
        set(&mut line.draft.settings.options, !line.negated);
        return Ok(());
    }
    if !line.negated && line.registry.checks.contains_key(name) {
        line.warn_without(Side::Back, name);
        return check::probe(line, name);
    }
    let Some((_, side, negatable, parse)) = OTHERS.iter().find(|(known, ..)| *known == name) else {
        if line.negated && !known::words(known::OPTIONS).any(|known| known == name) {
            return Err(ParseError::at(1, format!("negation/default is not supported for option '{name}'.")));
        }
        return Err(ParseError::at(1, unknown(name, line)));
    };
    if line.negated && !negatable {
        return Err(ParseError::at(1, format!("negation/default is not supported for option '{name}'.")));
    }
    line.warn_without(*side, name);
    parse(line)
}

type Switch = fn(&mut Options, bool);

/// About HAProxy's way to use the system, which is not ours: accepted, without effect.
const NOTHING: Switch = |_, _| {};

/// Plain switches: on, and off again with `no`.
const SWITCHES: &[(&str, Side, Switch)] = &[
    ("abortonclose", Side::Any, |o, on| o.abortonclose = Some(on)),
    ("allbackups", Side::Back, |o, on| o.allbackups = on),
    ("contstats", Side::Front, NOTHING),
    ("dontlog-normal", Side::Front, |o, on| o.dontlog_normal = on),
    ("dontlognull", Side::Front, |o, on| o.dontlognull = on),
    ("http-buffer-request", Side::Any, |o, on| o.http_buffer_request = on),
    ("http-ignore-probes", Side::Front, |o, on| o.http_ignore_probes = on),
    ("http-keep-alive", Side::Any, |o, on| {
        if on {
            (o.http_server_close, o.httpclose) = (false, false);
        }
    }),
    ("http-no-delay", Side::Any, NOTHING),
    ("http-server-close", Side::Any, |o, on| {
        o.http_server_close = on;
        o.httpclose &= !on;
    }),
    ("httpclose", Side::Any, |o, on| {
        o.httpclose = on;
        o.http_server_close &= !on;
    }),
    ("independent-streams", Side::Any, NOTHING),
    ("log-health-checks", Side::Back, |o, on| o.log_health_checks = on),
    ("socket-stats", Side::Front, NOTHING),
    ("splice-auto", Side::Any, NOTHING),
    ("splice-request", Side::Any, NOTHING),
    ("splice-response", Side::Any, NOTHING),
    ("tcp-smart-accept", Side::Front, NOTHING),
    ("tcp-smart-connect", Side::Back, NOTHING),
];

type Parse = fn(&mut ProxyLine<'_>) -> Result<(), ParseError>;

/// Options with arguments: name, side, whether `no` may stand in front.
const OTHERS: &[(&str, Side, bool, Parse)] = &[
    ("forwardfor", Side::Any, false, forwardfor),
    ("httpchk", Side::Back, false, check::httpchk),
    ("httplog", Side::Any, false, httplog),
    ("redispatch", Side::Back, true, redispatch),
    ("tcp-check", Side::Back, false, check::tcp_check_option),
    ("tcplog", Side::Any, false, tcplog),
];

fn unknown(name: &str, line: &ProxyLine<'_>) -> String {
    let ours = SWITCHES.iter().map(|(name, ..)| *name).chain(OTHERS.iter().map(|(name, ..)| *name));
    let ours = ours.chain(line.registry.checks.keys().map(String::as_str));
    let text = words::unknown(name, ours, known::words(known::OPTIONS), "");
    match text.strip_prefix("unknown keyword") {
        Some(rest) => format!("unknown option{rest}"),
        None => format!("'option {name}' is a keyword of HAProxy that is not supported yet"),
    }
}

fn forwardfor(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let mut option = ForwardFor { header: "X-Forwarded-For".to_owned(), if_none: false, except: None };
    let mut at = 2;
    while let Some(word) = line.words.get(at).copied() {
        let value = line.words.get(at + 1).copied().filter(|value| !value.is_empty());
        match word {
            "if-none" => {
                option.if_none = true;
                at += 1;
                continue;
            }
            "except" => {
                let net = value.and_then(network);
                let text = "'option forwardfor except' expects <address>[/mask] as argument.";
                option.except = Some(net.ok_or_else(|| ParseError::at(at, text))?);
            }
            "header" => {
                let text = "'option forwardfor header' expects <header_name> as argument.";
                option.header = value.ok_or_else(|| ParseError::at(at, text))?.to_owned();
            }
            _ => {
                let text =
                    "'option forwardfor' only supports optional values: 'except', 'header' and 'if-none'.";
                return Err(ParseError::at(at, text));
            }
        }
        at += 2;
    }
    line.draft.settings.options.forwardfor = Some(option);
    Ok(())
}

/// `address`, `address/bits` or `address/netmask`.
fn network(text: &str) -> Option<IpNet> {
    let Some((ip, mask)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    match mask.parse::<IpAddr>() {
        Ok(mask) => IpNet::with_netmask(ip.parse().ok()?, mask).ok(),
        Err(_) => text.parse().ok(),
    }
}

fn httplog(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    match line.words.get(2).copied() {
        None => {}
        Some("clf") => {
            let text = "'option httplog clf' is a keyword of HAProxy that is not supported yet";
            return Err(ParseError::at(2, text));
        }
        Some(_) => return Err(ParseError::at(2, "keyword 'httplog' only supports option 'clf'.")),
    }
    words::at_most_behind(line.words, "option httplog", 3)?;
    let place = line.place.clone();
    traffic(line, TrafficLog::Http(place));
    Ok(())
}

fn tcplog(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    words::at_most_behind(line.words, "option tcplog", 2)?;
    let place = line.place.clone();
    traffic(line, TrafficLog::Tcp(place));
    Ok(())
}

/// Takes over a choice of the log line, and says so if it undoes another one of this section.
pub(super) fn traffic(line: &mut ProxyLine<'_>, chosen: TrafficLog) {
    let title = line.draft.title();
    let keyword = chosen.keyword().map_or("", |(keyword, _)| keyword);
    if !line.draft.section.frontend() {
        line.warn(format!("{title} : '{keyword}' directive is ignored in backends."));
    }
    let previous = line.draft.settings.traffic.keyword();
    let undone = previous.filter(|(other, place)| *other != keyword && line.draft.holds(place));
    if let Some((other, _)) = undone {
        let section = line.draft.section.name();
        line.warn(format!("'{keyword}' overrides previous '{other}' in '{section}' section."));
    }
    line.draft.settings.traffic = chosen;
}

/// Settles the log line once the mode is known; there may be something to say about it.
pub(super) fn settle(draft: &mut Draft, registry: &Registry) -> Option<(Place, String)> {
    let mut remark = None;
    let (standard, http) = match &draft.settings.traffic {
        TrafficLog::Short => return None,
        TrafficLog::Custom(format, _) => {
            draft.log_format = Some(format.clone());
            return None;
        }
        TrafficLog::Tcp(_) => (TCP_LOG, false),
        TrafficLog::Http(_) if draft.settings.mode == Mode::Http => (HTTP_LOG, true),
        TrafficLog::Http(place) => {
            if draft.section.frontend() {
                let title = draft.title();
                let text = format!(
                    "'option httplog' not usable with {title} (needs 'mode http'). Falling back to 'option tcplog'."
                );
                remark = Some((place.clone(), text));
            }
            (TCP_LOG, false)
        }
    };
    let (name, text) = standard;
    let place = draft.settings.traffic.keyword().map(|(_, place)| place.clone()).unwrap_or_default();
    match LogFormat::parse(registry.env.value(name).unwrap_or(text), registry) {
        Ok(format) => draft.log_format = Some(format),
        // Only a replaced variable can be wrong.
        Err(error) => remark = Some((place, format!("ignoring ${name} : {error}"))),
    }
    let options = &mut draft.settings.options;
    (options.httplog, options.tcplog) = (http, !http);
    remark
}

fn redispatch(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let interval = match line.words.get(2) {
        None => LAST_RETRY,
        Some(text) => {
            let number = super::number::signed(text).and_then(|number| i32::try_from(number).ok());
            number.ok_or_else(|| ParseError::at(2, format!("'{text}' is not a valid integer value.")))?
        }
    };
    words::at_most_behind(line.words, "option redispatch", 3)?;
    line.draft.settings.redispatch = if line.negated { 0 } else { interval };
    Ok(())
}

/// Where `option redispatch` gives no interval.
const LAST_RETRY: i32 = -1;
