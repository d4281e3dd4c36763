//! When messages are sent: the events of a stream, where each may be used, and what a listen section makes of them.
//!
//! Also the line that is logged for each.
//!
//! Source: SPOE.txt §3.3, §4.

use std::fmt;
use std::time::Duration;

/// A moment in the life of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A stream begins: with the client's connection, and again with each further request on it.
    ClientSession,
    /// The connection to the server is there.
    ServerSession,
    /// Before the frontend's `tcp-request content` rules.
    FrontendTcpRequest,
    /// Before the backend's `tcp-request content` rules.
    BackendTcpRequest,
    /// Before `tcp-response content` rules.
    TcpResponse,
    /// Before the frontend's `http-request` rules.
    FrontendHttpRequest,
    /// Before the backend's `http-request` rules.
    BackendHttpRequest,
    /// Before `http-response` rules.
    HttpResponse,
}

impl Event {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::ClientSession,
        Self::ServerSession,
        Self::FrontendTcpRequest,
        Self::BackendTcpRequest,
        Self::TcpResponse,
        Self::FrontendHttpRequest,
        Self::BackendHttpRequest,
        Self::HttpResponse,
    ];

    /// As configurations and logs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSession => "on-client-session",
            Self::ServerSession => "on-server-session",
            Self::FrontendTcpRequest => "on-frontend-tcp-request",
            Self::BackendTcpRequest => "on-backend-tcp-request",
            Self::TcpResponse => "on-tcp-response",
            Self::FrontendHttpRequest => "on-frontend-http-request",
            Self::BackendHttpRequest => "on-backend-http-request",
            Self::HttpResponse => "on-http-response",
        }
    }

    /// The event of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }

    /// Whether it happens only to filters of a frontend or listen section.
    pub const fn needs_frontend(self) -> bool {
        matches!(self, Self::ClientSession | Self::FrontendTcpRequest | Self::FrontendHttpRequest)
    }

    /// What it is in a listen section: there a backend's request events travel with the frontend's.
    pub const fn in_listen(self) -> Self {
        match self {
            Self::BackendTcpRequest => Self::FrontendTcpRequest,
            Self::BackendHttpRequest => Self::FrontendHttpRequest,
            other => other,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an exchange was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// An event's messages.
    Event(Event),
    /// A group's, named by a rule.
    Group(&'a str),
}

impl fmt::Display for Occasion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "<EVENT:{event}>"),
            Self::Group(name) => write!(f, "<GROUP:{name}>"),
        }
    }
}

/// The line logged for an exchange, in the format of HAProxy 3.1 and later: at level notice if it went well, else warning.
///
/// ```
/// use spoe::message::{Event, LogLine, Occasion};
/// let line = LogLine {
///     agent: "ag",
///     occasion: Occasion::Event(Event::FrontendHttpRequest),
///     stream: 12,
///     status: 1,
///     time: std::time::Duration::from_millis(500),
///     errors: 1,
///     processed: 40,
/// };
/// assert_eq!(line.to_string(), "SPOE: [ag] <EVENT:on-frontend-http-request> sid=12 st=1 500 1/40");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// What the exchange was made for.
    pub occasion: Occasion<'a>,
    /// The proxy's stream.
    pub stream: u64,
    /// 0, or [`StreamError::code`](crate::StreamError::code).
    pub status: u32,
    /// How long the stream waited.
    pub time: Duration,
    /// The engine's [`errors`](crate::EngineStats::errors).
    pub errors: u64,
    /// The engine's [`processed`](crate::EngineStats::processed).
    pub processed: u64,
}

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, occasion, stream, status, time, errors, processed } = self;
        let millis = time.as_millis();
        write!(f, "SPOE: [{agent}] {occasion} sid={stream} st={status} {millis} {errors}/{processed}")
    }
}
