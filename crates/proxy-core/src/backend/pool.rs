//! Idle server connections of one worker.

/// Idle connections by server.
#[derive(Default)]
pub struct Pools {}
