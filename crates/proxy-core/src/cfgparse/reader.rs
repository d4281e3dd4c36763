//! The state between lines: sections in force, `defaults` to take over, what was said so far.

use std::sync::Arc;

use super::{
    Diagnostic, Form, Line, Outcome, ParseError, Resolve, Severity, Source,
    condition::{Build, Facts},
    directive::Blocks,
    draft::{Draft, Section, Settings},
    error_pages,
    finish::{self, Parts},
    global::{self, GlobalLine},
    header::{Header, unfit},
    known, lexer, mailers, options,
    proxy::{self, ProxyLine},
    server::is_name_char,
    tuning, words,
};
use crate::{
    config::{Config, Global, Mailers, Place},
    registry::Registry,
    rules::acl::AclTable,
    stick_table::Wanted,
};

/// The state between lines.
pub(super) struct Reader {
    registry: Registry,
    build: Build,
    resolve: Box<dyn Resolve>,
    diagnostics: Vec<Diagnostic>,
    parts: Parts,
    defaults: Vec<Defaults>,
    current: Current,
}

/// A finished `defaults` section.
struct Defaults {
    name: String,
    place: Place,
    settings: Settings,
    /// A section has named it with `from`.
    named: bool,
    /// A section has taken it for being the last one.
    assumed: bool,
    /// Its rules were taken over by a frontend, by a backend.
    rules_taken: (bool, bool),
}

/// The section that lines belong to.
enum Current {
    /// None was begun in this file.
    Nothing,
    Global,
    Proxy(Box<Draft>),
    Mailers(Mailers),
    ErrorPages(error_pages::Section),
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
            Self::Mailers(section) => &section.name,
            Self::ErrorPages(section) => &section.name,
            Self::Refused(name) => name,
        }
    }
}

impl Reader {
    pub(super) fn new(
        registry: Registry,
        build: Build,
        resolve: Box<dyn Resolve>,
        diagnostics: Vec<Diagnostic>,
    ) -> Self {
        Self {
            registry,
            build,
            resolve,
            diagnostics,
            parts: Parts {
                global: Global::default(),
                proc_vars: Vec::new(),
                drafts: Vec::new(),
                mailers: Vec::new(),
            },
            defaults: Vec::new(),
            current: Current::Nothing,
        }
    }

    /// Reads a file. Its end ends the section.
    pub(super) fn file(&mut self, source: &Source) {
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
        self.registry.patterns.set_place(&place);
        self.registry.tables.set_present(self.current.name(), &place);
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
            return self.section(section, words, place, warnings);
        }
        if words[0] == "mailers" {
            self.leave();
            self.current = Current::Refused(words.get(1).unwrap_or(&words[0]).to_string());
            self.current = Current::Mailers(mailers::begin(words, place, &self.parts.mailers)?);
            return Ok(());
        }
        if words[0] == "http-errors" {
            self.leave();
            self.current = Current::Refused(words.get(1).unwrap_or(&words[0]).to_string());
            self.current = Current::ErrorPages(error_pages::begin(words, place, &self.registry)?);
            return Ok(());
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
            Current::Mailers(_) | Current::ErrorPages(_) if negated => Err(ParseError::at(0, NEGATION)),
            Current::Mailers(section) => mailers::line(section, words, &*self.resolve),
            Current::ErrorPages(section) => section.line(words, self.parts.global.bufsize),
            Current::Global if negated && !tuning::NEGATABLE.contains(&words[0]) => {
                Err(ParseError::at(0, NEGATION))
            }
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
                bufsize: self.parts.global.bufsize,
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
    fn section(
        &mut self,
        section: Section,
        words: &[&str],
        place: &Place,
        warnings: &mut Vec<String>,
    ) -> Result<(), ParseError> {
        self.leave();
        let header = Header::read(section, words);
        let from = match &header {
            Ok(header) => self.parent(section, header, warnings),
            Err(_) => Ok(None),
        };
        let parent = from.as_ref().ok().copied().flatten();
        let settings = parent.map(|index| self.defaults[index].settings.clone()).unwrap_or_default();
        let name = header.as_ref().map_or("", |header| header.name);
        let mut draft = Draft::new(section, name, place, settings);
        let lines = std::mem::take(&mut draft.settings.rule_lines);
        let fits = parent.map_or(Ok(()), |index| self.take_rules(index, section, &lines));
        if fits.is_ok() {
            lines.iter().for_each(|line| self.replay(&mut draft, line));
            // The ACLs were for those rules only.
            draft.acls = AclTable::default();
        }
        self.current = Current::Proxy(Box::new(draft));
        let header = header?;
        from?;
        fits?;
        self.unique(section, header.name)
    }

    /// The `defaults` to start from, by its index.
    fn parent(
        &mut self,
        section: Section,
        header: &Header<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Option<usize>, ParseError> {
        let kind = section.name();
        let Some(from) = header.from else {
            let last = self.defaults.len().checked_sub(1).filter(|_| section != Section::Defaults);
            if let Some(last) = last {
                self.defaults[last].assumed = true;
                self.mixed(last, warnings);
            }
            return Ok(last);
        };
        let mut found = (0..self.defaults.len()).filter(|index| self.defaults[*index].name == from);
        let (first, second) = (found.next(), found.next());
        let Some(first) = first else {
            let text = format!("defaults section '{from}' not found for {kind} '{}'.", header.name);
            return Err(ParseError::at(header.from_word, text));
        };
        let origin = self.defaults[first].place.clone();
        if let Some(second) = second {
            let other = &self.defaults[second].place;
            return Err(ParseError::at(
                header.from_word,
                format!(
                    "ambiguous defaults section name '{from}' referenced by {kind} '{}' exists at least at {}:{} \
                     and {}:{}.",
                    header.name, origin.file, origin.line, other.file, other.line
                ),
            ));
        }
        if let Some(bad) = from.chars().find(|c| !is_name_char(*c)) {
            return Err(ParseError::at(
                header.from_word,
                format!(
                    "character '{bad}' is not permitted in defaults section name '{from}' when designated by its \
                     name (section found at {}:{}).",
                    origin.file, origin.line
                ),
            ));
        }
        if section != Section::Defaults {
            self.defaults[first].named = true;
            self.mixed(first, warnings);
        }
        Ok(Some(first))
    }

    fn mixed(&self, index: usize, warnings: &mut Vec<String>) {
        let Defaults { name, place, named, assumed, .. } = &self.defaults[index];
        if *named && *assumed {
            warnings.push(format!(
                "defaults section '{name}' (declared at {}:{}) is both explicitly referenced and implicitly used. \
                 To avoid any ambiguity don't mix both usage. Add a last defaults section not explicitly used or \
                 always use explicit references.",
                place.file, place.line
            ));
        }
    }

    /// Whether a section may take over the rules of its `defaults`.
    fn take_rules(&mut self, index: usize, section: Section, lines: &[Line]) -> Result<(), ParseError> {
        let rules = || lines.iter().filter(|line| line.words[0] != "acl");
        if rules().next().is_none() {
            return Ok(());
        }
        let parent = &mut self.defaults[index];
        let (file, line) = (&parent.place.file, parent.place.line);
        if let Some(unfit) = rules().find_map(|line| unfit(section, &line.words)) {
            return Err(ParseError::new(format!(
                "a {} section cannot inherit from a defaults section defining {unfit} rules (defaults section at \
                 {file}:{line}).",
                section.name()
            )));
        }
        let taken = &mut parent.rules_taken;
        match section {
            Section::Frontend => taken.0 = true,
            Section::Backend => taken.1 = true,
            Section::Listen => {
                let text = "a listen section cannot inherit from a defaults section defining TCP/HTTP rules.";
                return Err(ParseError::new(text));
            }
            Section::Defaults => {}
        }
        if *taken == (true, true) {
            return Err(ParseError::new(format!(
                "frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules \
                 (defaults section at {file}:{line})."
            )));
        }
        Ok(())
    }

    /// Reads a rule of a named `defaults` as if it stood in the section that takes it over.
    fn replay(&mut self, draft: &mut Draft, line: &Line) {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let place = Place { file: line.file.clone(), line: line.number };
        self.registry.patterns.set_place(&place);
        self.registry.tables.set_present(&draft.name, &place);
        let mut warnings = Vec::new();
        let result = proxy::line(ProxyLine {
            words: &words,
            draft,
            registry: &self.registry,
            bufsize: self.parts.global.bufsize,
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

    /// A frontend and a backend may share a name; two of a kind may not.
    fn unique(&self, section: Section, name: &str) -> Result<(), ParseError> {
        if section == Section::Defaults {
            return Ok(());
        }
        let overlaps = |other: Section| {
            (other.frontend() && section.frontend()) || (other.backend() && section.backend())
        };
        match self.parts.drafts.iter().find(|other| other.name == name && overlaps(other.section)) {
            Some(other) => Err(ParseError::at(
                1,
                format!(
                    "{} '{name}' has the same name as {} declared at {}:{}.",
                    section.noun(),
                    other.title(),
                    other.place.file,
                    other.place.line
                ),
            )),
            None => Ok(()),
        }
    }

    /// Ends the section.
    fn leave(&mut self) {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Proxy(draft) if draft.section == Section::Defaults => self.defaults.push(Defaults {
                name: draft.name,
                place: draft.place,
                settings: draft.settings,
                named: false,
                assumed: false,
                rules_taken: (false, false),
            }),
            Current::Proxy(mut draft) => {
                if let Some((place, text)) = options::settle(&mut draft, &self.registry) {
                    self.tell(Severity::Warning, Form::Keyword, &place, text);
                }
                self.parts.drafts.push(*draft);
            }
            Current::Mailers(section) => self.parts.mailers.push(section),
            Current::ErrorPages(section) => section.finish(&self.registry.pages),
            Current::Nothing | Current::Global | Current::Refused(_) => {}
        }
    }

    /// Judges the whole.
    pub(super) fn outcome(mut self) -> Outcome {
        let mut config = None;
        if self.alerts() == 0 {
            let patterns = self.registry.patterns.clone();
            patterns.number();
            let tables = self.registry.tables.clone();
            self.diagnostics.extend(tables.missing().iter().map(missing_table));
            error_pages::review(&self.registry.pages, &mut self.diagnostics);
            config = Some(Config { patterns, tables, ..finish::finish(self.parts, &mut self.diagnostics) });
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

/// A stick table that a line refers to and nobody declares.
fn missing_table(wanted: &Wanted) -> Diagnostic {
    let Wanted { name, proxy, by, place } = wanted;
    if by.starts_with("track-sc") {
        return Diagnostic::alert(format!(
            "Proxy '{proxy}': unable to find table '{name}' referenced by {by}."
        ));
    }
    let text = format!("unable to find table '{name}' referenced {by} in proxy '{proxy}'.");
    Diagnostic::line(Severity::Alert, Form::Lexical, place, text)
}

/// `no` or `default` in front of a keyword: how many words to skip, and whether.
fn negation(words: &[&str]) -> Result<(usize, bool), ParseError> {
    match words {
        ["no" | "default", keyword, ..] => match *keyword {
            "option" | "log" => Ok((1, true)),
            name if tuning::NEGATABLE.contains(&name) => Ok((1, true)),
            _ => Err(ParseError::at(0, NEGATION)),
        },
        _ => Ok((0, false)),
    }
}

const NEGATION: &str = "negation/default currently supported only for options, log, busy-polling, set-dumpable, \
                        strict-limits, insecure-fork-wanted and numa-cpu-mapping.";
