//! The keywords of `defaults`, `frontend`, `backend` and `listen`.
//!
//! Source: configuration.txt section 4.

use super::{
    ParseError, Resolve, balance, bind, check,
    draft::{Draft, LogLine, Section, TrafficLog},
    error_pages, known, log, mailers, number, options, rule, server, stick_table, switching, timeout, words,
};
use crate::{
    config::{HttpReuse, Mode, Place},
    registry::{ParseContext, Registry},
    sample::logformat::LogFormat,
};

/// One line of a section and all that it may change.
pub(super) struct ProxyLine<'a> {
    pub(super) words: &'a [&'a str],
    pub(super) draft: &'a mut Draft,
    pub(super) registry: &'a Registry,
    /// `tune.bufsize` so far.
    pub(super) bufsize: usize,
    pub(super) place: &'a Place,
    pub(super) warnings: &'a mut Vec<String>,
    pub(super) resolve: &'a dyn Resolve,
    /// `no` or `default` stood in front.
    pub(super) negated: bool,
}

impl ProxyLine<'_> {
    /// What those who compile expressions, conditions and rules need.
    pub(super) fn context(&mut self) -> ParseContext<'_> {
        ParseContext {
            registry: self.registry,
            bufsize: self.bufsize,
            acls: &self.draft.acls,
            proxy: &self.draft.name,
            capabilities: self.draft.capabilities(),
            mode: self.draft.settings.mode,
            place: self.place,
            warnings: self.warnings,
        }
    }

    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Says that a keyword does nothing here, if so.
    pub(super) fn warn_without(&mut self, side: Side, name: &str) {
        let (missing, word) = match side {
            Side::Front => (!self.draft.section.frontend(), "frontend"),
            Side::Back | Side::BackOnly => (!self.draft.section.backend(), "backend"),
            Side::Any => (false, ""),
        };
        if missing {
            let hint = match name {
                "maxconn" => " Maybe you want 'fullconn' instead ?",
                "fullconn" => " Maybe you want 'maxconn' instead ?",
                _ => "",
            };
            let title = self.draft.title();
            self.warn(format!("'{name}' ignored because {title} has no {word} capability.{hint}"));
        }
    }
}

/// Handles one line.
pub(super) fn line(mut line: ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words[0];
    let section = line.draft.section;
    let Some(keyword) = KEYWORDS.iter().find(|k| k.name == name) else {
        return Err(ParseError::at(0, unknown(name, section)));
    };
    if section == Section::Defaults {
        match keyword.defaults {
            Defaults::Yes => {}
            Defaults::Named if !line.draft.name.is_empty() => {}
            Defaults::Named => {
                let text = format!("'{name}' not allowed in anonymous 'defaults' section.");
                return Err(ParseError::at(0, text));
            }
            Defaults::No => {
                return Err(ParseError::at(0, format!("'{name}' not allowed in 'defaults' section.")));
            }
        }
    }
    if keyword.side == Side::BackOnly && !section.backend() {
        let title = line.draft.title();
        let text = format!("'{name}' not allowed because {title} has no backend capability.");
        return Err(ParseError::at(0, text));
    }
    line.warn_without(keyword.side, name);
    (keyword.parse)(&mut line)
}

struct Keyword {
    name: &'static str,
    defaults: Defaults,
    side: Side,
    parse: fn(&mut ProxyLine<'_>) -> Result<(), ParseError>,
}

/// Whether a keyword may stand in `defaults`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Defaults {
    Yes,
    /// Only in those with a name.
    Named,
    No,
}

/// Which side of a proxy a keyword is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Any,
    /// Does nothing without a frontend.
    Front,
    /// Does nothing without a backend.
    Back,
    /// Refused without a backend.
    BackOnly,
}

const fn keyword(
    name: &'static str,
    defaults: Defaults,
    side: Side,
    parse: fn(&mut ProxyLine<'_>) -> Result<(), ParseError>,
) -> Keyword {
    Keyword { name, defaults, side, parse }
}

const KEYWORDS: &[Keyword] = &[
    keyword("acl", Defaults::Named, Side::Any, rule::acl),
    keyword("backlog", Defaults::Yes, Side::Front, backlog),
    keyword("balance", Defaults::Yes, Side::Back, balance::balance),
    keyword("bind", Defaults::No, Side::Front, bind::bind),
    keyword("clitimeout", Defaults::Yes, Side::Any, timeout::retired),
    keyword("contimeout", Defaults::Yes, Side::Any, timeout::retired),
    keyword("default-server", Defaults::Yes, Side::BackOnly, server::default_server),
    keyword("default_backend", Defaults::Yes, Side::Front, switching::default_backend),
    keyword("description", Defaults::No, Side::Any, description),
    keyword("disabled", Defaults::Yes, Side::Any, |l| switch(l, true)),
    keyword("email-alert", Defaults::Yes, Side::Any, mailers::email_alert),
    keyword("enabled", Defaults::Yes, Side::Any, |l| switch(l, false)),
    keyword("errorfile", Defaults::Yes, Side::Any, error_pages::errorfile),
    keyword("errorfiles", Defaults::Yes, Side::Any, error_pages::errorfiles),
    keyword("errorloc", Defaults::Yes, Side::Any, error_pages::errorloc),
    keyword("errorloc302", Defaults::Yes, Side::Any, error_pages::errorloc),
    keyword("errorloc303", Defaults::Yes, Side::Any, error_pages::errorloc),
    keyword("filter", Defaults::No, Side::Any, rule::filter),
    keyword("fullconn", Defaults::Yes, Side::Back, fullconn),
    keyword("http-after-response", Defaults::Named, Side::Any, rule::http_after_response),
    keyword("http-check", Defaults::Yes, Side::Back, check::http_check),
    keyword("http-error", Defaults::Yes, Side::Any, error_pages::http_error),
    keyword("http-request", Defaults::Named, Side::Any, rule::http_request),
    keyword("http-response", Defaults::Named, Side::Any, rule::http_response),
    keyword("http-reuse", Defaults::Yes, Side::Back, http_reuse),
    keyword("id", Defaults::No, Side::Any, id),
    keyword("log", Defaults::Yes, Side::Any, log_line),
    keyword("log-format", Defaults::Yes, Side::Any, log_format),
    keyword("log-tag", Defaults::Yes, Side::Any, log_tag),
    keyword("maxconn", Defaults::Yes, Side::Front, maxconn),
    keyword("mode", Defaults::Yes, Side::Any, mode),
    keyword("monitor", Defaults::No, Side::Front, monitor),
    keyword("monitor-uri", Defaults::Yes, Side::Front, monitor_uri),
    keyword("option", Defaults::Yes, Side::Any, options::option),
    keyword("retries", Defaults::Yes, Side::Back, retries),
    keyword("server", Defaults::No, Side::BackOnly, server::server),
    keyword("source", Defaults::Yes, Side::Back, server::source),
    keyword("srvtimeout", Defaults::Yes, Side::Any, timeout::retired),
    keyword("stick-table", Defaults::No, Side::Any, stick_table::stick_table),
    keyword("tcp-check", Defaults::Yes, Side::Back, check::tcp_check),
    keyword("tcp-request", Defaults::Named, Side::Any, rule::tcp_request),
    keyword("tcp-response", Defaults::Named, Side::Back, rule::tcp_response),
    keyword("timeout", Defaults::Yes, Side::Any, timeout::timeout),
    keyword("use_backend", Defaults::No, Side::Front, switching::use_backend),
];

/// What may begin a section here.
const SECTIONS: [&str; 6] = ["global", "defaults", "frontend", "backend", "listen", "mailers"];

fn unknown(name: &str, section: Section) -> String {
    let ours = KEYWORDS.iter().filter(|k| section != Section::Defaults || k.defaults != Defaults::No);
    let role = format!(" in '{}' section", section.name());
    // A section's name misspelt stands in the section before it.
    let ours = ours.map(|k| k.name).chain(SECTIONS);
    words::unknown(name, ours, known::words(known::PROXY), &role)
}

fn mode(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words.get(1).copied().unwrap_or_default();
    let mode = match name {
        "tcp" => Mode::Tcp,
        "http" => Mode::Http,
        "spop" if line.draft.section != Section::Frontend && line.draft.section != Section::Listen => {
            Mode::Spop
        }
        "spop" => {
            let title = line.draft.title();
            return Err(ParseError::at(1, format!("mode 'spop' is only for backends, {title} is none.")));
        }
        "log" | "haterm" | "health" => {
            return Err(ParseError::at(1, format!("proxy mode '{name}' is not supported yet.")));
        }
        _ => {
            return Err(ParseError::at(line.words.len().min(2) - 1, format!("unknown proxy mode '{name}'.")));
        }
    };
    words::at_most(line.words, 1)?;
    line.draft.settings.mode = mode;
    Ok(())
}

fn switch(line: &mut ProxyLine<'_>, disabled: bool) -> Result<(), ParseError> {
    words::at_most(line.words, 0)?;
    line.draft.settings.disabled = disabled;
    Ok(())
}

fn maxconn(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    line.draft.settings.maxconn = words::number(line.words, "'maxconn' expects an integer argument.")?;
    Ok(())
}

fn backlog(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let value = words::number(line.words, "'backlog' expects an integer argument.")?;
    line.draft.settings.backlog = u32::try_from(value).unwrap_or(u32::MAX);
    Ok(())
}

fn fullconn(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    line.draft.settings.fullconn = words::number(line.words, "'fullconn' expects an integer argument.")?;
    Ok(())
}

fn retries(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let value =
        words::number(line.words, "'retries' expects an integer argument (dispatch counts for one).")?;
    line.draft.settings.retries = u32::try_from(value).unwrap_or(u32::MAX);
    Ok(())
}

fn description(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    words::word(line.words, 1, "'description' expects a string argument.")?;
    line.draft.settings.description = Some(line.words[1..].join(" "));
    Ok(())
}

fn log_tag(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let tag = words::word(line.words, 1, "'log-tag' expects a tag for use in syslog.")?;
    words::at_most(line.words, 1)?;
    line.draft.settings.log_tag = Some(tag.to_owned());
    Ok(())
}

fn log_line(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    if line.negated {
        if line.words.len() > 1 {
            return Err(ParseError::at(1, "log : 'no log' does not expect arguments"));
        }
        line.draft.settings.logs.clear();
        return Ok(());
    }
    let log = match line.words {
        [_, "global"] => LogLine::Global,
        _ => LogLine::Own(log::target(line.words, line.resolve)?),
    };
    line.draft.settings.logs.push(log);
    Ok(())
}

fn log_format(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let text = words::word(line.words, 1, "log-format expects an argument.")?;
    if line.words.len() > 2 {
        let text = "log-format expects only one argument, don't forget to escape spaces!";
        return Err(ParseError::at(2, text));
    }
    let format = LogFormat::parse(text, line.registry)
        .map_err(|e| ParseError::at(1, format!("failed to parse log-format : {e}")))?;
    options::traffic(line, TrafficLog::Custom(format, line.place.clone()));
    Ok(())
}

fn monitor(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    if line.words.get(1) != Some(&"fail") {
        return Err(ParseError::at(line.words.len().min(2) - 1, "'monitor' only supports 'fail'."));
    }
    let rest = &line.words[2..];
    if !matches!(rest, ["if" | "unless", _, ..]) {
        let text = "'monitor fail' requires either 'if' or 'unless' followed by a condition.";
        return Err(ParseError::at(1, text));
    }
    let cond = line.context().cond(rest, None).map_err(|error| {
        let message = format!("error detected while parsing a 'monitor fail' condition : {error}.");
        ParseError { message, word: error.word }.shifted(2)
    })?;
    line.draft.monitor_fail.push(cond);
    Ok(())
}

fn monitor_uri(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let uri = words::word(line.words, 1, "'monitor-uri' expects an URI.")?;
    words::at_most(line.words, 1)?;
    line.draft.settings.monitor_uri = Some(uri.to_owned());
    Ok(())
}

fn http_reuse(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words.get(1).copied().unwrap_or_default();
    let reuse = match name {
        "never" => HttpReuse::Never,
        "safe" => HttpReuse::Safe,
        "aggressive" => HttpReuse::Aggressive,
        "always" => HttpReuse::Always,
        _ => {
            let text = "'http-reuse' only supports 'never', 'safe', 'aggressive', 'always'.";
            return Err(ParseError::at(line.words.len().min(2) - 1, text));
        }
    };
    words::at_most_behind(line.words, &format!("http-reuse {name}"), 2)?;
    line.draft.settings.options.http_reuse = reuse;
    Ok(())
}

fn id(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let text = words::word(line.words, 1, "'id' expects an integer argument.")?;
    let id = number::integer(text).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    line.draft.id = Some(id.ok_or_else(|| ParseError::at(1, "custom id has to be > 0."))?);
    words::at_most(line.words, 1)
}
