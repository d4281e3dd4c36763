//! One case of the list, and what can come of it.

use super::agent::Agent;

/// A case.
pub(super) struct Case {
    /// Short, for reports and `--only`.
    pub(super) name: &'static str,
    /// What it shows about an agent that passes.
    pub(super) shows: &'static str,
    /// Runs it.
    pub(super) run: fn(&Agent) -> Verdict,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should, perhaps with something to know.
    Passed(Option<String>),
    /// Not as it should, and how.
    Failed(String),
    /// It does not apply to this agent, and why.
    Skipped(String),
}

/// The outcome; the error is [`Outcome::Failed`].
pub(super) type Verdict = Result<Outcome, String>;

/// Passed without a word.
pub(super) const PASSED: Verdict = Ok(Outcome::Passed(None));

/// Passed, with something to know.
pub(super) fn noted(note: impl Into<String>) -> Verdict {
    Ok(Outcome::Passed(Some(note.into())))
}

/// Skipped, and why.
pub(super) fn skipped(why: &str) -> Verdict {
    Ok(Outcome::Skipped(why.to_owned()))
}
