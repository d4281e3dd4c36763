//! Reading rules. Error texts are HAProxy's where it has one.

mod reply;

use std::sync::Arc;

pub(crate) use reply::parse_http_error;
use reply::reply;

use super::{
    Rule, RuleSet,
    action::{NameMatch, RuleAction, TargetPart},
    counters::{Amount, CounterRule, TrackRule},
    patterns::PatternRule,
    redirect::{Redirect, RedirectTo},
};
use crate::{
    cfgparse::ParseError,
    config::Mode,
    log::{Level, LevelOverride},
    registry::ParseContext,
    sample::{Needs, Pattern, expr::Expr, logformat::LogFormat},
    stick_table::{DataType, TRACKED_MAX},
    vars::{VarName, parse_set},
};

/// Compiles one rule: `words[0]` is its action, behind the words of the set's keyword.
///
/// # Errors
/// An unknown action, wrong arguments, or a malformed condition; with the offending word where it
/// can be named.
pub fn parse_rule(set: RuleSet, words: &[&str], cx: &mut ParseContext<'_>) -> Result<Rule, ParseError> {
    let mut line = RuleLine { set, words, at: 1, cx };
    let action = line.action()?;
    let cond = line.cond()?;
    Ok(Rule { action, cond, place: line.cx.place.clone() })
}

/// A rule's words on their way to a rule.
struct RuleLine<'a, 'c, 'p> {
    set: RuleSet,
    words: &'a [&'a str],
    at: usize,
    cx: &'c mut ParseContext<'p>,
}

/// Reads an action's arguments.
type Read = fn(&mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError>;

impl<'a> RuleLine<'a, '_, '_> {
    fn name(&self) -> &'a str {
        self.words.first().copied().unwrap_or_default()
    }

    /// The action's name without parentheses.
    fn bare_name(&self) -> &'a str {
        let name = self.name();
        &name[..name.find('(').unwrap_or(name.len())]
    }

    fn action(&mut self) -> Result<RuleAction, ParseError> {
        let row = ACTIONS.iter().find(|row| row.name == self.bare_name() && row.sets.contains(self.set));
        if let Some(row) = row {
            return (row.read)(self).map_err(|e| self.in_rule(e));
        }
        let registry = self.cx.registry;
        let custom = registry.actions.get(self.name()).or_else(|| registry.actions.get(self.bare_name()));
        match custom.filter(|keyword| keyword.allowed_in(self.set)) {
            Some(keyword) => {
                let end = self.words.iter().position(|w| matches!(*w, "if" | "unless"));
                let end = end.unwrap_or(self.words.len()).max(1);
                let maker = keyword
                    .parse(&self.words[1..end], self.cx, self.set)
                    .map_err(|e| self.in_rule(ParseError { word: e.word.map(|w| w + 1), ..e }))?;
                self.at = end;
                Ok(RuleAction::Custom(maker))
            }
            None => Err(self.unknown()),
        }
    }

    fn unknown(&self) -> ParseError {
        let (set, name) = (self.set.keyword(), self.name());
        if KNOWN_ELSEWHERE.contains(&self.bare_name()) {
            return ParseError::at(0, format!("'{set} {name}' is not supported yet"));
        }
        let mut names: Vec<&str> =
            ACTIONS.iter().filter(|row| row.sets.contains(self.set)).map(|row| row.shown).collect();
        let custom = self.cx.registry.actions.iter().filter(|(_, keyword)| keyword.allowed_in(self.set));
        names.extend(custom.map(|(name, _)| name.as_str()));
        let list = names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let near = names
            .iter()
            .map(|known| known.trim_end_matches("(*)"))
            .map(|known| (strsim::damerau_levenshtein(known, self.bare_name()), known))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, known)| *distance <= 3 && distance * 2 < known.len());
        let hint = near.map_or(String::new(), |(_, known)| format!(" Did you mean '{known}' maybe ?"));
        let text = if self.set.is_http() {
            let missing = if name.is_empty() { " (missing argument)" } else { "" };
            format!("'{set}' expects {list}, but got '{name}'{missing}.{hint}")
        } else {
            format!("'{set}' expects {list} in {} '{}' (got '{name}').{hint}", self.kind(), self.cx.proxy)
        };
        ParseError::at(0, text)
    }

    fn kind(&self) -> &'static str {
        match (self.cx.capabilities.frontend, self.cx.capabilities.backend) {
            (true, false) => "frontend",
            (false, true) => "backend",
            _ => "proxy",
        }
    }

    fn in_rule(&self, error: ParseError) -> ParseError {
        let message = format!(
            "error detected in {} '{}' while parsing '{} {}' rule : {}.",
            self.kind(),
            self.cx.proxy,
            self.set.keyword(),
            self.name(),
            error.message
        );
        ParseError { message, ..error }
    }

    /// The condition, which must be all that is left.
    fn cond(&mut self) -> Result<Option<super::acl::Cond>, ParseError> {
        let (set, name) = (self.set.keyword(), self.name());
        match self.peek() {
            None => Ok(None),
            Some("if" | "unless") => {
                let at = self.at;
                self.cx.cond(&self.words[at..], None).map(Some).map_err(|e| {
                    let article = if self.set.is_http() { "an" } else { "a" };
                    let message = format!(
                        "error detected while parsing {article} '{set} {name}' condition : {}.",
                        e.message
                    );
                    ParseError { message, word: e.word.map(|word| word + at) }
                })
            }
            Some(other) => {
                let text = if self.set.is_http() {
                    format!(
                        "'{set} {name}' expects either 'if' or 'unless' followed by a condition but found '{other}'."
                    )
                } else {
                    format!(
                        "'{set} {name}' only accepts 'if' or 'unless', in {} '{}' (got '{other}')",
                        self.kind(),
                        self.cx.proxy
                    )
                };
                Err(ParseError::at(self.at, text))
            }
        }
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    /// The next word of the action; the condition is none.
    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek().filter(|w| !matches!(*w, "if" | "unless"))?;
        self.at += 1;
        Some(word)
    }

    /// The next word if it is that one.
    fn skip(&mut self, wanted: &str) -> bool {
        let is = self.peek() == Some(wanted);
        self.at += usize::from(is);
        is
    }

    fn expect<const N: usize>(&mut self, text: &str) -> Result<[&'a str; N], ParseError> {
        let mut words = [""; N];
        for word in &mut words {
            *word = self.next().ok_or_else(|| ParseError::new(text))?;
        }
        Ok(words)
    }

    fn format(&self, text: &str) -> Result<LogFormat, ParseError> {
        let format = self.cx.log_format(text)?;
        if let Some(needs) = format.needs().find(|needs| !self.offers(*needs)) {
            return Err(ParseError::new(format!(
                "sample fetch in <{text}> may not be reliably used here because it needs '{}' which is not available here",
                needs.describe()
            )));
        }
        Ok(format)
    }

    fn expr(&mut self) -> Result<Expr, ParseError> {
        let expr = self.cx.expr(self.words, &mut self.at)?;
        if !self.offers(expr.needs()) {
            return Err(ParseError::new(format!(
                "fetch method extracts information from '{}', none of which is available here",
                expr.needs().describe()
            )));
        }
        Ok(expr)
    }

    /// Whether rules of this set can have that.
    fn offers(&self, needs: Needs) -> bool {
        let request = matches!(self.set, RuleSet::TcpRequest | RuleSet::HttpRequest);
        let response =
            matches!(self.set, RuleSet::TcpResponse | RuleSet::HttpResponse | RuleSet::HttpAfterResponse);
        match needs {
            Needs::Nothing => true,
            Needs::RequestBuffer | Needs::RequestHeaders => request,
            Needs::Server | Needs::ResponseBuffer | Needs::Response | Needs::ResponseHeaders => response,
        }
    }

    /// What stands between the parentheses of the action's name.
    fn parentheses(&self) -> Result<&'a str, ParseError> {
        let name = self.name();
        let expects = "Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'";
        let Some(open) = name.find('(') else {
            return Err(ParseError::new(format!("invalid or incomplete action '{name}'. {expects}")));
        };
        name[open + 1..]
            .strip_suffix(')')
            .ok_or_else(|| ParseError::new(format!("incomplete argument after action '{name}'. {expects}")))
    }
}

// ---- actions ----

fn header(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let [name, value] = line.expect("expects exactly 2 arguments")?;
    check_header_name(name)?;
    let value = line.format(value)?;
    Ok(RuleAction::Header { name: name.as_bytes().into(), value, add: line.name() == "add-header" })
}

fn check_header_name(name: &str) -> Result<(), ParseError> {
    if crate::http::text::is_token(name.as_bytes()) {
        return Ok(());
    }
    Err(ParseError::new(format!("'{name}' is not a valid header name")))
}

fn del_header(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let [name] = line.expect("expects at least 1 argument")?;
    let text = || -> Box<[u8]> { name.as_bytes().into() };
    if !line.skip("-m") {
        return Ok(RuleAction::DelHeader(NameMatch::Exact(text())));
    }
    let [method] = line.expect("-m flag expects exactly 1 argument")?;
    let names = match method {
        "str" => NameMatch::Exact(text()),
        "beg" => NameMatch::Beg(text()),
        "end" => NameMatch::End(text()),
        "sub" => NameMatch::Sub(text()),
        "reg" => NameMatch::Reg(Pattern::new(name, true)?),
        other => return Err(ParseError::new(format!("-m with unsupported matching method '{other}'"))),
    };
    Ok(RuleAction::DelHeader(names))
}

fn replace_header(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let [name, regex, with] = line.expect("expects exactly 3 arguments")?;
    check_header_name(name)?;
    let (regex, with) = (Pattern::new(regex, false)?, line.format(with)?);
    Ok(RuleAction::ReplaceHeader {
        name: name.as_bytes().into(),
        regex,
        with,
        values: line.name() == "replace-value",
    })
}

fn target_part(name: &str) -> TargetPart {
    match name.split_once('-').map_or(name, |(_, part)| part) {
        "method" => TargetPart::Method,
        "path" => TargetPart::Path,
        "pathq" => TargetPart::PathQuery,
        "query" => TargetPart::Query,
        _ => TargetPart::Uri,
    }
}

fn set_target(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let [value] = line.expect("expects exactly 1 argument <format>")?;
    Ok(RuleAction::Target { part: target_part(line.name()), value: line.format(value)? })
}

fn replace_target(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let [regex, with] = line.expect("expects exactly 2 arguments <match-regex> and <replace-format>")?;
    let (regex, with) = (Pattern::new(regex, false)?, line.format(with)?);
    Ok(RuleAction::ReplaceTarget { part: target_part(line.name()), regex, with })
}

fn set_status(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let usage = "expects 1 argument: <status>; or 3 arguments: <status> reason <fmt>";
    let [code] = line.expect(usage)?;
    let status = code
        .parse()
        .ok()
        .filter(|code| (100..=999).contains(code))
        .ok_or_else(|| ParseError::new("expects an integer status code between 100 and 999"))?;
    let reason = if line.skip("reason") {
        let [text] = line.expect(usage)?;
        if !crate::http::text::is_reason(text.as_bytes()) {
            return Err(ParseError::new("the reason holds a control character"));
        }
        Some(text.as_bytes().into())
    } else {
        None
    };
    Ok(RuleAction::SetStatus { status, reason })
}

fn set_var(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let (name, conds) = parse_set(line.parentheses()?)?;
    if line.peek().is_none_or(|w| matches!(w, "if" | "unless")) {
        return Err(ParseError::new("missing fetch method"));
    }
    Ok(RuleAction::SetVar(name, conds, Box::new(line.expr()?)))
}

fn priority(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let name = line.name().to_owned();
    if line.peek().is_none_or(|w| matches!(w, "if" | "unless")) {
        return Err(ParseError::new("missing fetch method"));
    }
    let expr = Box::new(line.expr()?);
    Ok(if name == "set-priority-class" {
        RuleAction::SetPriorityClass(expr)
    } else {
        RuleAction::SetPriorityOffset(expr)
    })
}

fn set_var_fmt(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let (name, conds) = parse_set(line.parentheses()?)?;
    let [format] = line.expect("missing format string")?;
    Ok(RuleAction::SetVarFmt(name, conds, line.format(format)?))
}

fn unset_var(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    Ok(RuleAction::UnsetVar(VarName::parse(line.parentheses()?)?))
}

fn pattern_rule(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let action = line.bare_name();
    let name = line.name()[action.len()..].trim_start_matches('(');
    let name = name.strip_suffix(')').unwrap_or(name);
    let (key, value) = if action == "set-map" {
        let [key, value] = line.expect("expects exactly 2 arguments")?;
        (key, Some(line.format(value)?))
    } else {
        let [key] = line.expect("expects exactly 1 arguments")?;
        (key, None)
    };
    Ok(RuleAction::Pattern(Box::new(PatternRule::new(action, name, line.format(key)?, value))))
}

fn track(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let name = line.name();
    if line.peek().is_none_or(|w| matches!(w, "if" | "unless")) {
        return Err(ParseError::new("missing fetch method"));
    }
    let key = line.expr()?;
    let table = if line.skip("table") {
        let [table] = line.expect("missing table name")?;
        Some(table)
    } else {
        None
    };
    let number = usize::from(name.as_bytes()[name.len() - 1] - b'0');
    let table = line.cx.registry.tables.refer(table, name);
    Ok(RuleAction::Track(Box::new(TrackRule { number, key, table })))
}

fn counter(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    use DataType::{Gpc, Gpc0, Gpc0Rate, Gpc1, Gpc1Rate, GpcRate, Gpt, Gpt0};
    let action = line.bare_name();
    let (kinds, set): (&'static [DataType], bool) = match action {
        "sc-inc-gpc" | "sc-add-gpc" => (&[Gpc, GpcRate], false),
        "sc-inc-gpc0" => (&[Gpc0, Gpc0Rate], false),
        "sc-inc-gpc1" => (&[Gpc1, Gpc1Rate], false),
        "sc-set-gpt" => (&[Gpt], true),
        _ => (&[Gpt0], true),
    };
    let (index, tracked) = counter_ids(line)?;
    let amount = match action {
        "sc-add-gpc" | "sc-set-gpt" | "sc-set-gpt0" => {
            let word = line.peek().filter(|w| !matches!(*w, "if" | "unless"));
            let word = word.ok_or_else(|| ParseError::new("expects an integer or an expression"))?;
            match word.parse::<u32>() {
                Ok(number) => {
                    line.at += 1;
                    Amount::Number(number.into())
                }
                Err(_) => Amount::Expr(Box::new(line.expr()?)),
            }
        }
        _ => Amount::Number(1),
    };
    Ok(RuleAction::Counter(Box::new(CounterRule { tracked, kinds, index, amount, set })))
}

/// `(INDEX,TRACKED)` or `(TRACKED)` behind the action's name.
fn counter_ids(line: &RuleLine<'_, '_, '_>) -> Result<(usize, usize), ParseError> {
    let (name, action) = (line.name(), line.bare_name());
    let within = name[action.len()..].trim_start_matches('(');
    let mut numbers = within.strip_suffix(')').unwrap_or(within).split(',').map(str::trim);
    let indexed = matches!(action, "sc-inc-gpc" | "sc-add-gpc" | "sc-set-gpt");
    let missing = || {
        let id = if action == "sc-set-gpt" { "gpt" } else { "gpc" };
        let shown = id.to_uppercase();
        ParseError::new(format!("Missing {id} ID '{name}'. Expects {action}(<{shown} ID>,<Track ID>)"))
    };
    let mut index = 0;
    if indexed {
        let text = numbers.next().unwrap_or_default();
        index = text.parse().ok().filter(|index| *index < COUNTERS_MAX).ok_or_else(missing)?;
    }
    let tracked = match numbers.next().filter(|text| !text.is_empty()) {
        None if indexed => return Err(missing()),
        None => 0,
        Some(text) => text.parse().map_err(|_| ParseError::new("invalid stick table track ID"))?,
    };
    if tracked >= TRACKED_MAX {
        let max = TRACKED_MAX - 1;
        return Err(ParseError::new(format!("invalid stick table track ID. The max allowed ID is {max}")));
    }
    Ok((index, tracked))
}

/// Elements of an array of counters.
const COUNTERS_MAX: usize = 100;

fn log_level(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let usage = "expects exactly 1 argument (log level name or 'silent')";
    let [name] = line.expect(usage)?;
    match (name, Level::from_name(name)) {
        ("silent", _) => Ok(RuleAction::SetLogLevel(LevelOverride::Silent)),
        (_, Some(level)) => Ok(RuleAction::SetLogLevel(LevelOverride::Level(level))),
        _ => Err(ParseError::new(usage)),
    }
}

fn use_service(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let [name] = line.expect("'use-service' expects a service name.")?;
    let service = line
        .cx
        .registry
        .services
        .get(name)
        .ok_or_else(|| ParseError::new(format!("'{name}' unknown service name.")))?;
    if service.is_http() != line.set.is_http() {
        let (is, wants) = if service.is_http() { ("an HTTP", "a TCP") } else { ("a TCP", "an HTTP") };
        return Err(ParseError::new(format!("'{name}' is {is} service, {wants} one is expected here")));
    }
    if line.cx.mode == Mode::Tcp && service.is_http() {
        return Err(ParseError::new(format!("HTTP service '{name}' needs 'mode http'")));
    }
    Ok(RuleAction::UseService(Arc::clone(service)))
}

fn redirect(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let mut target: Option<(RedirectTo, &str)> = None;
    let mut redirect = Redirect {
        to: RedirectTo::Location,
        target: line.format("")?,
        code: 302,
        drop_query: false,
        append_slash: false,
        ignore_empty: false,
        cookie: None,
    };
    while let Some(word) = line.next() {
        let mut operand = || {
            let missing = || ParseError::new(format!("missing argument for '{word}'"));
            line.next().filter(|text| !text.is_empty()).ok_or_else(missing)
        };
        match word {
            "location" => target = Some((RedirectTo::Location, operand()?)),
            "prefix" => target = Some((RedirectTo::Prefix, operand()?)),
            "scheme" => target = Some((RedirectTo::Scheme, operand()?)),
            "code" => redirect.code = redirect_code(operand()?)?,
            "set-cookie" => redirect.cookie = Some(cookie(operand()?, "")?),
            "clear-cookie" => redirect.cookie = Some(cookie(operand()?, " Max-Age=0;")?),
            "drop-query" => redirect.drop_query = true,
            "append-slash" => redirect.append_slash = true,
            "ignore-empty" => redirect.ignore_empty = true,
            other => {
                return Err(ParseError::at(
                    line.at - 1,
                    format!(
                        "expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', 'clear-cookie', \
                         'drop-query', 'ignore-empty' or 'append-slash' (was '{other}')"
                    ),
                ));
            }
        }
    }
    let Some((to, text)) = target else {
        return Err(ParseError::new("redirection type expected ('prefix', 'location', or 'scheme')"));
    };
    if line.set == RuleSet::HttpResponse && to != RedirectTo::Location {
        return Err(ParseError::new("response only supports redirect type 'location'"));
    }
    redirect.to = to;
    redirect.target = line.format(text)?;
    Ok(RuleAction::Redirect(Box::new(redirect)))
}

fn redirect_code(text: &str) -> Result<u16, ParseError> {
    text.parse().ok().filter(|code| matches!(code, 301 | 302 | 303 | 307 | 308)).ok_or_else(|| {
        ParseError::new(format!(
            "'code': unsupported HTTP code '{text}' (must be one of 301, 302, 303, 307 or 308)"
        ))
    })
}

fn cookie(pair: &str, rest: &str) -> Result<Box<str>, ParseError> {
    let line = format!("{pair}; path=/;{rest}");
    if !crate::http::text::is_value(line.as_bytes()) {
        return Err(ParseError::new("a cookie may not hold CR, LF or NUL"));
    }
    Ok(line.into())
}

// ---- the table ----

/// The sets that know an action, a bit each.
#[derive(Clone, Copy)]
struct Sets(u8);

impl Sets {
    const fn of(set: RuleSet) -> u8 {
        1 << set as u8
    }

    fn contains(self, set: RuleSet) -> bool {
        self.0 & Self::of(set) != 0
    }
}

struct Row {
    name: &'static str,
    /// As lists of names show it.
    shown: &'static str,
    sets: Sets,
    read: Read,
}

const fn row(name: &'static str, shown: &'static str, sets: u8, read: Read) -> Row {
    Row { name, shown, sets: Sets(sets), read }
}

const REQ: u8 = Sets::of(RuleSet::HttpRequest);
const RES: u8 = Sets::of(RuleSet::HttpResponse);
const AFTER: u8 = Sets::of(RuleSet::HttpAfterResponse);
const HTTP: u8 = REQ | RES | AFTER;
const EARLY: u8 = Sets::of(RuleSet::TcpConnection) | Sets::of(RuleSet::TcpSession);
const CONTENT: u8 = Sets::of(RuleSet::TcpRequest) | Sets::of(RuleSet::TcpResponse);
const TCP: u8 = EARLY | CONTENT;
const TRACK: u8 = EARLY | Sets::of(RuleSet::TcpRequest) | REQ | RES;

/// Every built-in action. Source: the matrix of configuration.txt 4.3.
const ACTIONS: &[Row] = &[
    row("accept", "accept", TCP, |_| Ok(RuleAction::Stop)),
    row("reject", "reject", TCP | REQ, |_| Ok(RuleAction::Close { silent: false })),
    row("close", "close", Sets::of(RuleSet::TcpResponse), |_| Ok(RuleAction::Close { silent: false })),
    row("silent-drop", "silent-drop", TCP | REQ | RES, |_| Ok(RuleAction::Close { silent: true })),
    row("add-acl", "add-acl(*)", REQ | RES, pattern_rule),
    row("add-header", "add-header", HTTP, header),
    row("allow", "allow", HTTP, |_| Ok(RuleAction::Stop)),
    row("del-acl", "del-acl(*)", REQ | RES, pattern_rule),
    row("del-header", "del-header", HTTP, del_header),
    row("del-map", "del-map(*)", HTTP, pattern_rule),
    row("deny", "deny", REQ | RES, reply),
    row("do-log", "do-log", HTTP | CONTENT, |_| Ok(RuleAction::DoLog)),
    row("redirect", "redirect", REQ | RES, redirect),
    row("replace-header", "replace-header", HTTP, replace_header),
    row("replace-path", "replace-path", REQ, replace_target),
    row("replace-pathq", "replace-pathq", REQ, replace_target),
    row("replace-uri", "replace-uri", REQ, replace_target),
    row("replace-value", "replace-value", HTTP, replace_header),
    row("return", "return", REQ | RES, reply),
    row("sc-add-gpc", "sc-add-gpc(*)", TCP | HTTP, counter),
    row("sc-inc-gpc", "sc-inc-gpc(*)", TCP | HTTP, counter),
    row("sc-inc-gpc0", "sc-inc-gpc0(*)", TCP | HTTP, counter),
    row("sc-inc-gpc1", "sc-inc-gpc1(*)", TCP | HTTP, counter),
    row("sc-set-gpt", "sc-set-gpt(*)", TCP | HTTP, counter),
    row("sc-set-gpt0", "sc-set-gpt0(*)", TCP | HTTP, counter),
    row("set-header", "set-header", HTTP, header),
    row("set-log-level", "set-log-level", HTTP | CONTENT, log_level),
    row("set-map", "set-map(*)", HTTP, pattern_rule),
    row("set-method", "set-method", REQ, set_target),
    row("set-path", "set-path", REQ, set_target),
    row("set-pathq", "set-pathq", REQ, set_target),
    row("set-priority-class", "set-priority-class", REQ | Sets::of(RuleSet::TcpRequest), priority),
    row("set-priority-offset", "set-priority-offset", REQ | Sets::of(RuleSet::TcpRequest), priority),
    row("set-query", "set-query", REQ, set_target),
    row("set-status", "set-status", RES | AFTER, set_status),
    row("set-uri", "set-uri", REQ, set_target),
    row("set-var", "set-var(*)", TCP | HTTP, set_var),
    row("set-var-fmt", "set-var-fmt(*)", TCP | HTTP, set_var_fmt),
    row("tarpit", "tarpit", REQ, reply),
    row("track-sc0", "track-sc0", TRACK, track),
    row("track-sc1", "track-sc1", TRACK, track),
    row("track-sc2", "track-sc2", TRACK, track),
    row("unset-var", "unset-var(*)", TCP | HTTP, unset_var),
    row("use-service", "use-service", REQ | Sets::of(RuleSet::TcpRequest), use_service),
];

/// Actions that HAProxy has and this does not, yet.
const KNOWN_ELSEWHERE: &[&str] = &[
    "add-headers-bin",
    "attach-srv",
    "auth",
    "cache-store",
    "cache-use",
    "capture",
    "del-headers-bin",
    "disable-l7-retry",
    "do-resolve",
    "early-hint",
    "expect-netscaler-cip",
    "expect-proxy",
    "normalize-uri",
    "pause",
    "set-bandwidth-limit",
    "set-bc-mark",
    "set-bc-tos",
    "set-dst",
    "set-dst-port",
    "set-fc-mark",
    "set-fc-tos",
    "set-headers-bin",
    "set-mark",
    "set-nice",
    "set-retries",
    "set-src",
    "set-src-port",
    "set-timeout",
    "set-tos",
    "strict-mode",
    "switch-mode",
    "wait-for-body",
    "wait-for-handshake",
];
