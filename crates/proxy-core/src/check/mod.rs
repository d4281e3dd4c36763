//! Health checks.

/// How the servers of a proxy are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckSpec {
    /// Connect only.
    #[default]
    Connect,
}
