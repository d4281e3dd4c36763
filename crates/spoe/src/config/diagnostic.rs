//! Where in the file something stands, and what is wrong there.

use std::fmt;
use std::sync::Arc;

/// A word of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as errors name it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line_no: usize,
    /// The word in its line, from 0.
    pub word: usize,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The word to blame.
    pub place: Place,
    /// What is wrong with it: lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}] : {}", self.place.file, self.place.line_no, self.message)
    }
}

/// Everything wrong with a file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Diagnostic>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
