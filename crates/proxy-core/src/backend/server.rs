//! A server: its settings, its state, its transitions.

use crate::config::ServerConfig;

/// A server, shared by all threads.
pub struct Server {
    /// The `server` line.
    pub config: ServerConfig,
}

/// What happened to a server, with everything observers may report.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerEvent {
    /// It came up.
    Up,
}
