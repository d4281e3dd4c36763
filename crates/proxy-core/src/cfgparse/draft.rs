//! A proxy section while it is being read.

use std::{sync::Arc, time::Duration};

use super::{Line, error_pages::PageLine};
use crate::{
    backend::lb::Balance,
    check::CheckDraft,
    config::{
        Bind, Capabilities, LogTarget, Mode, Options, Place, RuleSets, ServerConfig, SourceAddr, Timeouts,
    },
    filter::FilterMaker,
    host::Addr,
    rules::acl::{AclTable, Cond},
    sample::logformat::LogFormat,
};

/// The kinds of proxy sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Defaults,
    Frontend,
    Backend,
    Listen,
}

impl Section {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "defaults" => Self::Defaults,
            "frontend" => Self::Frontend,
            "backend" => Self::Backend,
            "listen" => Self::Listen,
            _ => return None,
        })
    }

    /// The keyword that starts it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Listen => "listen",
        }
    }

    /// How messages call such a proxy.
    pub(super) fn noun(self) -> &'static str {
        if self == Self::Listen { "proxy" } else { self.name() }
    }

    pub(super) fn frontend(self) -> bool {
        self != Self::Backend
    }

    pub(super) fn backend(self) -> bool {
        self != Self::Frontend
    }
}

/// What a section has said so far.
pub(super) struct Draft {
    pub(super) section: Section,
    /// May be empty for `defaults`.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) settings: Settings,
    pub(super) id: Option<u32>,
    pub(super) binds: Vec<Bind>,
    pub(super) servers: Vec<ServerConfig>,
    pub(super) acls: AclTable,
    pub(super) rules: RuleSets,
    pub(super) filters: Vec<Arc<dyn FilterMaker>>,
    /// What `traffic` has become once the section was read.
    pub(super) log_format: Option<LogFormat>,
    pub(super) switching: Vec<Switch>,
    pub(super) monitor_fail: Vec<Cond>,
    /// Timeouts and delays that this section itself has set, to tell of a second time.
    pub(super) timeouts_seen: Vec<&'static str>,
}

impl Draft {
    pub(super) fn new(section: Section, name: &str, place: &Place, mut settings: Settings) -> Self {
        if !section.frontend() {
            settings.default_backend = None;
        }
        Self {
            section,
            name: name.to_owned(),
            place: place.clone(),
            settings,
            id: None,
            binds: Vec::new(),
            servers: Vec::new(),
            acls: AclTable::default(),
            rules: RuleSets::default(),
            filters: Vec::new(),
            log_format: None,
            switching: Vec::new(),
            monitor_fail: Vec::new(),
            timeouts_seen: Vec::new(),
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities { frontend: self.section.frontend(), backend: self.section.backend() }
    }

    /// Whether that place lies in this section and not in a `defaults` before it.
    pub(super) fn holds(&self, place: &Place) -> bool {
        place.file == self.place.file && place.line >= self.place.line
    }

    /// `frontend 'name'`, as messages call it.
    pub(super) fn title(&self) -> String {
        format!("{} '{}'", self.section.noun(), self.name)
    }
}

/// What a proxy takes over from its `defaults`.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) balance: Balance,
    pub(super) timeouts: Timeouts,
    pub(super) retries: u32,
    pub(super) redispatch: i32,
    pub(super) maxconn: usize,
    pub(super) backlog: u32,
    pub(super) fullconn: usize,
    pub(super) options: Options,
    pub(super) logs: Vec<LogLine>,
    pub(super) traffic: TrafficLog,
    pub(super) log_tag: Option<String>,
    pub(super) description: Option<String>,
    pub(super) disabled: bool,
    pub(super) default_backend: Option<String>,
    pub(super) source: Option<SourceAddr>,
    pub(super) pages: Vec<PageLine>,
    pub(super) monitor_uri: Option<String>,
    pub(super) check: CheckDraft,
    /// `http-check` lines were read: they ask for `option httpchk`.
    pub(super) http_check_rules: bool,
    /// `tcp-check` lines were read: they ask for `option tcp-check`.
    pub(super) tcp_check_rules: bool,
    /// What `server` lines start from.
    pub(super) server: ServerConfig,
    pub(super) tcp_request_inspect_delay: Option<Duration>,
    pub(super) tcp_response_inspect_delay: Option<Duration>,
    /// ACLs and rules of a named `defaults`; read again in each proxy, for which they may differ.
    pub(super) rule_lines: Vec<Line>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            balance: Balance::Random { draws: 2 },
            timeouts: Timeouts::default(),
            retries: RETRIES,
            redispatch: 0,
            maxconn: 0,
            backlog: 0,
            fullconn: 0,
            options: Options::default(),
            logs: Vec::new(),
            traffic: TrafficLog::default(),
            log_tag: None,
            description: None,
            disabled: false,
            default_backend: None,
            source: None,
            pages: Vec::new(),
            monitor_uri: None,
            check: CheckDraft::default(),
            http_check_rules: false,
            tcp_check_rules: false,
            server: ServerConfig::new("", Addr::Ip(([0, 0, 0, 0], 0).into())),
            tcp_request_inspect_delay: None,
            tcp_response_inspect_delay: None,
            rule_lines: Vec::new(),
        }
    }
}

/// A `log` line of a proxy.
#[derive(Clone)]
pub(super) enum LogLine {
    /// `log global`: those of the `global` section, whatever they will be.
    Global,
    /// Its own target.
    Own(LogTarget),
}

/// Which line describes an exchange, and who has said so.
#[derive(Clone, Default)]
pub(super) enum TrafficLog {
    /// The short default.
    #[default]
    Short,
    /// `option httplog`.
    Http(Place),
    /// `option tcplog`.
    Tcp(Place),
    /// `log-format`.
    Custom(LogFormat, Place),
}

impl TrafficLog {
    /// The keyword and its place.
    pub(super) fn keyword(&self) -> Option<(&'static str, &Place)> {
        match self {
            Self::Short => None,
            Self::Http(place) => Some(("option httplog", place)),
            Self::Tcp(place) => Some(("option tcplog", place)),
            Self::Custom(_, place) => Some(("log-format", place)),
        }
    }
}

/// A `use_backend` line.
pub(super) struct Switch {
    pub(super) target: Target,
    pub(super) cond: Option<Cond>,
}

/// What a `use_backend` line names.
pub(super) enum Target {
    Name(String),
    Computed(LogFormat),
}

const RETRIES: u32 = 3;
