//! The client connection: what outlives a single exchange on it.

use std::{cell::RefCell, sync::Arc, time::Instant};

use crate::{
    config::{Bind, Proxy},
    host::Addr,
    vars::Vars,
};

/// One client connection.
pub struct Session {
    /// The process-wide number of the session.
    pub id: u64,
    /// Where it came in.
    pub frontend: Arc<Proxy>,
    /// The `bind` line that accepted it.
    pub bind: Arc<Bind>,
    /// The client's address (`src`).
    pub src: Option<Addr>,
    /// Our address (`dst`).
    pub dst: Option<Addr>,
    /// When it was accepted.
    pub accepted: Instant,
    /// Variables of scope `sess`.
    pub vars: RefCell<Vars>,
}
