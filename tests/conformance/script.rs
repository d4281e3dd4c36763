//! The language of `case.txt`: lines of words.
//!
//! ```text
//! # A comment. Setup comes first: who is there beside the proxy.
//! listen fe
//! origin s1
//!
//! request GET /path          # a step, done by the client `c`
//!   host: example.org        # an indented line belongs to the step above it
//! @other request GET /slow   # the same, done by the client `other`
//! expect 200
//!   header server-name s1
//!   body has "text with\r\nescapes and \x00 bytes"
//! ```
//!
//! Words are separated by blanks. `"…"` keeps blanks together and knows `\r \n \t \0 \\ \" \xHH`; after it
//! `*N` repeats the text. `${name}` anywhere in a word is what the proxy's environment has under that name.

use std::collections::BTreeMap;

/// One step, with the lines that belong to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// Who does it.
    pub(crate) client: String,
    /// What to do; never empty.
    pub(crate) words: Vec<String>,
    /// The indented lines below.
    pub(crate) details: Vec<Vec<String>>,
}

/// Reads a whole file.
///
/// # Errors
/// The first malformed line, with its number.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let mut words = words(text).map_err(|what| format!("line {line}: {what}"))?;
        if words.is_empty() {
            continue;
        }
        if text.starts_with([' ', '\t']) {
            let step = steps.last_mut().ok_or_else(|| format!("line {line}: nothing above to belong to"))?;
            step.details.push(words);
            continue;
        }
        let client = match words[0].strip_prefix('@') {
            Some(name) => {
                let name = name.to_owned();
                words.remove(0);
                name
            }
            None => "c".to_owned(),
        };
        if words.is_empty() {
            return Err(format!("line {line}: a client and nothing to do"));
        }
        steps.push(Step { line, client, words, details: Vec::new() });
    }
    Ok(steps)
}

/// Puts the environment's values in place of `${name}`.
///
/// # Errors
/// A name that the environment does not have.
pub(crate) fn expand(word: &str, env: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("`${` without `}`")?;
        let value = env.get(name).ok_or_else(|| format!("nothing is called {name:?}"))?;
        out += before;
        out += value;
        rest = after;
    }
    Ok(out + rest)
}

fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some('"') => {
                chars.next();
                let text = quoted(&mut chars)?;
                let times = bare(&mut chars);
                words.push(text.repeat(repetitions(&times)?));
            }
            Some(_) => words.push(bare(&mut chars)),
        }
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn bare(chars: &mut Chars<'_>) -> String {
    let mut word = String::new();
    while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
        word.push(c);
    }
    word
}

fn quoted(chars: &mut Chars<'_>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match chars.next().ok_or("a quote is not closed")? {
            '"' => return Ok(text),
            '\\' => text.push(escaped(chars)?),
            c => text.push(c),
        }
    }
}

fn escaped(chars: &mut Chars<'_>) -> Result<char, String> {
    Ok(match chars.next().ok_or("a quote is not closed")? {
        'r' => '\r',
        'n' => '\n',
        't' => '\t',
        '0' => '\0',
        'x' => {
            let digits: String = chars.by_ref().take(2).collect();
            let byte = u8::from_str_radix(&digits, 16).map_err(|_| format!("`\\x{digits}` is no byte"))?;
            char::from(byte)
        }
        c @ ('\\' | '"') => c,
        c => return Err(format!("`\\{c}` means nothing")),
    })
}

fn repetitions(suffix: &str) -> Result<usize, String> {
    match suffix.strip_prefix('*') {
        Some(count) => count.parse().map_err(|_| format!("`*{count}` is no repetition")),
        None if suffix.is_empty() => Ok(1),
        None => Err(format!("{suffix:?} right after a quote")),
    }
}

#[cfg(test)]
mod tests {
    use super::{expand, parse};

    #[test]
    fn lines_become_steps_with_their_details() {
        let steps = parse("listen fe # here\n\n@x send \"a\\r\\n\\x41\\\"\"*2\n  host: y\n").unwrap();
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].line, steps[0].client.as_str()), (1, "c"));
        assert_eq!(steps[1].client, "x");
        assert_eq!(steps[1].words, ["send", "a\r\nA\"a\r\nA\""]);
        assert_eq!(steps[1].details, [["host:", "y"]]);
    }

    #[test]
    fn malformed_lines_are_named() {
        for (text, said) in [
            ("  host: x", "line 1: nothing above to belong to"),
            ("\n@x", "line 2: a client and nothing to do"),
            ("send \"abc", "line 1: a quote is not closed"),
            ("send \"\\q\"", "line 1: `\\q` means nothing"),
            ("send \"a\"b", "line 1: \"b\" right after a quote"),
        ] {
            assert_eq!(parse(text).unwrap_err(), said);
        }
    }

    #[test]
    fn names_are_replaced_by_the_environment() {
        let env = [("s1".to_owned(), "127.0.0.1:80".to_owned())].into();
        assert_eq!(expand("host=${s1}!", &env).unwrap(), "host=127.0.0.1:80!");
        assert!(expand("${s2}", &env).is_err());
        assert!(expand("${s1", &env).is_err());
    }
}
