//! The other ends of a proxy under test, and the process itself.

pub(crate) mod agent;
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod marks;
pub(crate) mod orders;
pub(crate) mod origin;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod service;
pub(crate) mod spoa;
pub(crate) mod talker;
pub(crate) mod tls;
pub(crate) mod wire;

use std::time::Duration;

/// How long any single thing may take before the test is called failed. Never part of what is tested.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
