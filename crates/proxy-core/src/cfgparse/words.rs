//! What nearly every keyword asks of its words.

use super::{ParseError, number, suggest};

/// Refuses words behind the `max` arguments of `words[0]`.
pub(super) fn at_most(words: &[&str], max: usize) -> Result<(), ParseError> {
    at_most_behind(words, words[0], 1 + max)
}

/// Refuses words from index `len` on, naming the keyword as `name`.
pub(super) fn at_most_behind(words: &[&str], name: &str, len: usize) -> Result<(), ParseError> {
    match words.get(len) {
        Some(extra) => {
            Err(ParseError::at(len, format!("'{name}' cannot handle unexpected argument '{extra}'.")))
        }
        None => Ok(()),
    }
}

/// The word at `at`, or what is expected there.
pub(super) fn word<'a>(words: &[&'a str], at: usize, expected: &str) -> Result<&'a str, ParseError> {
    match words.get(at) {
        Some(word) if !word.is_empty() => Ok(word),
        _ => Err(ParseError::at(at.min(words.len().saturating_sub(1)), expected)),
    }
}

/// `KEYWORD NUMBER`.
pub(super) fn number(words: &[&str], expected: &str) -> Result<usize, ParseError> {
    let text = word(words, 1, expected)?;
    let value = number::count(text).ok_or_else(|| {
        let expected = expected.trim_end_matches('.');
        ParseError::at(1, format!("{expected} (got '{text}')."))
    })?;
    at_most(words, 1)?;
    Ok(value)
}

/// The text for a word that is not in a table: known to HAProxy, close to one of ours, or neither.
pub(super) fn unknown<'a>(
    word: &str,
    ours: impl IntoIterator<Item = &'a str>,
    haproxy: impl IntoIterator<Item = &'a str>,
    role: &str,
) -> String {
    let mut close = suggest::Closest::to(word);
    for known in haproxy {
        if known == word {
            return format!("'{word}' is a keyword of HAProxy that is not supported yet{role}");
        }
        close.consider(known);
    }
    for known in ours {
        close.consider(known);
    }
    let hint = close.found().map(|known| format!("; did you mean '{known}' maybe ?")).unwrap_or_default();
    format!("unknown keyword '{word}'{role}{hint}")
}
