//! What changes about a proxy while it runs.

/// Counters and queue of one proxy, shared by all threads.
#[derive(Default)]
pub struct ProxyState {}
