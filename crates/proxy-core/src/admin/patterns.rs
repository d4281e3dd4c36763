//! Commands about maps and ACLs: `show`, `get`, `add`, `set`, `del`, `clear`, `prepare`, `commit`.
//!
//! As in HAProxy any level may use them.

use std::{fmt::Write as _, sync::Arc};

use super::{AdminContext, Answer};
use crate::{
    pattern_ref::{EditError, Found, Output, PatternList, PatternRef, Version, addr, int, split_line},
    sample::SampleRef,
};

/// What can be done with a map or an ACL.
pub(super) const VERBS: &[&str] = &["show", "get", "add", "set", "del", "clear", "prepare", "commit"];

/// Which of the two a command is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Map,
    Acl,
}

impl What {
    fn noun(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Acl => "ACL",
        }
    }

    fn holds(self, reference: &PatternRef) -> bool {
        match self {
            Self::Map => reference.is_map(),
            Self::Acl => reference.is_acl(),
        }
    }

    /// A reference by name or `#id`.
    fn find(self, name: Option<&&str>, cx: &AdminContext<'_>) -> Result<Arc<PatternRef>, Answer> {
        let patterns = &cx.shared.config.patterns;
        let found = name.and_then(|name| match name.strip_prefix('#') {
            Some(id) => patterns.by_id(id.parse().ok()?),
            None => patterns.find(name),
        });
        let noun = self.noun();
        found
            .filter(|reference| self.holds(reference))
            .ok_or_else(|| Answer::error(format!("Unknown {noun} identifier. Please use #<id> or <file>.")))
    }
}

/// Runs one of them.
pub(super) fn run(
    verb: &str,
    what: &str,
    words: &[&str],
    payload: Option<&str>,
    cx: &AdminContext<'_>,
) -> Answer {
    let what = if what == "map" { What::Map } else { What::Acl };
    let done = match verb {
        "show" => show(what, words, cx),
        "get" => get(what, words, cx),
        "add" => add(what, words, payload, cx),
        "set" => set(what, words, cx),
        "del" => del(what, words, cx),
        "clear" => clear(what, words, cx),
        "prepare" => what
            .find(words.first(), cx)
            .map(|reference| Answer::text(format!("New version created: {}\n", reference.prepare()))),
        _ => commit(what, words, cx),
    };
    done.unwrap_or_else(|refusal| refusal)
}

type Done = Result<Answer, Answer>;

/// `@VERSION` in front of the other words. What is no number counts as 0, as in HAProxy.
fn version<'a, 'w>(words: &'a [&'w str]) -> (Option<Version>, &'a [&'w str]) {
    match words.split_first().and_then(|(first, rest)| Some((first.strip_prefix('@')?, rest))) {
        Some((number, rest)) => {
            let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            (Some(number[..digits].parse().unwrap_or(0)), rest)
        }
        None => (None, words),
    }
}

fn show(what: What, words: &[&str], cx: &AdminContext<'_>) -> Done {
    if words.is_empty() {
        return Ok(overview(what, cx));
    }
    let (version, words) = version(words);
    let reference = what.find(words.first(), cx)?;
    let mut text = String::new();
    for entry in reference.entries(version, 0, usize::MAX) {
        let _ = write!(text, "{:#x} {}", entry.id, String::from_utf8_lossy(&entry.element.key));
        if let Some(value) = &entry.element.value {
            let _ = write!(text, " {}", String::from_utf8_lossy(value));
        }
        text.push('\n');
    }
    Ok(Answer::text(text))
}

fn overview(what: What, cx: &AdminContext<'_>) -> Answer {
    let mut text = "# id (file) description\n".to_owned();
    for reference in cx.shared.config.patterns.list().iter().filter(|r| what.holds(r)) {
        let (curr, next) = reference.versions();
        let _ = writeln!(
            text,
            "{} ({}) {}. curr_ver={curr} next_ver={next} entry_cnt={}",
            reference.number().unwrap_or_default(),
            reference.name.as_deref().unwrap_or_default(),
            reference.description(),
            reference.entry_count(),
        );
    }
    Answer::text(text)
}

fn get(what: What, words: &[&str], cx: &AdminContext<'_>) -> Done {
    let [_, value, ..] = words else {
        return Err(Answer::error(format!("Missing {} identifier and/or key.", what.noun())));
    };
    let reference = what.find(words.first(), cx)?;
    let value = SampleRef::Str(value.as_bytes());
    let lines = PatternList::all(&reference).into_iter().map(|list| {
        let case = if list.ignore_case() { "insensitive" } else { "sensitive" };
        let verdict = if what == What::Map { "found" } else { "match" };
        let name = if list.output() == Output::Expanded { "regm" } else { list.method().name() };
        let line = format!("type={name}, case={case}, {verdict}=");
        match list.find(value) {
            Some(found) => line + &format!("yes, {}\n", describe(what, &list, &found, value)),
            None => line + "no\n",
        }
    });
    Ok(Answer::text(lines.collect::<String>()))
}

fn describe(what: What, list: &PatternList, found: &Found, value: SampleRef<'_>) -> String {
    let index = if list.is_tree() { "tree" } else { "list" };
    let key = String::from_utf8_lossy(&found.element.key);
    if what == What::Acl {
        return format!("idx={index}, pattern=\"{key}\"");
    }
    let text = list.text(value).unwrap_or_default();
    let shown = String::from_utf8_lossy(&text);
    let kind = match list.output() {
        Output::None => return format!("idx={index}, key=\"{key}\", value=none"),
        Output::Int if int(&text).is_some() => "sint",
        Output::Ip => match addr(&text) {
            Some(std::net::IpAddr::V6(_)) => "ipv6",
            _ => "ipv4",
        },
        _ => "str",
    };
    format!("idx={index}, key=\"{key}\", value=\"{shown}\", type=\"{kind}\"")
}

fn add(what: What, words: &[&str], payload: Option<&str>, cx: &AdminContext<'_>) -> Done {
    let (version, words) = version(words);
    let usage = match what {
        What::Map => {
            "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload"
        }
        What::Acl => "'add acl' expects two parameters: ACL identifier and pattern.",
    };
    let usage = || Answer::error(usage);
    match (what, payload, words) {
        (What::Acl, _, [_, key, ..]) => {
            let reference = what.find(words.first(), cx)?;
            if reference.is_map() {
                return Err(Answer::error(
                    "This ACL is shared with a map containing samples. You must use the command 'add map' to add values.",
                ));
            }
            reference.add(version, key.as_bytes(), None).map_err(refuse)?;
        }
        (What::Map, Some(payload), [_]) => {
            let reference = what.find(words.first(), cx)?;
            for line in payload.lines() {
                add_line(&reference, version, line)?;
            }
        }
        (What::Map, None, [_, key, value, ..]) => {
            let reference = what.find(words.first(), cx)?;
            reference.add(version, key.as_bytes(), Some(value.as_bytes())).map_err(refuse)?;
        }
        _ => return Err(usage()),
    }
    Ok(Answer::done())
}

/// A line of a payload: `key value`.
fn add_line(reference: &PatternRef, version: Option<Version>, line: &str) -> Result<(), Answer> {
    let line = line.trim_matches([' ', '\t', '\r']);
    if line.is_empty() {
        return Ok(());
    }
    let (key, value) = split_line(line.as_bytes());
    match value.filter(|value| !value.is_empty()) {
        Some(value) => reference.add(version, key, Some(value)).map_err(refuse),
        None => {
            let key = String::from_utf8_lossy(key);
            Err(Answer::error(format!("Missing value for key '{key}'.")))
        }
    }
}

fn set(what: What, words: &[&str], cx: &AdminContext<'_>) -> Done {
    if what == What::Acl {
        let words: Vec<&str> = ["set", "acl"].into_iter().chain(words.iter().copied()).collect();
        return Err(Answer { text: super::command::unknown(&words, cx.commands), failed: true });
    }
    let [_, key, value, ..] = words else {
        return Err(Answer::error("'set map' expects three parameters: map identifier, key and value."));
    };
    let reference = what.find(words.first(), cx)?;
    match key.strip_prefix('#') {
        Some(id) => entry_id(id)
            .ok_or(EditError::NotFound)
            .and_then(|id| reference.set_by_id(id, value.as_bytes()))
            .map_err(|error| match error {
                EditError::NotFound => Answer::error("key or pattern not found."),
                other => refuse(other),
            })?,
        None => reference.set(None, key.as_bytes(), value.as_bytes()).map_err(refuse)?,
    }
    Ok(Answer::done())
}

fn del(what: What, words: &[&str], cx: &AdminContext<'_>) -> Done {
    let [_, key, ..] = words else {
        let noun = what.noun();
        return Err(Answer::error(format!(
            "This command expects two parameters: {noun} identifier and key."
        )));
    };
    let reference = what.find(words.first(), cx)?;
    let removed = match key.strip_prefix('#') {
        Some(id) => entry_id(id).is_some_and(|id| reference.del_by_id(id)),
        None => reference.del(None, key.as_bytes()),
    };
    if removed { Ok(Answer::done()) } else { Err(Answer::error("Key not found.")) }
}

fn clear(what: What, words: &[&str], cx: &AdminContext<'_>) -> Done {
    let (version, words) = version(words);
    if words.is_empty() {
        return Err(Answer::error(format!("Missing {} identifier.", what.noun())));
    }
    what.find(words.first(), cx)?.clear(version);
    Ok(Answer::done())
}

fn commit(what: What, words: &[&str], cx: &AdminContext<'_>) -> Done {
    let (version, words) = version(words);
    let version = version.ok_or_else(|| Answer::error("Missing version number."))?;
    what.find(words.first(), cx)?.commit(version).map_err(refuse)?;
    Ok(Answer::done())
}

/// `0x…`, as `show` prints it.
fn entry_id(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

fn refuse(error: EditError) -> Answer {
    Answer::error(error.to_string())
}
