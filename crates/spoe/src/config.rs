//! The SPOE configuration file: `spoe-agent`, `spoe-message` and `spoe-group` sections of one scope, as typed values.
//!
//! Lines come lexed: quotes, escapes, variables and comments are the proxy's matter. What only the proxy can compile — sample
//! expressions, ACLs, conditions, log targets — stays words, each with its [`Place`]. Keywords that HAProxy 3.1 made no-ops
//! keep their meaning of 2.8. All errors of a file are reported, not the first only.
//!
//! Source: SPOE.txt §2.

mod agent;
mod diagnostic;
mod message;
mod parser;

use std::sync::Arc;

use crate::message::Event;

pub use agent::{Agent, FailMode};
pub use diagnostic::{ConfigErrors, Diagnostic, Place};
pub use message::{Argument, Condition, EventRule, Group, Message, Name, Words};

/// One line of the file, lexed. Empty lines may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file, as errors name it.
    pub file: Arc<str>,
    /// Its number, from 1.
    pub line_no: usize,
    /// Its words, unquoted and with variables expanded.
    pub words: Vec<String>,
}

/// One scope of a file, checked: every name it uses is defined in it.
#[derive(Clone, Debug)]
pub struct SpoeConfig {
    /// The one agent of the scope.
    pub agent: Agent,
    /// All messages, in the order of the file.
    pub messages: Vec<Message>,
    /// All groups, in the order of the file.
    pub groups: Vec<Group>,
    /// What is legal but hardly meant.
    pub warnings: Vec<Diagnostic>,
}

impl SpoeConfig {
    /// Parses the lines of one file for `filter spoe [engine NAME]`: only what stands under the scope `[NAME]` counts, the
    /// rest is not looked at; without a name, what stands before any scope.
    ///
    /// `frame_size_bytes_max` is the largest allowed and the default `max-frame-size`: `tune.bufsize - 4`.
    ///
    /// # Errors
    /// Everything wrong with the scope, in the order of the lines, then what is missing.
    pub fn parse(
        lines: impl IntoIterator<Item = Line>,
        engine: Option<&str>,
        frame_size_bytes_max: u32,
    ) -> Result<Self, ConfigErrors> {
        parser::parse(lines, engine, frame_size_bytes_max)
    }

    /// The message of that name.
    pub fn message(&self, name: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.name.text == name)
    }

    /// The messages to send on `event`, in the order of the agent's `messages` lines. In a listen section the backend's
    /// request events are the frontend's.
    pub fn messages_on(&self, event: Event, in_listen: bool) -> impl Iterator<Item = &Message> {
        let matches = move |e: Event| event == if in_listen { e.in_listen() } else { e };
        self.agent
            .messages
            .iter()
            .filter_map(|name| self.message(&name.text))
            .filter(move |message| message.event.as_ref().is_some_and(|rule| matches(rule.event)))
    }

    /// The messages of a group that the agent handles, in the order of its `messages` lines.
    pub fn group(&self, name: &str) -> Option<impl Iterator<Item = &Message>> {
        self.agent.groups.iter().find(|group| group.text == name)?;
        let group = self.groups.iter().find(|group| group.name.text == name)?;
        Some(group.messages.iter().filter_map(|name| self.message(&name.text)))
    }
}
