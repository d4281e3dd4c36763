//! The contexts in which a script runs, as a table: what may yield, which limit counts, what HAProxy calls it.
//!
//! Source: lua-api "Lua in HAProxy", `doc/lua.txt` ("Non blocking design", "Execution time").

use std::fmt;

/// Where a piece of Lua runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
}

impl ContextKind {
    /// Whether blocking calls may wait here.
    pub fn may_yield(self) -> bool {
        use ContextKind::*;
        matches!(self, Task | Action | ServiceHttp | ServiceTcp | Event)
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
            Fetch => "sample fetch",
            Converter => "converter",
            ServiceHttp => "HTTP service",
            ServiceTcp => "TCP service",
            Event => "event handler",
        })
    }
}
