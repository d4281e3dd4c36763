//! Health checks.
//!
//! ```text
//!  CheckSpec (configuration) ──► Check (sans-IO, one check of one server) ──► CheckResult
//!                                   ▲ bytes, time                               │
//!  run (the endless loop of one server, on its worker) ─────────────────────────┴► Server::apply_check
//! ```

pub mod draft;
pub mod http;
mod machine;
pub mod run;
pub mod status;
pub mod tcp;

use std::{fmt, sync::Arc, time::Duration};

pub use draft::CheckDraft;
pub use http::HttpCheck;
pub use machine::{Check, Limits};
pub use run::{needs_task, run};
use status::CheckStatus;
pub use tcp::TcpStep;

/// How the servers of a proxy are checked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum CheckSpec {
    /// Connect only.
    #[default]
    Connect,
    /// `option httpchk`.
    Http(Arc<HttpCheck>),
    /// `option tcp-check` with its steps.
    Tcp(Arc<[TcpStep]>),
    /// A protocol that somebody else knows.
    Probe(Arc<dyn Prober>),
}

/// A check in a protocol from outside: a request, and the judgement of its answer.
pub trait Prober: Send + Sync + fmt::Debug {
    /// The bytes to send once connected.
    fn request(&self) -> Vec<u8>;
    /// Judges what has come so far; `ended` says that no more will come.
    ///
    /// `None`: more is needed. `None` after the end counts as an invalid answer.
    fn judge(&self, answer: &[u8], ended: bool) -> Option<Verdict>;
}

const _: Option<&dyn Prober> = None;

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The status.
    pub status: CheckStatus,
    /// The layer-7 code; 0 for none.
    pub code: u16,
    /// What the server said; may be empty.
    pub info: String,
}

impl Verdict {
    /// A verdict without code.
    #[must_use]
    pub fn new(status: CheckStatus, info: impl Into<String>) -> Self {
        Self { status, code: 0, info: info.into() }
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// An agent check, not a health check.
    pub agent: bool,
    /// The status.
    pub status: CheckStatus,
    /// The layer-7 code, where there is one.
    pub code: u16,
    /// What the server or the system said about it; may be empty.
    pub info: Arc<str>,
    /// How long it took.
    pub duration: Duration,
}
