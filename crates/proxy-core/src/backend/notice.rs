//! The lines people read when a server changes, worded as HAProxy words them.

use std::fmt::Write as _;

use super::{
    event::{AdminFlags, CheckSnapshot, OpState},
    server::Server,
};
use crate::{config::Proxy, log::Level};

/// A line for the log and for the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its level in the log.
    pub level: Level,
    /// The line in the log, without line end.
    pub text: String,
    /// The line on the terminal where its wording differs.
    pub terminal: Option<String>,
    /// Whether the terminal calls it an alert rather than a warning.
    pub alert: bool,
}

impl Notice {
    /// The line for the terminal, without tag and process id.
    #[must_use]
    pub fn terminal_text(&self) -> &str {
        self.terminal.as_deref().unwrap_or(&self.text)
    }
}

/// How many servers of a proxy can be chosen, (active, backup).
#[must_use]
pub fn usable_servers(proxy: &Proxy) -> (usize, usize) {
    proxy.servers.iter().filter(|s| s.is_usable()).fold((0, 0), |(active, backup), server| {
        if server.config.backup { (active, backup + 1) } else { (active + 1, backup) }
    })
}

/// What the lines about one change have in common.
pub(crate) struct Words<'a> {
    pub(crate) server: &'a Server,
    pub(crate) proxy: &'a Proxy,
    pub(crate) requeued: usize,
}

impl Words<'_> {
    fn subject(&self) -> String {
        let backup = if self.server.config.backup { "Backup " } else { "" };
        format!("{backup}Server {}/{}", self.server.proxy.name, self.server.config.name)
    }

    fn left(&self, word: &str) -> String {
        let (active, backup) = usable_servers(self.proxy);
        let fallback = if active == 0 && backup > 0 { " Running on backup." } else { "" };
        format!("{active} active and {backup} backup servers {word}.{fallback}")
    }

    fn down_tail(&self) -> String {
        format!(
            "{} {} sessions active, {} requeued, {} remaining in queue.",
            self.left("left"),
            self.server.served(),
            self.requeued,
            self.server.queued.cur()
        )
    }

    fn up_tail(&self) -> String {
        format!(
            "{} {} sessions requeued, {} total in queue.",
            self.left("online"),
            self.requeued,
            self.server.queued.cur()
        )
    }

    /// An operational change; `why` is empty or what follows the state (`, reason: …`).
    pub(crate) fn operational(&self, new: OpState, why: &str) -> Notice {
        let (level, word, tail) = match new {
            OpState::Stopped => (Level::Alert, "DOWN", self.down_tail()),
            OpState::Stopping => (Level::Notice, "stopping", self.up_tail()),
            OpState::Starting | OpState::Running => (Level::Notice, "UP", self.up_tail()),
        };
        warning(level, format!("{} is {word}{why}. {tail}", self.subject()))
    }

    /// Maintenance was entered; `was` is the state before.
    pub(crate) fn enters_maint(&self, was: OpState, why: &str) -> Notice {
        if was == OpState::Stopped {
            warning(Level::Notice, format!("{} was DOWN and now enters maintenance{why}.", self.subject()))
        } else {
            let tail = self.down_tail();
            warning(Level::Alert, format!("{} is going DOWN for maintenance{why}. {tail}", self.subject()))
        }
    }

    /// Maintenance was left.
    pub(crate) fn leaves_maint(&self, op: OpState, admin: AdminFlags) -> Notice {
        let word = if op == OpState::Stopped { "DOWN" } else { "UP" };
        let then = if admin.is_drain() { "DRAIN" } else { "READY" };
        let text = format!("{} is {word}/{then} (leaving forced maintenance).", self.subject());
        warning(Level::Notice, text)
    }

    /// Draining began.
    pub(crate) fn enters_drain(&self, why: &str) -> Notice {
        warning(Level::Notice, format!("{} enters drain state{why}. {}", self.subject(), self.up_tail()))
    }

    /// Draining ended.
    pub(crate) fn leaves_drain(&self, op: OpState) -> Notice {
        let word = if op == OpState::Stopped { "DOWN" } else { "UP" };
        warning(Level::Notice, format!("{} is {word} (leaving forced drain).", self.subject()))
    }

    /// The backend lost its last server.
    pub(crate) fn backend_empty(&self) -> Notice {
        let name = &self.server.proxy.name;
        Notice {
            level: Level::Emerg,
            text: format!("backend {name} has no server available!"),
            terminal: Some(format!("backend '{name}' has no server available!")),
            alert: true,
        }
    }

    /// A check ended (`option log-health-checks`).
    pub(crate) fn check(&self, check: &CheckSnapshot, succeeded: bool) -> Notice {
        let backup = if self.server.config.backup { "backup " } else { "" };
        let how = match (succeeded, check.result) {
            (true, super::event::CheckOutcome::CondPassed) => "conditionally succeeded",
            (true, _) => "succeeded",
            (false, _) => "failed",
        };
        let health = check.health;
        let (n, of, word) = if health.is_up() {
            (health.cur - health.rise + 1, health.fall, "UP")
        } else {
            (health.cur, health.rise, "DOWN")
        };
        let agent = if check.agent { "Agent" } else { "Health" };
        let text = format!(
            "{agent} check for {backup}server {}/{} {how}{}, status: {n}/{of} {word}.",
            self.server.proxy.name,
            self.server.config.name,
            reason(check),
        );
        warning(Level::Notice, text)
    }
}

/// `, reason: …` as it stands in lines about checks.
pub(crate) fn reason(check: &CheckSnapshot) -> String {
    let mut out = format!(", reason: {}", check.status.description());
    if check.status.has_code() {
        let _ = write!(out, ", code: {}", check.code);
    }
    if !check.info.is_empty() {
        out.push_str(", info: \"");
        for byte in check.info.bytes() {
            match byte {
                b'"' | 0..=31 | 127..=255 => write!(out, "<{byte:02X}>").unwrap_or_default(),
                _ => out.push(char::from(byte)),
            }
        }
        out.push('"');
    }
    let _ = write!(out, ", check duration: {}ms", check.duration.as_millis());
    out
}

fn warning(level: Level, text: String) -> Notice {
    Notice { level, text, terminal: None, alert: false }
}
