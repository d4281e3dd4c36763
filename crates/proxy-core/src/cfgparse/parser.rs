//! Files in, configuration or errors out.

use std::{net::IpAddr, path::Path};

use super::{Diagnostic, Env, Severity, Source, condition::Build, reader::Reader};
use crate::{config::Config, registry::Registry};

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
        let mut reader = Reader::new(registry, build, resolve, diagnostics);
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
