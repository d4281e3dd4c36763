//! x
/// e
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ConfigErrors;
