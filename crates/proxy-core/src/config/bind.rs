//! A `bind` line.

use std::sync::Arc;

use super::Place;
use crate::{host::Addr, tls::TlsSettings};

/// One listening address.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Where it listens.
    pub addr: Addr,
    /// The same as the line has it, for messages: a list or a range is several addresses.
    pub written: Arc<str>,
    /// `name`.
    pub name: Option<String>,
    /// HAProxy's socket id.
    pub id: u32,
    /// Where it was declared.
    pub place: Place,
    /// `mode` of a unix socket.
    pub unix_mode: Option<u32>,
    /// `maxconn`.
    pub maxconn: usize,
    /// `backlog`.
    pub backlog: u32,
    /// `nice`: -1024 to 1024.
    pub nice: i32,
    /// `v4v6`/`v6only`: true for v6 only.
    pub v6only: bool,
    /// `interface`.
    pub interface: Option<String>,
    /// `ssl`: whoever accepts speaks TLS.
    pub ssl: bool,
    /// `crt` files, in order.
    pub crts: Vec<String>,
    /// `alpn`: protocol names.
    pub alpn: Vec<String>,
    /// The other words about TLS, with the defaults of `global`.
    pub tls: TlsSettings,
}
