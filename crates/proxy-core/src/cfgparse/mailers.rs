//! The section `mailers`, and the lines `email-alert` that refer to one.
//!
//! Nothing here sends mail: as in HAProxy, a script does, and reads these settings.
//!
//! Source: configuration.txt section 12.3, and `email-alert` in section 4.2.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Diagnostic, ParseError, Resolve,
    address::{self, Port, Wanted},
    draft::Draft,
    header::check_name,
    log,
    proxy::ProxyLine,
    time::{self, Unit},
    words,
};
use crate::config::{EmailAlert, Mailers, Place};

/// Begins a section.
pub(super) fn begin(words: &[&str], place: &Place, known: &[Mailers]) -> Result<Mailers, ParseError> {
    let name = words::word(words, 1, "missing name for mailers section.")?;
    check_name("mailers", name)?;
    words::at_most(words, 1)?;
    if let Some(other) = known.iter().find(|other| other.name == name) {
        let text = format!(
            "mailers section '{name}' has the same name as another mailers section declared at {}:{}.",
            other.place.file, other.place.line
        );
        return Err(ParseError::at(1, text));
    }
    Ok(Mailers { name: name.to_owned(), place: place.clone(), timeout: TIMEOUT, servers: Vec::new() })
}

/// `timeout mail`, unless it is given.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One line of it.
pub(super) fn line(mailers: &mut Mailers, words: &[&str], resolve: &dyn Resolve) -> Result<(), ParseError> {
    match words[0] {
        "mailer" => mailer(mailers, words, resolve),
        "timeout" => timeout(mailers, words),
        other => {
            let known = ["mailer", "timeout"].into_iter();
            let text = words::unknown(other, known, [], " in 'mailers' section");
            Err(ParseError::at(0, text))
        }
    }
}

fn mailer(mailers: &mut Mailers, words: &[&str], resolve: &dyn Resolve) -> Result<(), ParseError> {
    const EXPECTED: &str = "'mailer' expects <name> and <addr>[:<port>] as arguments.";
    let (name, text) = match words {
        [_, name, text] => (*name, *text),
        [_, _, _, extra, ..] => return Err(ParseError::at(3, format!("unexpected argument '{extra}'"))),
        _ => return Err(ParseError::at(words.len() - 1, EXPECTED)),
    };
    let wanted = Wanted { port: Port::Needed, fd: false, datagram: false, unix: true };
    address::parse(text, wanted, resolve)
        .map_err(|error| ParseError::at(2, format!("'mailer {name}' : {error}")))?;
    mailers.servers.push((name.to_owned(), text.to_owned()));
    Ok(())
}

fn timeout(mailers: &mut Mailers, words: &[&str]) -> Result<(), ParseError> {
    match words {
        [_, "mail", text] => {
            mailers.timeout = time::parse(text, Unit::Millis).map_err(|_| {
                ParseError::at(2, format!("unexpected value '{text}' in argument to <timeout mail>."))
            })?;
            Ok(())
        }
        [_, "mail"] => Err(ParseError::at(1, "'timeout mail' expects <time> as argument.")),
        [_, "mail", _, extra, ..] => Err(ParseError::at(3, format!("unexpected argument '{extra}'"))),
        [_, other, ..] => {
            let text = format!("'timeout' expects 'mail' and <time> as arguments got '{other}'.");
            Err(ParseError::at(1, text))
        }
        _ => Err(ParseError::at(0, "'timeout' expects 'mail' and <time> as arguments.")),
    }
}

/// `email-alert …` of a proxy.
pub(super) fn email_alert(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = words::word(line.words, 1, "missing argument after 'email-alert'.")?;
    let alert = &mut line.draft.settings.options.email_alert;
    let field = match name {
        "from" => &mut alert.from,
        "mailers" => &mut alert.mailers,
        "myhostname" => &mut alert.myhostname,
        "to" => &mut alert.to,
        "level" => {
            let text = words::word(line.words, 2, "'email-alert level' expects a level.")?;
            let unknown = || ParseError::at(2, format!("unknown log level '{text}' after 'level'"));
            alert.level = Some(log::level(text).ok_or_else(unknown)?);
            return words::at_most(line.words, 2);
        }
        other => return Err(ParseError::at(1, format!("email-alert: unknown argument '{other}'."))),
    };
    let value = words::word(line.words, 2, &format!("'email-alert {name}' expects an argument."))?;
    *field = Some(value.to_owned());
    words::at_most(line.words, 2)
}

/// Holds the lines of each proxy against the sections: says what is incomplete and drops it, and drops sections that
/// nobody uses.
pub(super) fn settle(
    drafts: &mut [Draft],
    sections: Vec<Mailers>,
    told: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Arc<Mailers>> {
    let mut used = BTreeMap::new();
    let mut sections: BTreeMap<String, Arc<Mailers>> =
        sections.into_iter().map(|section| (section.name.clone(), Arc::new(section))).collect();
    for draft in drafts {
        let title = draft.title();
        let alert = &mut draft.settings.options.email_alert;
        if *alert == EmailAlert::default() {
            continue;
        }
        match alert {
            EmailAlert { mailers: Some(name), from: Some(_), to: Some(_), .. } => match sections.get(name) {
                Some(section) => drop(used.insert(name.clone(), section.clone())),
                None => {
                    let text = format!("Proxy '{}': unable to find mailers '{name}'.", draft.name);
                    told.push(Diagnostic::alert(text));
                }
            },
            _ => {
                told.push(Diagnostic::warning(format!(
                    "'email-alert' will be ignored for {title} (the presence any of 'email-alert from', \
                     'email-alert level' 'email-alert mailers', 'email-alert myhostname', or 'email-alert to' \
                     requires each of 'email-alert from', 'email-alert mailers' and 'email-alert to' to be present)."
                )));
                *alert = EmailAlert::default();
            }
        }
    }
    sections.retain(|name, _| !used.contains_key(name));
    for name in sections.keys() {
        told.push(Diagnostic::warning(format!("Removing incomplete section 'mailers {name}'.")));
    }
    used
}
