//! The keyword tables: everything that a configuration can name.
//!
//! A table is a value handed to the parser, not a link-time global, so that an embedder adds
//! keywords of his own, also while a configuration is being read (a `global` keyword may load
//! something that brings new actions or fetches for the sections that follow).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use crate::{
    action::ActionKeyword,
    applet::ServiceMaker,
    cfgparse::{Env, Line, ParseError},
    check::Prober,
    config::{Global, LogTarget, Place},
    error_pages::PageSections,
    filter::FilterKeyword,
    pattern_ref::PatternRefs,
    rules::acl::{AclTable, Cond},
    sample::{Converter, Fetch, expr::Expr, logformat::LogFormat},
    stick_table::StickTables,
};

/// A keyword of the `global` section that belongs to an extension.
pub trait GlobalKeyword {
    /// Handles one line; `args` are the words after the keyword.
    ///
    /// # Errors
    /// The line is refused with that text.
    fn parse(&self, args: &[&str], cx: &mut GlobalContext<'_>) -> Result<(), ParseError>;
}

/// What a [`GlobalKeyword`] may touch.
pub struct GlobalContext<'a> {
    /// The settings so far.
    pub global: &'a mut Global,
    /// The tables; new entries count for all later lines.
    pub registry: &'a mut Registry,
    /// Where the line stands.
    pub place: &'a Place,
    /// Warnings to print, without place (it is added).
    pub warnings: &'a mut Vec<String>,
}

/// Every name that a configuration can use beyond the fixed grammar.
#[derive(Default, Clone)]
pub struct Registry {
    /// Sample fetches.
    pub fetches: BTreeMap<String, Arc<dyn Fetch>>,
    /// Converters.
    pub converters: BTreeMap<String, Arc<dyn Converter>>,
    /// Rule actions that are not built in.
    pub actions: BTreeMap<String, Arc<dyn ActionKeyword>>,
    /// Services for `use-service`.
    pub services: BTreeMap<String, Arc<dyn ServiceMaker>>,
    /// Filters.
    pub filters: BTreeMap<String, Arc<dyn FilterKeyword>>,
    /// Health checks in further protocols, by the name of their `option`.
    pub checks: BTreeMap<String, Arc<dyn Prober>>,
    /// Keywords of `global`.
    pub globals: BTreeMap<String, Rc<dyn GlobalKeyword>>,
    /// Keywords of `global` that HAProxy has and an extension would bring, to name them as not there.
    pub known_globals: BTreeSet<String>,
    /// Environment variables, as seeded by the embedder and changed by the lines read so far.
    pub env: Env,
    /// The lists of patterns that lines read so far have named.
    pub patterns: Arc<PatternRefs>,
    /// The stick tables declared so far.
    pub tables: Arc<StickTables>,
    /// The sections `http-errors` that lines read so far have brought or named.
    pub pages: Arc<PageSections>,
    slots: usize,
}

impl Registry {
    /// The tables with everything that this crate has built in.
    #[must_use]
    pub fn builtin() -> Self {
        let mut registry = Self::default();
        crate::sample::register_builtin(&mut registry);
        registry
    }

    /// A new slot of [`TxnData::private`](crate::txn::TxnData::private).
    pub fn private_slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }
}

/// What actions, filters and extensions use to compile their own arguments.
pub struct ParseContext<'a> {
    /// The tables.
    pub registry: &'a Registry,
    /// `tune.bufsize` so far, in bytes.
    pub bufsize: usize,
    /// The ACLs declared so far in this section.
    pub acls: &'a AclTable,
    /// Name of the proxy being read.
    pub proxy: &'a str,
    /// Whether it is a frontend, a backend, or both.
    pub capabilities: crate::config::Capabilities,
    /// Its mode so far.
    pub mode: crate::config::Mode,
    /// Where the line stands.
    pub place: &'a Place,
    /// Warnings to print, without place (it is added).
    pub warnings: &'a mut Vec<String>,
}

impl ParseContext<'_> {
    /// Compiles a sample expression that starts at `words[*at]` and moves `at` behind it.
    ///
    /// # Errors
    /// An unknown fetch or converter, or wrong arguments, with the offending word.
    pub fn expr(&self, words: &[&str], at: &mut usize) -> Result<Expr, ParseError> {
        Expr::parse(words, at, self.registry)
    }

    /// Compiles a log-format string.
    ///
    /// # Errors
    /// As [`ParseContext::expr`], or an unknown `%` tag.
    pub fn log_format(&self, text: &str) -> Result<LogFormat, ParseError> {
        LogFormat::parse(text, self.registry)
    }

    /// Compiles a condition: `words[0]` is `if` or `unless`. `acls` are local ones, asked first.
    ///
    /// # Errors
    /// An unknown ACL or a malformed anonymous one, with the offending word.
    pub fn cond(&self, words: &[&str], acls: Option<&AclTable>) -> Result<Cond, ParseError> {
        Cond::parse(words, acls, self.acls, self.registry)
    }

    /// The targets of a `log` line; `words[0]` is the keyword. `log global` gives none: the caller
    /// adds the global ones. Only literal addresses are understood.
    ///
    /// # Errors
    /// As for a proxy's `log` line.
    pub fn log_target(&self, words: &[&str]) -> Result<LogTarget, ParseError> {
        crate::cfgparse::log_target(words)
    }

    /// Reads another file in this language's lexical form (quotes, escapes, variables, comments).
    ///
    /// # Errors
    /// The file cannot be read, or a line cannot be split into words.
    pub fn read_lines(&self, path: &Path) -> Result<Vec<Line>, ParseError> {
        crate::cfgparse::read_lines_with(path, &self.registry.env)
    }
}
