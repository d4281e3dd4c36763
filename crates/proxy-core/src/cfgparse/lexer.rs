//! From bytes to logical lines of words.
//!
//! Quotes, backslashes, comments, environment variables and line continuation are resolved here
//! and nowhere else. Every word keeps its byte range in the file. One call makes one line, because
//! a line may change the environment that the next one is read with.
//!
//! Source: configuration.txt sections 2.1 to 2.3. A backslash right before the end of a line joins
//! the next one.

use std::{ops::Range, sync::Arc};

use super::{Env, Line};

/// Splits one file, line by line.
pub(super) struct Lexer<'a> {
    file: Arc<str>,
    bytes: &'a [u8],
    at: usize,
    number: u32,
}

/// A line that cannot be split. Reading goes on behind it.
#[derive(Debug)]
pub(super) struct LexError {
    /// Physical line of the error.
    pub(super) line: u32,
    /// The text, with the line and a mark under the place.
    pub(super) message: String,
    /// The byte it is about.
    pub(super) at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(file: Arc<str>, bytes: &'a [u8]) -> Self {
        Self { file, bytes, at: 0, number: 0 }
    }

    /// Whether the last line of the file lacks its line feed, and where that is.
    pub(super) fn unterminated(&self) -> Option<LexError> {
        if self.bytes.last().is_none_or(|last| *last == b'\n') {
            return None;
        }
        let position = self.bytes.len() - self.line_start(self.bytes.len()) + 1;
        let line = 1 + u32::try_from(memchr::memchr_iter(b'\n', self.bytes).count()).unwrap_or(u32::MAX);
        let message =
            format!("Missing LF on last line, file might have been truncated at position {position}.");
        Some(LexError { line, message, at: self.bytes.len() })
    }

    /// The next logical line; one without words is empty or a comment.
    pub(super) fn next_line(&mut self, env: &Env, section: &str) -> Option<Result<Line, LexError>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        self.number += 1;
        let number = self.number;
        let mut splitter = Splitter {
            bytes: self.bytes,
            at: self.at,
            words: Vec::new(),
            word: None,
            quote: Quote::None,
            joined: 0,
            pseudo: Pseudo { file: &self.file, line: number, section },
            env,
        };
        let result = splitter.run();
        let Splitter { at, words, joined, .. } = splitter;
        match result {
            Ok(()) => {
                self.number += joined;
                self.at = at;
                let (words, spans) = words.into_iter().unzip();
                Some(Ok(Line { file: self.file.clone(), number, words, spans }))
            }
            Err(fault) => {
                let before = memchr::memchr_iter(b'\n', &self.bytes[self.at..fault.at]).count();
                self.number += u32::try_from(before).unwrap_or(u32::MAX);
                self.at = self.line_end(fault.at) + 1;
                Some(Err(self.describe(&fault)))
            }
        }
    }

    fn describe(&self, fault: &Fault) -> LexError {
        let (start, end) = (self.line_start(fault.at), self.line_end(fault.at));
        let text = &self.bytes[start..end];
        let blanks = text.iter().take_while(|b| b.is_ascii_whitespace()).count().min(fault.at - start);
        let position = fault.at - start + 1;
        let message = if fault.excerpt {
            let shown = String::from_utf8_lossy(&text[blanks..]).replace(|c: char| c.is_control(), ".");
            let mark = String::from_utf8_lossy(&text[blanks..fault.at - start]).chars().count();
            format!("{} at position {position}:\n  {shown}\n  {:mark$}^", fault.what, "")
        } else {
            format!("{} at position {position}.", fault.what)
        };
        LexError { line: self.number, message, at: fault.at }
    }

    fn line_start(&self, at: usize) -> usize {
        memchr::memrchr(b'\n', &self.bytes[..at]).map_or(0, |lf| lf + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |lf| at + lf)
    }
}

/// What the pseudo variables stand for.
struct Pseudo<'a> {
    file: &'a str,
    line: u32,
    section: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    /// Double quotes, opened there.
    Weak(usize),
    /// Single quotes, opened there.
    Strong(usize),
}

/// A word being put together.
struct Open {
    text: Vec<u8>,
    start: usize,
    /// An expansion to no words was in it: it vanishes if nothing else is.
    vanishing: bool,
}

struct Fault {
    what: String,
    at: usize,
    excerpt: bool,
}

impl Fault {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Self { what: what.into(), at, excerpt: true }
    }

    fn plain(at: usize, what: impl Into<String>) -> Self {
        Self { what: what.into(), at, excerpt: false }
    }
}

/// The state of splitting one logical line.
struct Splitter<'a> {
    bytes: &'a [u8],
    at: usize,
    words: Vec<(String, Range<usize>)>,
    word: Option<Open>,
    quote: Quote,
    joined: u32,
    pseudo: Pseudo<'a>,
    env: &'a Env,
}

impl<'a> Splitter<'a> {
    /// Works up to and including the line feed.
    fn run(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.at - start > LINE_MAX {
                return Err(Fault::plain(start, format!("line longer than {LINE_MAX} bytes")));
            }
            match (self.quote, byte) {
                (_, b'\n') => break,
                (_, 0) => return Err(Fault::plain(self.at, "Stray NUL character")),
                (Quote::None, b' ' | b'\t' | b'\r' | 0x0b | 0x0c) => {
                    self.close_word(self.at)?;
                    self.at += 1;
                }
                (Quote::None, b'#') => {
                    self.close_word(self.at)?;
                    self.at = memchr::memchr(b'\n', &self.bytes[self.at..])
                        .map_or(self.bytes.len(), |lf| self.at + lf);
                }
                (Quote::None, b'"') => self.open_quote(Quote::Weak(self.at)),
                (Quote::None, b'\'') => self.open_quote(Quote::Strong(self.at)),
                (Quote::Weak(_), b'"') | (Quote::Strong(_), b'\'') => {
                    self.quote = Quote::None;
                    self.at += 1;
                }
                (Quote::None | Quote::Weak(_), b'\\') => self.escape()?,
                (Quote::Weak(_), b'$') => self.variable()?,
                (_, 1..=8 | 0x0b..=0x1f | 0x7f) => {
                    return Err(Fault::new(self.at, format!("unexpected control character 0x{byte:02x}")));
                }
                _ => {
                    self.push(byte);
                    self.at += 1;
                }
            }
        }
        match self.quote {
            Quote::None => {}
            Quote::Weak(at) | Quote::Strong(at) => return Err(Fault::new(at, "unmatched quote")),
        }
        self.close_word(self.at)?;
        self.at += 1;
        Ok(())
    }

    fn open_quote(&mut self, quote: Quote) {
        self.quote = quote;
        self.open_word();
        self.at += 1;
    }

    fn open_word(&mut self) -> &mut Open {
        let start = self.at;
        self.word.get_or_insert_with(|| Open { text: Vec::new(), start, vanishing: false })
    }

    fn push(&mut self, byte: u8) {
        self.open_word().text.push(byte);
    }

    fn close_word(&mut self, end: usize) -> Result<(), Fault> {
        let Some(Open { text, start, vanishing }) = self.word.take() else {
            return Ok(());
        };
        if vanishing && text.is_empty() {
            return Ok(());
        }
        if self.words.len() >= WORDS_MAX {
            return Err(Fault::new(start, format!("too many words, more than {WORDS_MAX}")));
        }
        let text = String::from_utf8(text).map_err(|e| {
            // The byte in the file differs from the byte in the word behind escapes; the word will do.
            let byte = e.as_bytes()[e.utf8_error().valid_up_to()];
            Fault::new(start, format!("byte 0x{byte:02x} outside UTF-8 is not supported"))
        })?;
        self.words.push((text, start..end));
        Ok(())
    }

    /// At a backslash.
    fn escape(&mut self) -> Result<(), Fault> {
        let weak = matches!(self.quote, Quote::Weak(_));
        let plain = match self.bytes.get(self.at + 1) {
            Some(b'\n') => {
                self.at += 2;
                self.joined += 1;
                return Ok(());
            }
            Some(b'\r') if self.bytes.get(self.at + 2) == Some(&b'\n') => {
                self.at += 3;
                self.joined += 1;
                return Ok(());
            }
            Some(b'x') => return self.hex(),
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(byte @ (b' ' | b'\t' | b'#' | b'\\' | b'"' | b'\'')) => *byte,
            Some(b'$') if weak => b'$',
            _ => {
                self.push(b'\\');
                self.at += 1;
                return Ok(());
            }
        };
        self.push(plain);
        self.at += 2;
        Ok(())
    }

    /// At the backslash of `\xNN`.
    fn hex(&mut self) -> Result<(), Fault> {
        let digits = self.bytes.get(self.at + 2..self.at + 4).and_then(|d| std::str::from_utf8(d).ok());
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(0) => Err(Fault::new(self.at, "NUL character")),
            Some(byte) => {
                self.push(byte);
                self.at += 4;
                Ok(())
            }
            None => Err(Fault::new(self.at, "truncated or invalid hexadecimal sequence")),
        }
    }

    /// At the dollar sign of `$NAME` or `${NAME…}`.
    fn variable(&mut self) -> Result<(), Fault> {
        let braces = self.bytes.get(self.at + 1) == Some(&b'{');
        let brace = self.at + 1;
        let start = if braces { brace + 1 } else { brace };
        let name = self.name_at(start)?;
        let mut at = start + name.len();
        let value = match name.strip_prefix('.') {
            Some("FILE") => Some(self.pseudo.file.to_owned()),
            Some("LINE") => Some(self.pseudo.line.to_string()),
            Some("SECTION") => Some(self.pseudo.section.to_owned()),
            Some(_) => return Err(Fault::new(start, "forbidden first char in environment variable name")),
            None => self.env.value(name).map(str::to_owned),
        };
        if !braces {
            self.at = at;
            return self.insert(value.as_deref().unwrap_or_default(), false);
        }
        let split = self.bytes.get(at) == Some(&b'[');
        if split {
            if !self.bytes[at..].starts_with(b"[*]") {
                return Err(Fault::new(at, "truncated or invalid word expansion sequence"));
            }
            at += 3;
        }
        let mut default = "";
        if self.bytes.get(at) == Some(&b'-') {
            let bytes: &'a [u8] = self.bytes;
            let rest = &bytes[at + 1..];
            let len = rest.iter().take_while(|b| !matches!(b, b'}' | b'\n' | b'"' | 0)).count();
            default = std::str::from_utf8(&rest[..len])
                .map_err(|_| Fault::new(at + 1, "default value outside UTF-8 is not supported"))?;
            at += 1 + len;
        }
        if self.bytes.get(at) != Some(&b'}') {
            return Err(Fault::new(brace, "unmatched brace in environment variable name"));
        }
        self.at = at + 1;
        self.insert(value.as_deref().unwrap_or(default), split)
    }

    fn name_at(&self, start: usize) -> Result<&'a str, Fault> {
        let bytes: &'a [u8] = self.bytes;
        let rest = &bytes[start.min(bytes.len())..];
        if !rest.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.')) {
            let at = start.min(self.bytes.len().saturating_sub(1));
            return Err(Fault::new(at, "forbidden first char in environment variable name"));
        }
        let more = rest[1..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        Ok(std::str::from_utf8(&rest[..=more]).expect("ASCII was selected"))
    }

    /// Inserts a variable's value, as one piece or as words of their own.
    fn insert(&mut self, value: &str, split: bool) -> Result<(), Fault> {
        if !split {
            self.open_word().text.extend_from_slice(value.as_bytes());
            return Ok(());
        }
        self.open_word().vanishing = true;
        for (n, piece) in value.split_ascii_whitespace().enumerate() {
            let start = self.open_word().start;
            if n > 0 {
                self.close_word(self.at)?;
                self.word = Some(Open { text: Vec::new(), start, vanishing: false });
            }
            self.open_word().text.extend_from_slice(piece.as_bytes());
        }
        Ok(())
    }
}

/// Words on a line, as in HAProxy.
const WORDS_MAX: usize = 64;
/// Bytes of a logical line.
const LINE_MAX: usize = 1 << 20;
