//! The lines that begin a proxy section, and what such a section takes over.

use super::{ParseError, draft::Section, server::is_name_char};

/// What the line of a proxy section says.
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) from: Option<&'a str>,
    /// Which word `from` stands for.
    pub(super) from_word: usize,
}

impl<'a> Header<'a> {
    pub(super) fn read(section: Section, words: &[&'a str]) -> Result<Self, ParseError> {
        let kind = section.name();
        let (name, at) = match words {
            [_, "from", ..] | [_] if section == Section::Defaults => ("", 1),
            [_, name, ..] if !name.is_empty() => (*name, 2),
            _ => return Err(ParseError::at(0, format!("'{kind}' expects an <id> argument"))),
        };
        // Names of defaults are only looked at where one is referenced.
        if section != Section::Defaults {
            check_name(kind, name)?;
        }
        let (from, extra) = match &words[at..] {
            [] => (None, None),
            ["from", from, rest @ ..] if !from.is_empty() => {
                (Some(*from), rest.first().map(|e| (at + 2, *e)))
            }
            ["from", ..] => return Err(ParseError::at(at, "'from' expects the name of a defaults section.")),
            [extra, ..] => (None, Some((at, *extra))),
        };
        match extra {
            Some((at, extra)) if section == Section::Listen && extra.contains(':') => {
                Err(ParseError::at(at, "please use the 'bind' keyword for listening addresses."))
            }
            Some((at, extra)) => {
                Err(ParseError::at(at, format!("'{kind}' cannot handle unexpected argument '{extra}'.")))
            }
            None => Ok(Self { name, from, from_word: at + 1 }),
        }
    }
}

/// Refuses the name of a section of that kind if it has other characters than names have.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), ParseError> {
    match name.chars().find(|c| !is_name_char(*c)) {
        Some(bad) => {
            let text = format!("character '{bad}' is not permitted in '{kind}' name '{name}'.");
            Err(ParseError::at(1, text))
        }
        None => Ok(()),
    }
}

/// The rules of a `defaults` that a section cannot take over, as messages call them.
pub(super) fn unfit(section: Section, words: &[String]) -> Option<&'static str> {
    let second = words.get(1).map_or("", String::as_str);
    match (words[0].as_str(), second) {
        ("tcp-response", _) if !section.backend() => Some("'tcp-response content'"),
        ("tcp-request", "connection" | "session") if !section.frontend() => {
            Some("'tcp-request connection' or 'tcp-request session'")
        }
        _ => None,
    }
}
