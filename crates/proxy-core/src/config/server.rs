//! A `server` line.

use std::net::IpAddr;
use std::time::Duration;

use super::Place;
use crate::{host::Addr, tls::ServerTls};

/// The static settings of a `server` line.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// `server NAME`.
    pub name: String,
    /// Where it was declared.
    pub place: Place,
    /// Address; its port 0 means the client's destination port.
    pub addr: Addr,
    /// `check`.
    pub check: bool,
    /// `inter` (2 s).
    pub inter: Duration,
    /// `fastinter`; `inter` when absent.
    pub fastinter: Option<Duration>,
    /// `downinter`; `inter` when absent.
    pub downinter: Option<Duration>,
    /// `rise` (2).
    pub rise: u32,
    /// `fall` (3).
    pub fall: u32,
    /// `weight` (1), 0 to 256.
    pub weight: u32,
    /// `backup`.
    pub backup: bool,
    /// `disabled`.
    pub disabled: bool,
    /// `maxconn`; 0 for no limit.
    pub maxconn: usize,
    /// `maxqueue`; 0 for no limit.
    pub maxqueue: usize,
    /// `port` for checks.
    pub check_port: Option<u16>,
    /// `addr` for checks.
    pub check_addr: Option<IpAddr>,
    /// `pool-max-conn`; `None` for no limit.
    pub pool_max_conn: Option<usize>,
    /// `source`.
    pub source: Option<SourceAddr>,
    /// `id`; 0 when not given.
    pub puid: u32,
    /// `slowstart`.
    pub slowstart: Option<Duration>,
    /// `ssl` and the words about it.
    pub tls: Option<Box<ServerTls>>,
}

impl ServerConfig {
    /// A `server` line with nothing but name and address: HAProxy's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, addr: Addr) -> Self {
        Self {
            name: name.into(),
            addr,
            place: Place::default(),
            check: false,
            inter: Duration::from_secs(2),
            fastinter: None,
            downinter: None,
            rise: 2,
            fall: 3,
            weight: 1,
            backup: false,
            disabled: false,
            maxconn: 0,
            maxqueue: 0,
            check_port: None,
            check_addr: None,
            pool_max_conn: None,
            source: None,
            puid: 0,
            slowstart: None,
            tls: None,
        }
    }
}

/// `source` of a server or backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAddr {
    /// Address to bind to.
    pub ip: IpAddr,
    /// Port; 0 for any.
    pub port: u16,
}
