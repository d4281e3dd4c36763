//! `acl`, rule and `filter` lines: what is compiled elsewhere.

use std::time::Duration;

use super::{
    Line, ParseError,
    draft::{Section, Settings},
    known,
    proxy::ProxyLine,
    time::{self, TimeError, Unit},
    words,
};
use crate::{
    config::RuleSets,
    rules::{self, Rule, RuleAction, RuleSet},
};

pub(super) fn acl(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = words::word(line.words, 1, "'acl' expects a name and a criterion.")?;
    if let Some(bad) = name.chars().find(|c| !super::server::is_name_char(*c)) {
        return Err(ParseError::at(1, format!("character '{bad}' is not permitted in acl name '{name}'.")));
    }
    if name.eq_ignore_ascii_case("or") {
        let text = format!(
            "acl name '{name}' will never match. 'or' is used to express a logical disjunction within a condition."
        );
        return Err(ParseError::at(1, text));
    }
    let registry = line.registry;
    line.draft.acls.add(&line.words[1..], registry).map_err(|e| e.shifted(1))?;
    remember(line);
    Ok(())
}

pub(super) fn http_request(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    rule(line, RuleSet::HttpRequest, 1)
}

pub(super) fn http_response(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    rule(line, RuleSet::HttpResponse, 1)
}

pub(super) fn http_after_response(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    rule(line, RuleSet::HttpAfterResponse, 1)
}

pub(super) fn tcp_request(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let title = line.draft.title();
    match line.words.get(1).copied().unwrap_or_default() {
        "" => Err(ParseError::new(format!("missing argument for 'tcp-request' in {title}"))),
        "inspect-delay" => {
            inspect_delay(line, "tcp-request inspect-delay", |s| &mut s.tcp_request_inspect_delay)
        }
        what @ ("connection" | "session") => {
            if !line.draft.section.frontend() {
                let text = format!("tcp-request {what} is not allowed because {title} is not a frontend");
                return Err(ParseError::at(1, text));
            }
            rule(line, if what == "connection" { RuleSet::TcpConnection } else { RuleSet::TcpSession }, 2)
        }
        "content" => rule(line, RuleSet::TcpRequest, 2),
        other => {
            let text = format!(
                "'tcp-request' expects 'inspect-delay', 'connection', 'session' or 'content' in {title} (got '{other}')"
            );
            Err(ParseError::at(1, text))
        }
    }
}

pub(super) fn tcp_response(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let title = line.draft.title();
    match line.words.get(1).copied().unwrap_or_default() {
        "" => Err(ParseError::new(format!("missing argument for 'tcp-response' in {title}"))),
        "inspect-delay" => {
            inspect_delay(line, "tcp-response inspect-delay", |s| &mut s.tcp_response_inspect_delay)
        }
        "content" => rule(line, RuleSet::TcpResponse, 2),
        other => {
            let text =
                format!("'tcp-response' expects 'inspect-delay' or 'content' in {title} (got '{other}')");
            Err(ParseError::at(1, text))
        }
    }
}

pub(super) fn filter(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words.get(1).copied().unwrap_or_default();
    if name.is_empty() {
        let title = line.draft.title();
        return Err(ParseError::new(format!("missing argument for 'filter' in {title}.")));
    }
    let Some(keyword) = line.registry.filters.get(name).cloned() else {
        if known::words(known::FILTERS).any(|known| known == name) {
            let text = format!("'filter {name}' is a keyword of HAProxy that is not supported yet");
            return Err(ParseError::at(1, text));
        }
        let mut text = format!("'filter' : unknown keyword '{name}'. Registered keywords :");
        line.registry.filters.keys().for_each(|known| text.extend(["\n    ", known]));
        return Err(ParseError::at(1, text));
    };
    let args = &line.words[2..];
    let filter = keyword.parse(args, &mut line.context()).map_err(|e| e.shifted(2))?;
    line.draft.filters.push(filter);
    Ok(())
}

fn rule(line: &mut ProxyLine<'_>, set: RuleSet, skip: usize) -> Result<(), ParseError> {
    let words = &line.words[skip..];
    let rule = rules::parse_rule(set, words, &mut line.context()).map_err(|e| e.shifted(skip))?;
    remark(line, set);
    rules_of(&mut line.draft.rules, set).push(rule);
    remember(line);
    Ok(())
}

fn rules_of(rules: &mut RuleSets, set: RuleSet) -> &mut Vec<Rule> {
    match set {
        RuleSet::TcpConnection => &mut rules.tcp_connection,
        RuleSet::TcpSession => &mut rules.tcp_session,
        RuleSet::TcpRequest => &mut rules.tcp_request,
        RuleSet::TcpResponse => &mut rules.tcp_response,
        RuleSet::HttpRequest => &mut rules.http_request,
        RuleSet::HttpResponse => &mut rules.http_response,
        RuleSet::HttpAfterResponse => &mut rules.http_after_response,
    }
}

/// Says so if a rule is never reached, or runs before rules that stand above it.
fn remark(line: &mut ProxyLine<'_>, set: RuleSet) {
    let keyword = line.words[0];
    let draft = &mut *line.draft;
    let last = rules_of(&mut draft.rules, set).last();
    let last_is_final = last.is_some_and(|rule| rule.cond.is_none() && is_final(&rule.action));
    // What a `defaults` has brought stands above everything and is no surprise.
    let own = |rules: &[Rule]| rules.iter().any(|rule| draft.holds(&rule.place));
    // In the order in which they are processed; each runs before those behind it.
    let later = [
        (own(&draft.rules.tcp_session), "a 'tcp-request session'"),
        (own(&draft.rules.tcp_request), "a 'tcp-request content'"),
        (own(&draft.rules.http_request), "an 'http-request'"),
        (!draft.switching.is_empty(), "a 'use_backend'"),
    ];
    if set.is_http() && last_is_final {
        line.warn(format!(
            "previous '{keyword}' action is final and has no condition attached, further entries are NOOP."
        ));
    }
    let skip = match set {
        RuleSet::TcpConnection => 0,
        RuleSet::TcpSession => 1,
        RuleSet::TcpRequest => 2,
        RuleSet::HttpRequest => 3,
        RuleSet::TcpResponse | RuleSet::HttpResponse | RuleSet::HttpAfterResponse => return,
    };
    if let Some((_, above)) = later[skip..].iter().find(|(there, _)| *there) {
        line.warn(format!("a '{keyword}' rule placed after {above} rule will still be processed before."));
    }
}

/// Whether nothing behind such an action is reached.
fn is_final(action: &RuleAction) -> bool {
    matches!(
        action,
        RuleAction::Stop
            | RuleAction::Close { .. }
            | RuleAction::Reply(_)
            | RuleAction::Tarpit(_)
            | RuleAction::Redirect(_)
    )
}

/// Keeps a line of a named `defaults` for the proxies that take it over.
fn remember(line: &mut ProxyLine<'_>) {
    if line.draft.section == Section::Defaults {
        line.draft.settings.rule_lines.push(Line {
            file: line.place.file.clone(),
            number: line.place.line,
            words: line.words.iter().map(|word| (*word).to_owned()).collect(),
            spans: Vec::new(),
        });
    }
}

fn inspect_delay(
    line: &mut ProxyLine<'_>,
    name: &'static str,
    field: fn(&mut Settings) -> &mut Option<Duration>,
) -> Result<(), ParseError> {
    let title = line.draft.title();
    let expected = format!("'{name}' expects a positive delay in milliseconds, in {title}");
    let text = words::word(line.words, 2, &expected)?;
    let value = time::parse(text, Unit::Millis).map_err(|error| match error {
        TimeError::Unexpected(_) => {
            ParseError::at(2, format!("{expected} (unexpected character '{}')", error.shown()))
        }
        TimeError::Overflow => ParseError::at(
            2,
            format!("{expected} (timer overflow in '{text}', maximum value is 2147483647 ms or ~24.8 days)"),
        ),
    })?;
    words::at_most_behind(line.words, name, 3)?;
    if line.draft.timeouts_seen.contains(&name) {
        line.warn(format!("ignoring {name} (was already defined) in {title}"));
    } else {
        line.draft.timeouts_seen.push(name);
        *field(&mut line.draft.settings) = Some(value);
    }
    Ok(())
}
