//! What can go wrong, by who is to blame.

/// The crate's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client broke the protocol.
    #[error("client: {0}")]
    Client(&'static str),
    /// The server broke the protocol.
    #[error("server: {0}")]
    Server(&'static str),
    /// The configuration is wrong.
    #[error("configuration: {0}")]
    Config(#[from] crate::cfgparse::ParseError),
    /// The host could not do what was asked.
    #[error("host: {0}")]
    Host(#[from] std::io::Error),
}
