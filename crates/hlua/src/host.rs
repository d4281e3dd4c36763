//! What this crate needs from outside, cut along the classes of HAProxy's Lua API.
//!
//! Start with [`Core`] (two methods without a default body) and one [`Txn`]: that runs actions, fetches and
//! converters. Everything else has a default body that means "this host has none" and reaches the script as a
//! Lua error naming what is missing. [`memory`] is a whole host in memory, for tests and to read as an example.
//!
//! Rules of the edge:
//! * no Lua value crosses it: [`Value`] holds what both sides have;
//! * a [`Txn`] or applet is lent by move with each poll and handed back with each answer (see [`Lent`]);
//! * nothing here blocks: what waits is a `poll_*` method or a boxed future;
//! * a host is never called while it is itself being called by us, except that evaluating a fetch or converter
//!   may run another Lua function of the same VM.
//!
//! Source: HAProxy 3.4 `doc/lua-api/index.rst`, one trait a class or group of classes.

mod applet;
mod certificates;
mod channel;
mod core;
mod events;
mod http;
mod http_client;
pub mod memory;
mod proxy;
mod regex;
mod server;
mod server_event;
mod socket;
mod tables;
mod txn;
mod value;

pub use self::applet::{AppletHttp, AppletIo, AppletPart, AppletTcp};
pub use self::certificates::{CertificateUpdate, Certificates};
pub use self::channel::Channel;
pub use self::core::{Catalog, Core, Level, SampleId};
pub use self::events::{Event, EventHandle, EventStream, Events, Scope, Subscribed};
pub use self::http::{Http, RequestPart, StartLine};
pub use self::http_client::{HttpClient, HttpRequest, HttpResponse};
pub use self::proxy::{Proxies, Proxy, ProxyCommand, ProxyMailers, Stats};
pub use self::regex::{Groups, Regex};
pub use self::server::{Server, ServerCommand};
pub use self::server_event::{
    ServerEvent, ServerEventAdmin, ServerEventCheck, ServerEventDetails, ServerEventState,
};
pub use self::socket::{ConnectError, Connecting, Socket, Sockets, Target};
pub use self::tables::{
    Map, MatchMethod, PatternEntry, PatternRef, Patterns, StickEntry, StickFilter, StickOperator, StickTable,
    StickTableInfo,
};
pub use self::txn::{Lent, Reply, Side, Stream, Txn};
pub use self::value::{HostError, HostResult, LocalFuture, Value};
