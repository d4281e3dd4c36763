//! `spoe-message` and `spoe-group` sections.
//!
//! Source: SPOE.txt §2.3, §2.4.

use super::diagnostic::Place;
use crate::message::Event;

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// The word.
    pub place: Place,
}

/// Words for the proxy to compile, and where the first stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The words.
    pub words: Vec<String>,
    /// The first of them.
    pub place: Place,
}

/// A `spoe-message` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its name.
    pub name: Name,
    /// `args`, of all lines.
    pub args: Vec<Argument>,
    /// `acl`: each line's words behind the keyword.
    pub acls: Vec<Words>,
    /// `event`, the last one.
    pub event: Option<EventRule>,
}

/// One `[name=]sample`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The name; empty if none is given.
    pub name: String,
    /// The sample expression.
    pub sample: String,
    /// The word.
    pub place: Place,
}

/// An `event` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRule {
    /// When the message is sent.
    pub event: Event,
    /// Under what condition.
    pub condition: Option<Condition>,
    /// The event's name.
    pub place: Place,
}

/// `if` or `unless` and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is negated.
    pub unless: bool,
    /// The condition behind `if` or `unless`.
    pub words: Words,
}

/// A `spoe-group` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Name,
    /// `messages`, of all lines.
    pub messages: Vec<Name>,
}
