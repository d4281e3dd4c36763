//! What rules do.

use std::sync::Arc;

use super::{
    Rule, RuleSet,
    counters::{CounterRule, TrackRule},
    patterns::PatternRule,
    redirect::Redirect,
    reply::ReplyTemplate,
    tarpit::Tarpit,
};
use crate::{
    action::{Action, ActionMaker, Verdict},
    applet::ServiceMaker,
    cfgparse::ParseError,
    http::{InvalidText, Message},
    log::{Level, LevelOverride},
    sample::{Pattern, conv::expand, expr::Expr, logformat::LogFormat},
    txn::{Direction, Txn},
    vars::{SetConds, VarName},
};

/// What a rule does. Built-in actions get variants of their own here.
#[non_exhaustive]
pub enum RuleAction {
    /// An action from outside.
    Custom(Arc<dyn ActionMaker>),
    /// `allow`, `accept`: no further rule of this set.
    Stop,
    /// `reject`, `silent-drop`, `close`: the connection ends without an answer.
    Close {
        /// `silent-drop`: the client is not told.
        silent: bool,
    },
    /// `set-header`, `add-header`.
    Header {
        /// Its name.
        name: Box<[u8]>,
        /// Its value.
        value: LogFormat,
        /// `add-header`: lines of that name stay.
        add: bool,
    },
    /// `del-header`.
    DelHeader(NameMatch),
    /// `replace-header`, `replace-value`.
    ReplaceHeader {
        /// Its name.
        name: Box<[u8]>,
        /// What a value must match.
        regex: Pattern,
        /// What replaces it, with back-references.
        with: LogFormat,
        /// `replace-value`: each value of a line by itself.
        values: bool,
    },
    /// `set-path`, `set-query`, … : a part of the request line.
    Target {
        /// Which part.
        part: TargetPart,
        /// What it becomes.
        value: LogFormat,
    },
    /// `replace-path`, `replace-pathq`, `replace-uri`.
    ReplaceTarget {
        /// Which part.
        part: TargetPart,
        /// What it must match.
        regex: Pattern,
        /// What replaces it, with back-references.
        with: LogFormat,
    },
    /// `set-status`.
    SetStatus {
        /// The code.
        status: u16,
        /// The phrase; `None` for the usual one.
        reason: Option<Box<[u8]>>,
    },
    /// `set-var(name[,cond…]) expression`.
    SetVar(VarName, SetConds, Box<Expr>),
    /// `set-var-fmt(name[,cond…]) format`.
    SetVarFmt(VarName, SetConds, LogFormat),
    /// `unset-var(name)`.
    UnsetVar(VarName),
    /// `set-priority-class expr`.
    SetPriorityClass(Box<Expr>),
    /// `set-priority-offset expr`.
    SetPriorityOffset(Box<Expr>),
    /// `return`, `deny`.
    Reply(Box<ReplyTemplate>),
    /// `tarpit`.
    Tarpit(Arc<ReplyTemplate>),
    /// `redirect`.
    Redirect(Box<Redirect>),
    /// `use-service`.
    UseService(Arc<dyn ServiceMaker>),
    /// `set-map`, `del-map`, `add-acl`, `del-acl`.
    Pattern(Box<PatternRule>),
    /// `track-sc0`, `track-sc1`, `track-sc2`.
    Track(Box<TrackRule>),
    /// `sc-inc-gpc`, `sc-set-gpt` and their kin.
    Counter(Box<CounterRule>),
    /// `set-log-level`.
    SetLogLevel(LevelOverride),
    /// `do-log`: a line now, beside the one at the end.
    DoLog,
}

/// A part of the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetPart {
    /// The method.
    Method,
    /// The path without the query.
    Path,
    /// The path with the query.
    PathQuery,
    /// What follows the question mark.
    Query,
    /// The whole target.
    Uri,
}

/// Which header names `del-header` means. Case does not count.
#[derive(Clone, Debug)]
pub enum NameMatch {
    /// This one.
    Exact(Box<[u8]>),
    /// Those that begin so.
    Beg(Box<[u8]>),
    /// Those that end so.
    End(Box<[u8]>),
    /// Those that contain it.
    Sub(Box<[u8]>),
    /// Those in which the expression finds something.
    Reg(Pattern),
}

impl NameMatch {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(text) => name.eq_ignore_ascii_case(text),
            Self::Beg(text) => name.get(..text.len()).is_some_and(|n| n.eq_ignore_ascii_case(text)),
            Self::End(text) => {
                name.len() >= text.len() && name[name.len() - text.len()..].eq_ignore_ascii_case(text)
            }
            Self::Sub(text) => {
                text.is_empty() || name.windows(text.len()).any(|n| n.eq_ignore_ascii_case(text))
            }
            Self::Reg(regex) => regex.0.is_match(name),
        }
    }
}

/// What comes of starting an action.
pub(super) enum Step {
    /// It is done.
    Done(Verdict),
    /// It takes its time.
    Run(Box<dyn Action>),
}

impl RuleAction {
    /// Does it, or starts it.
    pub(super) fn apply(&self, rule: &Rule, at: RuleSet, txn: &mut Txn) -> Step {
        let side = at.direction();
        let changed = match self {
            Self::Custom(maker) => {
                let worker = std::rc::Rc::clone(&txn.worker);
                return Step::Run(maker.start(&worker, at));
            }
            Self::Stop => return Step::Done(Verdict::Stop),
            Self::Close { silent } => {
                return Step::Done(if *silent { Verdict::Drop } else { Verdict::Close });
            }
            Self::Reply(template) => return Step::Done(template.answer(rule, side, txn)),
            Self::Tarpit(template) => {
                return Step::Run(Tarpit::start(Arc::clone(template), rule.place.clone(), txn));
            }
            Self::Redirect(redirect) => return Step::Done(redirect.answer(rule, side, txn)),
            Self::UseService(service) => {
                txn.service = Some(Arc::clone(service));
                return Step::Done(Verdict::Stop);
            }
            Self::Header { name, value, add } => header(txn, side, name, value, *add),
            Self::DelHeader(names) => {
                txn.message_mut(side).retain_headers(|name, _| !names.matches(name));
                Ok(())
            }
            Self::ReplaceHeader { name, regex, with, values } => {
                replace_header(txn, side, name, regex, with, *values)
            }
            Self::Target { part, value } => {
                rendered(value, txn, side).and_then(|new| part.set(&mut txn.req, &new))
            }
            Self::ReplaceTarget { part, regex, with } => replace_target(txn, side, *part, regex, with),
            Self::SetStatus { status, reason } => txn.res.set_status(*status, reason.as_deref()),
            Self::SetVar(name, conds, expr) => {
                if let Some(value) = expr.eval(txn, side) {
                    txn.set_var_if(name, *conds, value);
                }
                Ok(())
            }
            Self::SetVarFmt(name, conds, format) => {
                let mut text = Vec::new();
                format.render(txn, side, &mut text);
                txn.set_var_if(name, *conds, crate::sample::Sample::Str(text));
                Ok(())
            }
            Self::UnsetVar(name) => {
                txn.unset_var(name);
                Ok(())
            }
            Self::SetPriorityClass(expr) => {
                if let Some(class) = expr.eval(txn, side).and_then(|value| value.as_ref().int()) {
                    txn.priority.set_class(class);
                }
                Ok(())
            }
            Self::SetPriorityOffset(expr) => {
                if let Some(offset) = expr.eval(txn, side).and_then(|value| value.as_ref().int()) {
                    txn.priority.set_offset(offset);
                }
                Ok(())
            }
            Self::Track(rule) => {
                rule.apply(at, txn);
                Ok(())
            }
            Self::Counter(rule) => {
                rule.apply(side, txn);
                Ok(())
            }
            Self::Pattern(rule) => {
                rule.apply(txn, side);
                Ok(())
            }
            Self::SetLogLevel(level) => {
                txn.log.level = Some(*level);
                Ok(())
            }
            Self::DoLog => {
                crate::log::exchange::log_now(txn);
                Ok(())
            }
        };
        if changed.is_err() {
            complain(txn, rule, at.keyword());
        }
        Step::Done(Verdict::Continue)
    }
}

/// Says in the log that a rule was not applied, because of a text that would have changed where a
/// line or message ends.
pub(super) fn complain(txn: &Txn, rule: &Rule, what: &str) {
    let place = &rule.place;
    let line = format!(
        "Proxy {}: the {what} rule at {}:{} was not applied: its value may not stand in an HTTP message",
        txn.frontend.name, place.file, place.line
    );
    crate::log::send(&txn.worker, &txn.frontend.logs, Level::Warning, line.as_bytes());
}

/// The text of a format, unless a sample in it holds CR, LF or NUL.
pub(super) fn rendered(format: &LogFormat, txn: &mut Txn, side: Direction) -> Result<Vec<u8>, InvalidText> {
    let mut text = Vec::new();
    let tainted = format.render_checked(txn, side, &mut text);
    if tainted.0 { Err(InvalidText) } else { Ok(text) }
}

fn header(
    txn: &mut Txn,
    side: Direction,
    name: &[u8],
    value: &LogFormat,
    add: bool,
) -> Result<(), InvalidText> {
    let text = rendered(value, txn, side)?;
    let message = txn.message_mut(side);
    if add { message.add_header(name, &text) } else { message.set_header(name, &text) }
}

fn replace_header(
    txn: &mut Txn,
    side: Direction,
    name: &[u8],
    regex: &Pattern,
    with: &LogFormat,
    values: bool,
) -> Result<(), InvalidText> {
    if txn.message(side).header(name).is_none() {
        return Ok(());
    }
    let template = rendered(with, txn, side)?;
    let edit = |value: &[u8]| substitute(regex, &template, value);
    let message = txn.message_mut(side);
    let changed = if values { message.replace_value(name, edit) } else { message.replace_header(name, edit) };
    changed.map(|_| ())
}

/// `replace-header` and, with `each_value`, `replace-value`, for actions from outside: the regular
/// expression and the template with its `\\1` references are as rules spell them.
///
/// # Errors
/// The expression cannot be read, or a result has bytes that no header may have.
pub fn replace_in_headers(
    message: &mut Message,
    name: &[u8],
    regex: &str,
    template: &[u8],
    each_value: bool,
) -> Result<(), ParseError> {
    let regex = Pattern::new(regex, false)?;
    let edit = |value: &[u8]| substitute(&regex, template, value);
    let changed =
        if each_value { message.replace_value(name, edit) } else { message.replace_header(name, edit) };
    changed.map(drop).map_err(|error| ParseError::new(error.to_string()))
}

/// What replaces a text that matches.
fn substitute(regex: &Pattern, template: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let groups = regex.0.captures(text)?;
    let mut out = Vec::with_capacity(template.len() + text.len());
    expand(template, &groups, &mut out);
    Some(out)
}

fn replace_target(
    txn: &mut Txn,
    side: Direction,
    part: TargetPart,
    regex: &Pattern,
    with: &LogFormat,
) -> Result<(), InvalidText> {
    let template = rendered(with, txn, side)?;
    match substitute(regex, &template, part.of(&txn.req)) {
        Some(new) => part.set(&mut txn.req, &new),
        None => Ok(()),
    }
}

impl TargetPart {
    fn of(self, message: &Message) -> &[u8] {
        match self {
            Self::Method => message.method(),
            Self::Path => message.path(),
            Self::Query => message.query().unwrap_or_default(),
            Self::Uri => message.uri(),
            Self::PathQuery => {
                let (uri, path) = (message.uri(), message.path());
                if path.is_empty() { path } else { &uri[path.as_ptr() as usize - uri.as_ptr() as usize..] }
            }
        }
    }

    fn set(self, message: &mut Message, new: &[u8]) -> Result<(), InvalidText> {
        match self {
            Self::Method => message.set_method(new),
            Self::Path => message.set_path(new),
            Self::Query => message.set_query(new),
            Self::Uri => message.set_uri(new),
            Self::PathQuery => {
                let uri = message.uri();
                let kept = uri.len() - self.of(message).len();
                let start = if uri == b"*" || self.of(message).is_empty() { 0 } else { kept };
                let whole = [&uri[..start], new].concat();
                message.set_uri(&whole)
            }
        }
    }
}
