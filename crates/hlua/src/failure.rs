//! What is told of a run that ended by an error, beside the error itself.

use crate::context::ContextKind;

/// A run that ended by an error, as [`Core::failed`](crate::host::Core::failed) is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who ran, as HAProxy names it: `Lua function 'name'`.
    pub function: String,
    /// Where it ran.
    pub context: ContextKind,
    /// What `core.thread` gives in its VM.
    pub vm: u32,
    /// The text that is logged.
    pub message: String,
    /// The calls that were active, innermost first: `file.lua:12: in local 'helper'`.
    pub traceback: Vec<String>,
    /// What the function was called with, shortened; what it made of its parameters meanwhile.
    pub arguments: Vec<String>,
    /// [`Stream::id`](crate::host::Stream::id) of what was lent.
    pub stream: Option<String>,
}
