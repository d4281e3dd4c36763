//! `option …`.
//!
//! Source: configuration.txt section 4.2.

use super::{
    ParseError, check, known,
    proxy::{ProxyLine, Side},
    words,
};
use crate::{
    config::{ForwardFor, Mode, Options},
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

/// Plain switches: on, and off again with `no`.
const SWITCHES: &[(&str, Side, fn(&mut Options, bool))] = &[
    ("abortonclose", Side::Any, |o, on| o.abortonclose = on),
    ("allbackups", Side::Back, |o, on| o.allbackups = on),
    ("dontlog-normal", Side::Front, |o, on| o.dontlog_normal = on),
    ("dontlognull", Side::Front, |o, on| o.dontlognull = on),
    ("http-buffer-request", Side::Any, |o, on| o.http_buffer_request = on),
    ("http-keep-alive", Side::Any, |o, on| {
        if on {
            (o.http_server_close, o.httpclose) = (false, false);
        }
    }),
    ("http-server-close", Side::Any, |o, on| {
        o.http_server_close = on;
        o.httpclose &= !on;
    }),
    ("httpclose", Side::Any, |o, on| {
        o.httpclose = on;
        o.http_server_close &= !on;
    }),
    ("log-health-checks", Side::Back, |o, on| o.log_health_checks = on),
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
                let net =
                    value.and_then(|text| text.parse().ok().or_else(|| text.parse().ok().map(host_net)));
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

fn host_net(ip: std::net::IpAddr) -> ipnet::IpNet {
    ip.into()
}

fn httplog(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    match line.words.get(2).copied() {
        None => {}
        Some("clf") => {
            return Err(ParseError::at(
                2,
                "'option httplog clf' is a keyword of HAProxy that is not supported yet",
            ));
        }
        Some(_) => return Err(ParseError::at(2, "keyword 'httplog' only supports option 'clf'.")),
    }
    words::at_most_behind(line.words, "option httplog", 3)?;
    if !line.draft.section.frontend() {
        let title = line.draft.title();
        line.warn(format!("{title} : 'option httplog' directive is ignored in backends."));
    }
    if line.draft.settings.mode != Mode::Http && line.draft.section != super::draft::Section::Defaults {
        let title = line.draft.title();
        line.warn(format!(
            "'option httplog' not usable with {title} (needs 'mode http'). Falling back to 'option tcplog'."
        ));
        return log_format(line, false);
    }
    log_format(line, true)
}

fn tcplog(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    words::at_most_behind(line.words, "option tcplog", 2)?;
    if !line.draft.section.frontend() {
        let title = line.draft.title();
        line.warn(format!("{title} : 'option tcplog' directive is ignored in backends."));
    }
    log_format(line, false)
}

fn log_format(line: &mut ProxyLine<'_>, http: bool) -> Result<(), ParseError> {
    let variable = if http { super::parser::HTTP_LOG } else { super::parser::TCP_LOG };
    let (name, standard) = variable;
    let text = line.registry.env.value(name).unwrap_or(standard);
    let format = LogFormat::parse(text, line.registry).map_err(|e| ParseError::at(1, e.message))?;
    let settings = &mut line.draft.settings;
    settings.log_format = Some(format);
    settings.options.httplog = http;
    settings.options.tcplog = !http;
    Ok(())
}

fn redispatch(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    if let Some(text) = line.words.get(2) {
        let what = if super::number::signed(text).is_some() { "the interval of" } else { "the argument of" };
        let text = format!("{what} 'option redispatch' is not supported yet (got '{text}').");
        return Err(ParseError::at(2, text));
    }
    line.draft.settings.redispatch = !line.negated;
    Ok(())
}
