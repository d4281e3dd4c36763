//! Reading HAProxy's configuration language.
//!
//! ```text
//!   source ─► lexer ─► directive (.if …) ─► parser ─► global │ proxy keyword tables ─► draft ─► finish ─► Config
//!             (env)    (condition)                     (registry: what extensions add)
//! ```
//!
//! [`Parser`] takes files and a [`Registry`](crate::registry::Registry), and gives an [`Outcome`]:
//! a [`Config`](crate::config::Config) or every error that was found, each with file, line and word.
//! A line never stops the reading of the next one; only the whole-configuration checks are skipped
//! when a line was refused.
//!
//! Source: configuration.txt sections 2 to 5; texts of messages as `haproxy -c` prints them.

mod address;
mod balance;
mod bind;
mod check;
pub mod condition;
mod diagnostic;
mod directive;
mod draft;
mod environment;
pub(crate) mod error_pages;
mod finish;
mod global;
mod header;
mod known;
mod lexer;
mod log;
mod mailers;
mod number;
mod options;
mod parser;
mod proxy;
mod reader;
mod rule;
mod server;
mod setvar;
mod source;
mod stats;
mod stick_table;
mod suggest;
mod switching;
mod time;
mod timeout;
mod tls;
mod tuning;
mod version;
mod words;

use std::{ops::Range, path::Path, sync::Arc};

use crate::config::LogTarget;

pub use diagnostic::{Diagnostic, Form, Severity};
pub use environment::Env;
pub use parser::{Outcome, Parser, Resolve};
pub use source::Source;
pub use time::parse_duration;

/// Why a line is refused. The parser adds file and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong, as HAProxy words it where it does.
    pub message: String,
    /// Index of the offending word on the line, if one can be named.
    pub word: Option<usize>,
}

impl ParseError {
    /// An error about the line as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), word: None }
    }

    /// An error about one word.
    pub fn at(word: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), word: Some(word) }
    }

    /// The same error seen from a line that has `by` more words in front.
    #[must_use]
    pub fn shifted(mut self, by: usize) -> Self {
        self.word = self.word.map(|word| word + by);
        self
    }
}

/// Parses a `log` line outside of a proxy section, with literal addresses.
pub(crate) fn log_target(words: &[&str]) -> Result<LogTarget, ParseError> {
    log::target(words, &|_: &str| None)
}

/// One logical line, split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// File as named on the command line or in the configuration.
    pub file: Arc<str>,
    /// First physical line, from 1.
    pub number: u32,
    /// Unquoted, unescaped, expanded words; never empty.
    pub words: Vec<String>,
    /// Where each word stands in the file, in bytes; words from one expansion share theirs.
    pub spans: Vec<Range<usize>>,
}

/// Reads a file into its logical lines; no environment variable has a value in it.
///
/// # Errors
/// The file cannot be read, or a line cannot be split into words.
pub fn read_lines(path: &Path) -> Result<Vec<Line>, ParseError> {
    read_lines_with(path, &Env::default())
}

/// Reads a file into its logical lines, with variables taken from `env`.
///
/// # Errors
/// The file cannot be read, or a line cannot be split into words.
pub fn read_lines_with(path: &Path, env: &Env) -> Result<Vec<Line>, ParseError> {
    let name = path.display();
    let bytes = std::fs::read(path)
        .map_err(|e| ParseError::new(format!("cannot open file '{name}' : {}", source::reason(&e))))?;
    split_lines(&name.to_string(), &bytes, env)
}

/// Splits text that was already read, as [`read_lines_with`] does.
///
/// # Errors
/// A line cannot be split into words.
pub fn split_lines(name: &str, bytes: &[u8], env: &Env) -> Result<Vec<Line>, ParseError> {
    let mut lexer = lexer::Lexer::new(name.into(), bytes);
    let mut lines = Vec::new();
    while let Some(line) = lexer.next_line(env, "") {
        match line {
            Ok(line) if line.words.is_empty() => {}
            Ok(line) => lines.push(line),
            Err(error) => {
                return Err(ParseError::new(format!("parsing [{name}:{}]: {}", error.line, error.message)));
            }
        }
    }
    Ok(lines)
}
