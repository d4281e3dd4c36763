//! Sample expressions: a fetch and its converters.
//!
//! ```text
//!   req.hdr(host,1),lower,field(1,:)
//!   └ fetch ┘└args┘ └─ converters ─┘
//! ```
//!
//! Arguments know two kinds of quotes and the backslash, a level below the quotes of the
//! configuration's words. Converters may also follow as words of their own.
//! Source: configuration.txt 2.2, 7.3.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Arg, Converter, Fetch, Needs, Sample, SampleRef, SampleType};
use crate::{
    cfgparse::ParseError,
    registry::Registry,
    txn::{Direction, Txn},
};

/// A compiled expression `fetch(args),conv(args),…`.
#[derive(Clone)]
pub struct Expr {
    fetch: (Arc<dyn Fetch>, Vec<Arg>),
    converters: Vec<(Arc<dyn Converter>, Vec<Arg>)>,
}

impl Expr {
    /// Compiles the expression that starts at `words[*at]`; moves `at` behind it.
    ///
    /// Words that follow and name a converter belong to it.
    ///
    /// # Errors
    /// An unknown name or wrong arguments, with the offending word.
    pub fn parse(words: &[&str], at: &mut usize, registry: &Registry) -> Result<Self, ParseError> {
        let word = words.get(*at).copied().unwrap_or_default();
        let locate = |e: ParseError| ParseError { word: e.word.or(Some(*at)), ..e };
        let (mut expr, end) = Self::parse_prefix(word, registry).map_err(locate)?;
        whole(word, end).map_err(locate)?;
        *at += 1;
        while let Some(next) =
            words.get(*at).filter(|next| registry.converters.contains_key(&next[..id_end(next)]))
        {
            let end =
                expr.parse_converters(next, 0, registry).map_err(|e| ParseError { word: Some(*at), ..e })?;
            whole(next, end).map_err(|e| ParseError { word: Some(*at), ..e })?;
            *at += 1;
        }
        Ok(expr)
    }

    /// Compiles the expression at the start of `text`; gives it and where it ends.
    ///
    /// # Errors
    /// An unknown name or wrong arguments.
    pub fn parse_prefix(text: &str, registry: &Registry) -> Result<(Self, usize), ParseError> {
        Self::parse_with(text, registry, &|name| registry.fetches.get(name).cloned())
    }

    /// As [`Expr::parse_prefix`], with the caller's way to find a fetch.
    pub(crate) fn parse_with(
        text: &str,
        registry: &Registry,
        find: &dyn Fn(&str) -> Option<Arc<dyn Fetch>>,
    ) -> Result<(Self, usize), ParseError> {
        let name_end = id_end(text);
        let name = &text[..name_end];
        if name.is_empty() {
            return Err(ParseError::new("missing fetch method"));
        }
        let fetch = find(name).ok_or_else(|| ParseError::new(format!("unknown fetch method '{name}'")))?;
        let (raw, end) = split_args(text, name_end)
            .ok_or_else(|| ParseError::new(format!("fetch method '{name}' : expected ')'")))?;
        let args = fetch.args(&refs(&raw))?;
        let mut expr = Self { fetch: (fetch, args), converters: Vec::new() };
        let end =
            if text[end..].starts_with(',') { expr.parse_converters(text, end, registry)? } else { end };
        Ok((expr, end))
    }

    /// Compiles the converters at `text[at..]`, with or without a comma before the first.
    fn parse_converters(
        &mut self,
        text: &str,
        mut at: usize,
        registry: &Registry,
    ) -> Result<usize, ParseError> {
        loop {
            while text[at..].starts_with(',') {
                at += 1;
            }
            let name_end = at + id_end(&text[at..]);
            let name = &text[at..name_end];
            if name.is_empty() {
                let rest = &text[at..];
                return if rest.is_empty() || rest.starts_with(']') {
                    Ok(at)
                } else {
                    Err(ParseError::new("unknown converter ''"))
                };
            }
            let converter = registry
                .converters
                .get(name)
                .ok_or_else(|| ParseError::new(format!("unknown converter '{name}'")))?;
            let (raw, end) = split_args(text, name_end).ok_or_else(|| {
                ParseError::new(format!("invalid arg 1 in converter '{name}' : expected ')'"))
            })?;
            if !self.output().casts_to(converter.input()) {
                return Err(ParseError::new(format!("converter '{name}' cannot be applied")));
            }
            let args = converter.args(&refs(&raw))?;
            self.converters.push((Arc::clone(converter), args));
            at = end;
            if !text[at..].starts_with(',') {
                return Ok(at);
            }
        }
    }

    /// What it gives.
    #[must_use]
    pub fn output(&self) -> SampleType {
        // A converter that takes anything and gives "any" passes its input on.
        let last = self.converters.iter().rev().map(|(c, _)| c.output()).find(|t| *t != SampleType::Any);
        last.unwrap_or_else(|| self.fetch.0.output())
    }

    /// What must be there for it to work.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.fetch.0.needs()
    }

    /// Whether converters follow the fetch.
    #[must_use]
    pub fn has_converters(&self) -> bool {
        !self.converters.is_empty()
    }

    /// Evaluates it.
    pub fn eval(&self, txn: &mut Txn, direction: Direction) -> Option<Sample> {
        let first = self.fetch.0.fetch(txn, &self.fetch.1, direction)?;
        self.convert(txn, first)
    }

    /// Shows its value, without a copy where there is no converter; whether there is one.
    pub fn peek(&self, txn: &mut Txn, direction: Direction, show: &mut dyn FnMut(SampleRef<'_>)) -> bool {
        if self.converters.is_empty() {
            return self.fetch.0.peek(txn, &self.fetch.1, direction, show);
        }
        self.eval(txn, direction).is_some_and(|value| {
            show(value.as_ref());
            true
        })
    }

    /// Shows every value there is, each converted, until `test` holds. `None`: there is none.
    pub fn scan(
        &self,
        txn: &mut Txn,
        direction: Direction,
        test: &mut dyn FnMut(SampleRef<'_>) -> bool,
    ) -> Option<bool> {
        if self.converters.is_empty() {
            return self.fetch.0.scan(txn, &self.fetch.1, direction, test);
        }
        let mut values: SmallVec<[Sample; 4]> = SmallVec::new();
        self.fetch.0.scan(txn, &self.fetch.1, direction, &mut |value| {
            values.push(value.to_owned());
            false
        })?;
        let mut seen = None;
        for value in values {
            if let Some(value) = self.convert(txn, value) {
                if test(value.as_ref()) {
                    return Some(true);
                }
                seen = Some(false);
            }
        }
        seen
    }

    /// Appends its value as text; whether there was one.
    pub fn append(&self, txn: &mut Txn, direction: Direction, out: &mut Vec<u8>) -> bool {
        self.peek(txn, direction, &mut |value| value.append_to(out))
    }

    fn convert(&self, txn: &mut Txn, first: Sample) -> Option<Sample> {
        self.converters
            .iter()
            .try_fold(first, |value, (conv, args)| conv.convert(txn, value.cast(conv.input())?, args))
    }
}

/// Refuses what follows an expression within its word.
pub(crate) fn whole(word: &str, end: usize) -> Result<(), ParseError> {
    if end == word.len() {
        return Ok(());
    }
    let name = &word[..id_end(word)];
    Err(ParseError::new(format!("missing comma after fetch keyword '{name}'")))
}

/// Where the identifier at the start of a text ends.
pub(crate) fn id_end(text: &str) -> usize {
    let is_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+');
    text.bytes().position(|b| !is_id(b)).unwrap_or(text.len())
}

/// The arguments in parentheses at `text[at..]`, if there are any, and where they end.
/// `None`: the closing parenthesis is missing.
pub(crate) fn split_args(text: &str, at: usize) -> Option<(Vec<String>, usize)> {
    if !text[at..].starts_with('(') {
        return Some((Vec::new(), at));
    }
    let mut args = Vec::new();
    let mut current = String::new();
    let mut quote = None;
    let mut chars = text[at + 1..].char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        match (c, quote) {
            ('\'', None) | ('"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => match chars.peek().and_then(|(_, next)| unescape(*next)) {
                Some(plain) => {
                    current.push(plain);
                    chars.next();
                }
                None => current.push('\\'),
            },
            (',', None) => args.push(std::mem::take(&mut current)),
            (')', None) => {
                args.push(current);
                return Some((args, at + 1 + offset + 1));
            }
            (c, _) => current.push(c),
        }
    }
    None
}

/// What a backslash and this character stand for; `None`: both stand for themselves.
fn unescape(c: char) -> Option<char> {
    match c {
        '\\' | ' ' | '"' | '\'' => Some(c),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        _ => None,
    }
}

fn refs(raw: &[String]) -> SmallVec<[&str; 4]> {
    raw.iter().map(String::as_str).collect()
}
