//! Files in, configuration or errors out.

use std::{net::IpAddr, path::Path, sync::Arc};

use super::{
    Diagnostic, Env, Form, Line, ParseError, Severity, Source,
    condition::{Build, Facts},
    directive::Blocks,
    draft::{Draft, Section, Settings},
    finish::{self, Parts},
    global::{self, GlobalLine},
    known, lexer,
    proxy::{self, ProxyLine},
    server::is_name_char,
    words,
};
use crate::{
    config::{Config, Global, Place},
    registry::Registry,
};

/// Finds the address of a host name while the configuration is read. May block.
pub trait Resolve {
    /// The first address of that name.
    fn resolve(&self, host: &str) -> Option<IpAddr>;
}

impl<F: Fn(&str) -> Option<IpAddr>> Resolve for F {
    fn resolve(&self, host: &str) -> Option<IpAddr> {
        self(host)
    }
}

const _: Option<&dyn Resolve> = None;

/// Reads a configuration.
///
/// ```
/// use proxy_core::{cfgparse::{Parser, Source}, registry::Registry};
///
/// let outcome = Parser::new(Registry::builtin())
///     .source(Source::new("demo.cfg", "frontend web\n  bond :8080\n"))
///     .parse();
/// assert!(outcome.config.is_none());
/// assert_eq!(
///     outcome.diagnostics[0].render(42),
///     "[ALERT]    (42) : config : parsing [demo.cfg:2] : unknown keyword 'bond' in 'frontend' section; \
///      did you mean 'bind' maybe ?"
/// );
/// ```
pub struct Parser {
    registry: Registry,
    build: Build,
    resolve: Box<dyn Resolve>,
    sources: Vec<Source>,
    diagnostics: Vec<Diagnostic>,
}

/// What came of it.
pub struct Outcome {
    /// The configuration, if nothing was refused.
    pub config: Option<Config>,
    /// Everything there is to say, in the order HAProxy says it, closing lines included.
    pub diagnostics: Vec<Diagnostic>,
    /// The tables with what the configuration itself has loaded; its environment among them.
    pub registry: Registry,
}

impl Outcome {
    /// Whether there is a warning (`-dW` and `zero-warning` make them fatal).
    #[must_use]
    pub fn warned(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Warning)
    }

    /// The environment as the configuration has left it.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.registry.env
    }
}

impl Parser {
    /// A parser with those tables; `registry.env` holds the variables to start from.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            build: Build::default(),
            resolve: Box::new(|_: &str| None),
            sources: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    /// What conditions can ask about the program.
    #[must_use]
    pub fn build(mut self, build: Build) -> Self {
        self.build = build;
        self
    }

    /// The variables to start from.
    #[must_use]
    pub fn env(mut self, env: Env) -> Self {
        self.registry.env = env;
        self
    }

    /// How host names find their addresses; without it only literal addresses are understood.
    #[must_use]
    pub fn resolver(mut self, resolve: impl Resolve + 'static) -> Self {
        self.resolve = Box::new(resolve);
        self
    }

    /// Appends text.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    /// Appends a file or a folder; one that cannot be read is an alert of the outcome.
    #[must_use]
    pub fn path(mut self, path: &Path) -> Self {
        match Source::read(path) {
            Ok(sources) => self.sources.extend(sources),
            Err(diagnostic) => self.diagnostics.push(diagnostic),
        }
        self
    }

    /// Reads everything.
    #[must_use]
    pub fn parse(self) -> Outcome {
        let Self { mut registry, build, resolve, sources, diagnostics } = self;
        for (name, value) in [HTTP_LOG, TCP_LOG] {
            registry.env.preset(name, value);
        }
        let branch = build.version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        registry.env.preset("HAPROXY_BRANCH", branch);
        registry.env.preset("HAPROXY_STARTUP_VERSION", build.version.clone());
        let mut reader = Reader {
            registry,
            build,
            resolve,
            diagnostics,
            parts: Parts { global: Global::default(), proc_vars: Vec::new(), drafts: Vec::new() },
            defaults: Vec::new(),
            current: Current::Nothing,
        };
        sources.iter().for_each(|source| reader.file(source));
        reader.outcome()
    }
}

/// `option httplog` as a format string, and the variable that can replace it.
pub(super) const HTTP_LOG: (&str, &str) = (
    "HAPROXY_HTTP_LOG_FMT",
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r",
);
/// `option tcplog` likewise.
pub(super) const TCP_LOG: (&str, &str) =
    ("HAPROXY_TCP_LOG_FMT", "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq");

/// The state between lines.
struct Reader {
    registry: Registry,
    build: Build,
    resolve: Box<dyn Resolve>,
    diagnostics: Vec<Diagnostic>,
    parts: Parts,
    defaults: Vec<(String, Settings)>,
    current: Current,
}

/// The section that lines belong to.
enum Current {
    /// None was begun in this file.
    Nothing,
    Global,
    Proxy(Box<Draft>),
    /// One that was refused: its lines are not looked at.
    Refused(String),
}

impl Current {
    /// The value of `.SECTION`.
    fn name(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Global => "global",
            Self::Proxy(draft) if draft.name.is_empty() => draft.section.name(),
            Self::Proxy(draft) => &draft.name,
            Self::Refused(name) => name,
        }
    }
}

impl Reader {
    fn file(&mut self, source: &Source) {
        let before = self.alerts();
        let mut lexer = lexer::Lexer::new(source.name.clone(), &source.bytes);
        let mut blocks = Blocks::default();
        let mut last = 1;
        while let Some(line) = lexer.next_line(&self.registry.env, self.current.name()) {
            match line {
                Ok(line) => {
                    last = line.number;
                    self.line(&line, &mut blocks);
                }
                Err(error) => self.lexical(&source.name, error),
            }
        }
        if blocks.unfinished() {
            let place = Place { file: source.name.clone(), line: last };
            self.tell(Severity::Alert, Form::Lexical, &place, "non-terminated '.if' block.".to_owned());
        }
        if let Some(error) = lexer.unterminated() {
            self.lexical(&source.name, error);
        }
        self.leave();
        if self.alerts() > before {
            let text = format!("Error(s) found in configuration file : {}", source.name);
            self.diagnostics.push(Diagnostic::alert(text));
        }
    }

    fn line(&mut self, line: &Line, blocks: &mut Blocks) {
        let Some(first) = line.words.first() else { return };
        let place = Place { file: line.file.clone(), line: line.number };
        if first.starts_with('.') {
            let facts = Facts { env: &self.registry.env, build: &self.build };
            if let Some(message) = blocks.directive(line, &facts) {
                let mut told = Diagnostic::line(message.severity, Form::Lexical, &place, message.text);
                told.span = message.word.and_then(|word| line.spans.get(word).cloned());
                self.diagnostics.push(told);
            }
            return;
        }
        // A line that begins with an empty word is none, so that a variable can switch it off.
        if !blocks.active() || first.is_empty() {
            return;
        }
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let mut warnings = Vec::new();
        let result = self.statement(&words, &place, &mut warnings);
        for warning in warnings {
            self.tell(Severity::Warning, Form::Keyword, &place, warning);
        }
        if let Err(error) = result {
            let form = if matches!(self.current, Current::Nothing) { Form::Lexical } else { Form::Keyword };
            let mut told = Diagnostic::line(Severity::Alert, form, &place, error.message);
            told.span = error.word.and_then(|word| line.spans.get(word).cloned());
            self.diagnostics.push(told);
        }
    }

    fn statement(
        &mut self,
        words: &[&str],
        place: &Place,
        warnings: &mut Vec<String>,
    ) -> Result<(), ParseError> {
        if words[0] == "global" {
            self.leave();
            self.current = Current::Global;
            return words::at_most(words, 0);
        }
        if let Some(section) = Section::from_name(words[0]) {
            return self.section(section, words, place);
        }
        if known::words(known::SECTIONS).any(|section| section == words[0]) {
            self.leave();
            self.current = Current::Refused(words.get(1).unwrap_or(&words[0]).to_string());
            let text = format!("'{}' is a section of HAProxy that is not supported yet", words[0]);
            return Err(ParseError::at(0, text));
        }
        let (skip, negated) = negation(words)?;
        let words = &words[skip..];
        let result = match &mut self.current {
            Current::Nothing => {
                Err(ParseError::at(0, format!("unknown keyword '{}' out of section.", words[0])))
            }
            Current::Refused(_) => Ok(()),
            Current::Global if negated => Err(ParseError::at(0, NEGATION)),
            Current::Global => global::line(GlobalLine {
                words,
                global: &mut self.parts.global,
                proc_vars: &mut self.parts.proc_vars,
                registry: &mut self.registry,
                place,
                warnings,
                resolve: &*self.resolve,
            }),
            Current::Proxy(draft) => proxy::line(ProxyLine {
                words,
                draft,
                registry: &self.registry,
                place,
                warnings,
                resolve: &*self.resolve,
                negated,
            }),
        };
        result.map_err(|e| e.shifted(skip))
    }

    /// `defaults [NAME] [from NAME]`, `frontend NAME [from NAME]` and so on. The section is begun
    /// even if its line is refused, so that the lines behind it are judged too.
    fn section(&mut self, section: Section, words: &[&str], place: &Place) -> Result<(), ParseError> {
        self.leave();
        let header = Header::read(section, words);
        let name = header.as_ref().map_or("", |header| header.name);
        let (settings, missing) = self.inherited(section, header.as_ref().ok());
        self.begin(section, name, place, settings);
        let header = header?;
        if let Some(missing) = missing {
            let text =
                format!("defaults section '{missing}' not found for {} '{}'.", section.name(), header.name);
            return Err(ParseError::new(text));
        }
        self.unique(section, header.name, place)
    }

    /// The settings to start from, and the name of a `defaults` that is not there.
    fn inherited<'a>(&self, section: Section, header: Option<&Header<'a>>) -> (Settings, Option<&'a str>) {
        match header.and_then(|header| header.from) {
            Some(from) => match self.defaults.iter().rev().find(|(name, _)| name == from) {
                Some((_, settings)) => (settings.clone(), None),
                None => (Settings::default(), Some(from)),
            },
            None if section == Section::Defaults => (Settings::default(), None),
            None => (self.defaults.last().map(|(_, settings)| settings.clone()).unwrap_or_default(), None),
        }
    }

    fn begin(&mut self, section: Section, name: &str, place: &Place, mut settings: Settings) {
        let lines = std::mem::take(&mut settings.rule_lines);
        let mut draft = Draft::new(section, name, place, settings);
        for line in lines {
            self.replay(&mut draft, &line);
        }
        self.current = Current::Proxy(Box::new(draft));
    }

    /// Reads a rule of a named `defaults` as if it stood in the section that takes it over.
    fn replay(&mut self, draft: &mut Draft, line: &Line) {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let applies = match (words[0], words.get(1).copied().unwrap_or_default()) {
            ("tcp-response" | "http-response" | "http-after-response", _) => true,
            ("tcp-request", "connection" | "session") => draft.section.frontend(),
            _ => true,
        };
        if !applies || (words[0] == "tcp-response" && !draft.section.backend()) {
            return;
        }
        let place = Place { file: line.file.clone(), line: line.number };
        let mut warnings = Vec::new();
        let result = proxy::line(ProxyLine {
            words: &words,
            draft,
            registry: &self.registry,
            place: &place,
            warnings: &mut warnings,
            resolve: &*self.resolve,
            negated: false,
        });
        if let Err(error) = result {
            let text = format!("in {} : {error}", draft.title());
            self.tell(Severity::Alert, Form::Keyword, &place, text);
        }
    }

    fn unique(&self, section: Section, name: &str, place: &Place) -> Result<(), ParseError> {
        if section == Section::Defaults {
            return Ok(());
        }
        match self.parts.drafts.iter().find(|other| other.name == name) {
            Some(other) => {
                debug_assert_ne!(&other.place, place);
                Err(ParseError::at(
                    1,
                    format!(
                        "{} '{name}' has the same name as {} declared at {}:{}.",
                        section.noun(),
                        other.title(),
                        other.place.file,
                        other.place.line
                    ),
                ))
            }
            None => Ok(()),
        }
    }

    /// Ends the section.
    fn leave(&mut self) {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Proxy(draft) if draft.section == Section::Defaults => {
                self.defaults.push((draft.name, draft.settings));
            }
            Current::Proxy(draft) => self.parts.drafts.push(*draft),
            Current::Nothing | Current::Global | Current::Refused(_) => {}
        }
    }

    fn outcome(mut self) -> Outcome {
        let mut config = None;
        if self.alerts() == 0 {
            config = Some(finish::finish(self.parts, &mut self.diagnostics));
        }
        if self.diagnostics.iter().any(|d| d.severity == Severity::Alert) {
            config = None;
            self.diagnostics.push(Diagnostic::alert("Fatal errors found in configuration."));
        }
        Outcome { config, diagnostics: self.diagnostics, registry: self.registry }
    }

    fn alerts(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Alert).count()
    }

    fn lexical(&mut self, file: &Arc<str>, error: lexer::LexError) {
        let place = Place { file: file.clone(), line: error.line };
        let mut told = Diagnostic::line(Severity::Alert, Form::Lexical, &place, error.message);
        told.span = Some(error.at..error.at + 1);
        self.diagnostics.push(told);
    }

    fn tell(&mut self, severity: Severity, form: Form, place: &Place, text: String) {
        self.diagnostics.push(Diagnostic::line(severity, form, place, text));
    }
}

/// `no` or `default` in front of a keyword: how many words to skip, and whether.
fn negation(words: &[&str]) -> Result<(usize, bool), ParseError> {
    match words {
        ["no" | "default", keyword, ..] => match *keyword {
            "option" | "log" => Ok((1, true)),
            _ => Err(ParseError::at(0, NEGATION)),
        },
        _ => Ok((0, false)),
    }
}

/// What the line of a proxy section says.
struct Header<'a> {
    name: &'a str,
    from: Option<&'a str>,
}

impl<'a> Header<'a> {
    fn read(section: Section, words: &[&'a str]) -> Result<Self, ParseError> {
        let kind = section.name();
        let (name, rest) = match words {
            [_, "from", ..] if section == Section::Defaults => ("", &words[1..]),
            [_] if section == Section::Defaults => ("", &words[1..]),
            [_, name, ..] if !name.is_empty() => (*name, &words[2..]),
            _ => return Err(ParseError::at(0, format!("'{kind}' expects an <id> argument"))),
        };
        if let Some(bad) = name.chars().find(|c| !is_name_char(*c)) {
            let text = format!("character '{bad}' is not permitted in '{kind}' name '{name}'.");
            return Err(ParseError::at(1, text));
        }
        let at = words.len() - rest.len();
        match rest {
            [] => Ok(Self { name, from: None }),
            ["from", from] if !from.is_empty() => Ok(Self { name, from: Some(from) }),
            ["from"] => Err(ParseError::at(at, "'from' expects the name of a defaults section.")),
            ["from", _, extra, ..] => {
                Err(ParseError::at(at + 2, format!("'{kind}' cannot handle unexpected argument '{extra}'.")))
            }
            [extra, ..] => {
                Err(ParseError::at(at, format!("'{kind}' cannot handle unexpected argument '{extra}'.")))
            }
        }
    }
}

const NEGATION: &str = "negation/default currently supported only for options and log.";
