//! Errors of this crate, by who is to blame, with HAProxy's words where HAProxy has words for them.
//!
//! [`Error`] is what an embedder gets: its `Display` is the text to log, already with the function's name as
//! HAProxy writes it (`Lua function 'x': runtime error: …`).

/// What went wrong, and by whose doing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The script raised an error; the text has file, line and trace.
    #[error("{function}: {message}")]
    Script {
        /// Who ran, as in `Lua function 'name'`.
        function: String,
        /// Message and trace.
        message: String,
    },
    /// The script does not compile, or a file could not be read.
    #[error("{0}")]
    Load(String),
    /// The memory cap was hit; only this run ends.
    #[error("{function}: out of memory error.")]
    Memory {
        /// Who ran.
        function: String,
    },
    /// The run time was used up.
    #[error("{function}: {message}")]
    Timeout {
        /// Who ran.
        function: String,
        /// Which limit, and where the script was.
        message: String,
    },
    /// A blocking call where the context forbids it.
    #[error("{function}: yield not allowed. ({message})")]
    Yield {
        /// Who ran.
        function: String,
        /// What to use instead.
        message: String,
    },
    /// The embedder asked for something that is not there.
    #[error("lua: no {kind} named '{name}'")]
    Unknown {
        /// What was looked for.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The host could not do its part.
    #[error("{0}")]
    Host(#[from] crate::host::HostError),
    /// A defect here; the run was ended.
    #[error("{function}: internal error: {message}")]
    Internal {
        /// Who ran.
        function: String,
        /// The panic's text.
        message: String,
    },
}
