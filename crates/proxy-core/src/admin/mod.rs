//! The runtime API's commands, as functions from a line to a text.
//!
//! [`run`] handles one command. Connections, `prompt`, payloads, and commands that know of more
//! than the proxy belong to the embedder, who splits a line with [`split_commands`], tries his own
//! commands first, and lists them in [`AdminContext::commands`] so that `help` shows them.
//!
//! Texts are HAProxy's, as observed from 2.6; fields are those of 3.4 (management.txt §9.1, §9.3).

pub mod command;
mod frontend;
pub mod info;
mod patterns;
mod server;
pub mod stat;
mod state;
mod tables;
mod words;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use command::Command;
pub use info::ProcessInfo;
pub use words::{split_commands, split_words};

use crate::{
    backend::server::{ChangeContext, Server},
    config::{AccessLevel, Proxy},
    worker::{Shared, Worker},
};

/// What commands work on.
#[derive(Clone, Copy)]
pub struct AdminContext<'a> {
    /// The running configuration and who is told of changes.
    pub shared: &'a Shared,
    /// The worker, for log lines about changes; `None` sends none.
    pub worker: Option<&'a Worker>,
    /// The present.
    pub now: Instant,
    /// The same since the Unix epoch.
    pub wall: Duration,
    /// What only the embedder knows about the process.
    pub process: &'a ProcessInfo,
    /// The embedder's own commands, for `help`.
    pub commands: &'a [Command<'a>],
}

/// What a command says.
///
/// The text ends in a line feed, or not, as HAProxy's does; after each answer the connection adds
/// one more line feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The text; empty for a change that was made.
    pub text: String,
    /// Whether the command was refused.
    pub failed: bool,
}

impl Answer {
    /// Nothing to say: it was done.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// Something to read.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), failed: false }
    }

    /// A refusal; its line end is added.
    pub fn error(line: impl Into<String>) -> Self {
        let mut text = line.into();
        text.push('\n');
        Self { text, failed: true }
    }

    /// A refusal without a line end, where HAProxy has none.
    fn bare_error(text: impl Into<String>) -> Self {
        Self { text: text.into(), failed: true }
    }

    fn denied() -> Self {
        Self::error("Permission denied")
    }
}

/// Runs one command line at a level. Unknown commands get a list of those that are like it.
#[must_use]
pub fn run(line: &str, level: AccessLevel, cx: &AdminContext<'_>) -> Answer {
    run_with_payload(line, None, level, cx)
}

/// As [`run`], with the lines that followed a command's `<<`.
#[must_use]
pub fn run_with_payload(
    line: &str,
    payload: Option<&str>,
    level: AccessLevel,
    cx: &AdminContext<'_>,
) -> Answer {
    let words = split_words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let may = |needed: AccessLevel| level >= needed;
    match &words[..] {
        ["show", "info", rest @ ..] => info::show(rest, cx),
        ["show", "stat", rest @ ..] => stat::show(rest, level, cx),
        ["show", "servers", "state", rest @ ..] => state::show_servers(rest, cx),
        ["show", "backend", ..] => state::show_backends(cx),
        ["show", "cli", "level", ..] => Answer::text(format!("{}\n", level_name(level))),
        ["show", "version", ..] => Answer::text(format!("{}\n", cx.process.version)),
        [verb, what @ ("map" | "acl"), rest @ ..] if patterns::VERBS.contains(verb) => {
            patterns::run(verb, what, rest, payload, cx)
        }
        ["show", "table", rest @ ..] => tables::show(rest, level, cx),
        ["set" | "clear", "table", ..] if !may(AccessLevel::Operator) => Answer::denied(),
        ["set", "table", rest @ ..] => tables::set(rest, cx),
        ["clear", "table", rest @ ..] => tables::clear(rest, cx),
        ["get", "weight", rest @ ..] => server::get_weight(rest, cx),
        ["set", "server" | "weight", ..]
        | ["set", "maxconn", "server", ..]
        | ["enable" | "disable", "server" | "health" | "agent", ..]
        | ["enable" | "disable" | "shutdown", "frontend", ..]
        | ["shutdown", "sessions", "server", ..]
            if !may(AccessLevel::Admin) =>
        {
            Answer::denied()
        }
        ["set", "server", rest @ ..] => server::set(rest, cx),
        ["set", "weight", rest @ ..] => server::set_weight(rest, cx),
        ["set", "maxconn", "server", rest @ ..] => server::set_maxconn(rest, cx),
        [verb @ ("enable" | "disable"), what @ ("server" | "health" | "agent"), rest @ ..] => {
            server::switch(*verb == "enable", what, rest, cx)
        }
        [verb @ ("enable" | "disable"), "frontend", rest @ ..] => {
            frontend::switch(*verb == "enable", rest, cx)
        }
        ["shutdown", "frontend", rest @ ..] => frontend::shutdown(rest, cx),
        ["shutdown", "sessions", "server", rest @ ..] => frontend::kill_sessions(rest, cx),
        ["help", rest @ ..] => Answer::text(command::help(rest, cx.commands)),
        other => Answer { text: command::unknown(other, cx.commands), failed: true },
    }
}

/// A level's name.
#[must_use]
pub fn level_name(level: AccessLevel) -> &'static str {
    match level {
        AccessLevel::User => "user",
        AccessLevel::Operator => "operator",
        AccessLevel::Admin => "admin",
    }
}

impl<'a> AdminContext<'a> {
    /// A backend by name, or by id as `#3`.
    fn backend(&self, name: &str) -> Option<&'a Arc<Proxy>> {
        let config = &self.shared.config;
        match name.strip_prefix('#').and_then(|id| id.parse::<u32>().ok()) {
            Some(uuid) => config.proxies.iter().find(|p| p.uuid == uuid && p.capabilities.backend),
            None => config.backends.get(name),
        }
    }

    /// The server that `backend/server` names.
    fn server(&self, path: Option<&&str>) -> Result<(&'a Arc<Proxy>, &'a Arc<Server>), Answer> {
        let (backend, server) = path
            .and_then(|path| path.split_once('/'))
            .ok_or_else(|| Answer::error("Require 'backend/server'."))?;
        let proxy = self.backend(backend).ok_or_else(|| Answer::error("No such backend."))?;
        let found = proxy.servers.iter().find(|s| match server.strip_prefix('#') {
            Some(id) => id.parse() == Ok(s.puid),
            None => s.name() == server,
        });
        Ok((proxy, found.ok_or_else(|| Answer::error("No such server."))?))
    }

    fn change(&self, proxy: &'a Arc<Proxy>) -> ChangeContext<'a> {
        ChangeContext { now: self.now, proxy, observer: &*self.shared.observer, worker: self.worker }
    }
}

#[cfg(test)]
mod tests;
