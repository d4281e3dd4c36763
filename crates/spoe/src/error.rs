//! The crate's errors: each names who is to blame, because that decides what happens next.
//!
//! An agent's fault costs the exchanges of its connection; the proxy's fault ends its connection to our agent; a fault of the
//! configuration stops the start; the host's fault is I/O. What a stream sees of all this is one number, [`StreamError`].
//!
//! Source: SPOE.txt §2.2 (`option set-on-error`), §3.5.

use std::io;

use crate::config::ConfigErrors;
use crate::frame::{DecodeError, Status};

/// What went wrong, by who is to blame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The agent broke the protocol; a DISCONNECT with that status is queued.
    #[error("agent broke the protocol: {0}")]
    Agent(Violation),
    /// The proxy broke the protocol; a DISCONNECT with that status is queued.
    #[error("haproxy broke the protocol: {0}")]
    Haproxy(Violation),
    /// The connection, or making it, failed.
    #[error("connection failed: {0}")]
    Host(#[from] io::Error),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
}

/// A breach of the protocol: its status code, and the byte if one is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The status code of the DISCONNECT that answers it.
    pub status: Status,
    /// What could not be decoded, if that was it.
    pub detail: Option<DecodeError>,
}

impl Violation {
    pub(crate) const fn new(status: Status) -> Self {
        Self { status, detail: None }
    }
}

impl From<DecodeError> for Violation {
    fn from(detail: DecodeError) -> Self {
        Self { status: detail.status(), detail: Some(detail) }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.status),
            None => self.status.fmt(f),
        }
    }
}

/// What a stream sees when its exchange fails: the value of `option set-on-error`, and `st=` in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// 1: the processing timeout passed.
    #[error("processing timeout")]
    Timeout,
    /// 2: out of a resource, e.g. too many exchanges at once.
    #[error("resource allocation error")]
    Resources,
    /// 3: the payload exceeds the frame size and cannot be fragmented.
    #[error("payload too big")]
    TooBig,
    /// 4: the agent gave up in the middle of a fragmented payload.
    #[error("fragmentation aborted by the agent")]
    FragmentAborted,
    /// 5: given up by the proxy, e.g. while it stops.
    #[error("interrupted by the proxy")]
    Interrupted,
    /// 255: anything else.
    #[error("unknown error")]
    Unknown,
    /// 256 + N: the connection that the exchange waited on ended with this status.
    #[error("spop error: {0}")]
    Spop(Status),
}

impl StreamError {
    /// The number that `option set-on-error` reports.
    pub const fn code(self) -> u32 {
        match self {
            Self::Timeout => 1,
            Self::Resources => 2,
            Self::TooBig => 3,
            Self::FragmentAborted => 4,
            Self::Interrupted => 5,
            Self::Unknown => 255,
            Self::Spop(status) => 256 + status.0,
        }
    }

    /// What waiters get when their connection ends with `status`. An end without error while an answer is due is a lost
    /// connection to them.
    pub(crate) const fn lost(status: Status) -> Self {
        match status {
            Status::NORMAL => Self::Spop(Status::IO),
            other => Self::Spop(other),
        }
    }
}
