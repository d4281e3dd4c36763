//! What the parser has to say, and how it is printed.

use std::{fmt, ops::Range};

use crate::config::Place;

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For those who asked for more (`-dD`).
    Diag,
    /// Information.
    Notice,
    /// The configuration works, but perhaps not as meant.
    Warning,
    /// The configuration is refused.
    Alert,
}

impl Severity {
    fn label(self) -> &'static str {
        match self {
            Self::Diag => "[DIAG]",
            Self::Notice => "[NOTICE]",
            Self::Warning => "[WARNING]",
            Self::Alert => "[ALERT]",
        }
    }
}

/// How the place is written in front of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `parsing [FILE:LINE] : …`, for keywords.
    #[default]
    Keyword,
    /// `parsing [FILE:LINE]: …`, for what is wrong before any keyword is looked at.
    Lexical,
    /// Without a place, for the configuration as a whole.
    Whole,
}

/// One message.
///
/// Its `Display` is the text without the process id; [`Diagnostic::render`] is the line as HAProxy
/// prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How serious.
    pub severity: Severity,
    /// File and line, if it is about one.
    pub place: Option<Place>,
    /// How the place is written.
    pub form: Form,
    /// The text; may have several lines.
    pub message: String,
    /// Where the word it is about stands in the file, in bytes.
    pub span: Option<Range<usize>>,
}

impl Diagnostic {
    /// An alert about the configuration as a whole.
    pub fn alert(message: impl Into<String>) -> Self {
        Self::whole(Severity::Alert, message)
    }

    /// A warning about the configuration as a whole.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::whole(Severity::Warning, message)
    }

    /// A message about one line.
    pub fn line(severity: Severity, form: Form, place: &Place, message: impl Into<String>) -> Self {
        Self { severity, place: Some(place.clone()), form, message: message.into(), span: None }
    }

    /// The line as HAProxy prints it: level, process id, part of the program, place, text.
    #[must_use]
    pub fn render(&self, pid: u32) -> String {
        format!("{:<10} ({pid}) : config : {self}", self.severity.label())
    }

    fn whole(severity: Severity, message: impl Into<String>) -> Self {
        Self { severity, place: None, form: Form::Whole, message: message.into(), span: None }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.form) {
            (Some(place), Form::Keyword) => write!(f, "parsing [{}:{}] : ", place.file, place.line)?,
            (Some(place), Form::Lexical) => write!(f, "parsing [{}:{}]: ", place.file, place.line)?,
            (_, Form::Whole) | (None, _) => {}
        }
        f.write_str(&self.message)
    }
}
