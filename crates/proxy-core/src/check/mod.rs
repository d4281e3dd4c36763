//! Health checks.

pub mod status;

use std::{sync::Arc, time::Duration};

/// How the servers of a proxy are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckSpec {
    /// Connect only.
    #[default]
    Connect,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// An agent check, not a health check.
    pub agent: bool,
    /// The status.
    pub status: status::CheckStatus,
    /// The layer-7 code, where there is one.
    pub code: u16,
    /// What the server or the system said about it; may be empty.
    pub info: Arc<str>,
    /// How long it took.
    pub duration: Duration,
}
