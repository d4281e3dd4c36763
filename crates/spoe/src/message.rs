//! When messages are sent: the events of a stream, where each may be used, and what a listen section makes of them.
//!
//! Source: SPOE.txt §3.3.

use std::fmt;

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
