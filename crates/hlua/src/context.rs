//! The contexts in which a script runs, as a table: what may yield, which limit counts, what HAProxy calls it.
//!
//! The run-time check, the snapshots and the error texts all read this table and the contexts that each entry of the
//! API names.
//!
//! Source: lua-api "Lua in HAProxy", `doc/lua.txt` ("Non blocking design", "Execution time").

use std::fmt;

/// Where a piece of Lua runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ContextKind {
    /// The main chunk of a script, while the configuration is read.
    Body,
    /// A function of `core.register_init`, once the configuration is read.
    Init,
    /// A background task.
    Task,
    /// An action of a ruleset.
    Action,
    /// A sample fetch.
    Fetch,
    /// A converter.
    Converter,
    /// A service over HTTP.
    ServiceHttp,
    /// A service over TCP.
    ServiceTcp,
    /// An event handler.
    Event,
    /// A command of the runtime API.
    Cli,
    /// A callback of a filter.
    Filter,
}

/// Which run-time limit counts in a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Main chunks and init functions: none.
    Start,
    /// Actions, fetches, converters, filters.
    Session,
    /// Tasks and event handlers.
    Task,
    /// Services.
    Service,
}

impl ContextKind {
    /// All of them, in the order of a process's life.
    pub const ALL: [ContextKind; 11] = {
        use ContextKind::*;
        [Body, Init, Task, Action, Fetch, Converter, ServiceHttp, ServiceTcp, Event, Cli, Filter]
    };

    /// Whether blocking calls may wait here. (In body and init they do nothing, as in HAProxy.)
    pub fn may_yield(self) -> bool {
        use ContextKind::*;
        matches!(self, Task | Action | ServiceHttp | ServiceTcp | Event | Cli)
    }

    /// Whether the process is still starting.
    pub(crate) fn is_start(self) -> bool {
        matches!(self, ContextKind::Body | ContextKind::Init)
    }

    pub(crate) fn group(self) -> Group {
        use ContextKind::*;
        match self {
            Body | Init => Group::Start,
            Action | Fetch | Converter | Filter => Group::Session,
            Task | Event => Group::Task,
            ServiceHttp | ServiceTcp | Cli => Group::Service,
        }
    }

    /// The word of the table of facts; services and commands are one there.
    pub(crate) fn word(self) -> &'static str {
        use ContextKind::*;
        match self {
            Body => "body",
            Init => "init",
            Task => "task",
            Action => "action",
            Fetch => "sample-fetch",
            Converter => "converter",
            ServiceHttp | ServiceTcp | Cli => "service",
            Event => "event",
            Filter => "filter",
        }
    }

    /// The name HAProxy's log lines give to a function that runs here.
    pub(crate) fn label(self, name: &str) -> String {
        use ContextKind::*;
        match self {
            Body => "Lua".to_string(),
            Init => "Lua init".to_string(),
            Task => "Lua task".to_string(),
            Action => format!("Lua function '{name}'"),
            Fetch => format!("Lua sample-fetch '{name}'"),
            Converter => format!("Lua converter '{name}'"),
            ServiceHttp => format!("Lua applet http '<lua.{name}>'"),
            ServiceTcp => format!("Lua applet tcp '<lua.{name}>'"),
            Event => "Lua event_hdl".to_string(),
            Cli => format!("Lua cli '<lua.{name}>'"),
            Filter => format!("Lua filter '{name}' "),
        }
    }

    /// What a script should do instead of waiting here.
    pub(crate) fn instead(self) -> &'static str {
        use ContextKind::*;
        match self {
            Fetch => "a sample fetch cannot wait: wait in an action and hand the result over in a variable",
            Converter => "a converter cannot wait: wait in an action and hand the result over in a variable",
            Filter => {
                "a filter's callback cannot wait: return filter.WAIT and say with filter.wake_time when to call it again"
            }
            Init => "init functions cannot wait: use core.register_task",
            _ => "this place cannot wait",
        }
    }
}

impl fmt::Display for ContextKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ContextKind::*;
        f.write_str(match self {
            Body => "body",
            Init => "init",
            Task => "task",
            Action => "action",
            Fetch => "sample-fetch",
            Converter => "converter",
            ServiceHttp => "service http",
            ServiceTcp => "service tcp",
            Event => "event",
            Cli => "cli",
            Filter => "filter",
        })
    }
}

/// A set of contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contexts(u16);

impl Contexts {
    /// Everywhere.
    pub const ALL: Contexts = Contexts(0x7ff);

    /// Exactly these.
    pub const fn of(kinds: &[ContextKind]) -> Contexts {
        let mut bits = 0;
        let mut at = 0;
        while at < kinds.len() {
            bits |= 1 << kinds[at] as u16;
            at += 1;
        }
        Contexts(bits)
    }

    /// Whether the set holds `kind`.
    pub const fn allows(self, kind: ContextKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

impl fmt::Display for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Contexts::ALL {
            return f.write_str("all");
        }
        let names: Vec<_> = ContextKind::ALL
            .into_iter()
            .filter(|kind| self.allows(*kind))
            .map(|kind| kind.to_string())
            .collect();
        f.write_str(&names.join(", "))
    }
}
