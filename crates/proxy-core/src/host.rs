//! What the proxy needs from whoever embeds it: time, timers, connections, tasks, log lines.
//!
//! One [`Host`] serves one worker thread and need not be `Send`. The proxy never reads a clock,
//! opens a socket or starts a task in any other way, so the same code runs on virtual time.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    backend::{
        notice::Notice,
        server::{Server, ServerEvent},
    },
    config::{LogTarget, Proxy, SourceAddr},
    pattern_ref::{PatternEvent, PatternRef},
};

/// An address of either end of a connection, or one to listen on or connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Addr {
    /// IPv4 or IPv6 with its port.
    Ip(SocketAddr),
    /// A unix socket in the file system.
    Unix(PathBuf),
    /// A unix socket in Linux's abstract name space (`abns@`).
    Abstract(Vec<u8>),
    /// An inherited listening descriptor (`fd@`).
    Fd(i32),
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix@{}", path.display()),
            Self::Abstract(name) => write!(f, "abns@{}", String::from_utf8_lossy(name)),
            Self::Fd(fd) => write!(f, "fd@{fd}"),
        }
    }
}

/// A connected byte stream.
///
/// Reads and writes never block; readiness comes through the waker. `poll_shutdown` closes the
/// write side only.
pub trait Io: AsyncRead + AsyncWrite + Unpin {
    /// The other end, if it has an address.
    fn peer_addr(&self) -> Option<Addr>;
    /// Our end, if it has an address.
    fn local_addr(&self) -> Option<Addr>;
    /// Makes the coming drop send a reset instead of a close (best effort).
    fn reset_on_drop(&mut self);
    /// Makes the coming drop send nothing at all, where that is possible, and else a reset.
    fn vanish_on_drop(&mut self) {
        self.reset_on_drop();
    }
    /// Marks the packets sent from now on, as far as the system lets us.
    fn mark_packets(&mut self, marks: PacketMarks) {
        let _ = marks;
    }
}

/// What packets carry beside their data. None: as before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketMarks {
    /// The TOS byte of IPv4, the traffic class of IPv6 (`set-fc-tos`).
    pub tos: Option<u8>,
    /// Netfilter's mark (`set-fc-mark`); takes a privilege.
    pub mark: Option<u32>,
}

/// A boxed [`Io`], as it travels through the proxy.
pub type BoxIo = Box<dyn Io>;
/// A connection being made.
pub type ConnectFuture = Pin<Box<dyn Future<Output = io::Result<BoxIo>>>>;
/// The addresses of a host name being looked up.
pub type ResolveFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>>>>;
/// A task as the host runs it.
pub type BoxTask = Pin<Box<dyn Future<Output = ()>>>;

/// A deadline that can be moved, one per task.
///
/// Moving it later is expected to cost a store only: it happens on every request.
pub trait Timer {
    /// Moves the deadline; `None` disarms it.
    fn set(&mut self, deadline: Option<Instant>);
    /// Ready once the deadline has passed; never early. Disarmed timers stay pending.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// What one worker thread offers the proxy.
pub trait Host {
    /// The instant at which the present turn of the worker began. Cheap.
    fn now(&self) -> Instant;
    /// The same moment as wall-clock time since the Unix epoch.
    fn wall(&self) -> Duration;
    /// A new, disarmed timer.
    fn timer(&self) -> Box<dyn Timer>;
    /// An unpredictable number.
    fn random(&self) -> u64;
    /// Starts connecting. Dropping the future gives the attempt up.
    fn connect(&self, to: &Addr, source: Option<&SourceAddr>) -> ConnectFuture;
    /// Shakes hands over a connection to a server whose line says `ssl`, with that name. Dropping the future gives up.
    /// A host without TLS refuses.
    fn secure(&self, io: BoxIo, server: &Server, name: Option<&[u8]>) -> ConnectFuture {
        let _ = (io, server, name);
        Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
    }
    /// Looks a host name up: its addresses, at least one, best first. Dropping the future gives up.
    /// A host without a resolver knows no name.
    fn resolve(&self, name: &str) -> ResolveFuture {
        let _ = name;
        Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
    }
    /// Runs a task on this thread.
    fn spawn(&self, name: &'static str, task: BoxTask);
    /// Sends one finished log line (without line end) to a target. Never blocks.
    fn log(&self, target: &LogTarget, level: crate::log::Level, line: &[u8]);
}

/// Is told what happens to servers. Shared by all threads.
///
/// Called after the server's lock was released, in the order of the changes, by one thread at a
/// time per server: the one that made the change, or another that was delivering already. It may
/// change the server itself; that is told after the present event. Must not block.
pub trait ServerObserver: Send + Sync {
    /// One transition of one server.
    fn on_server_event(&self, server: &Arc<Server>, event: &ServerEvent);

    /// A line that people should see about it (HAProxy prints it on its terminal). The proxy's own
    /// log targets get it through [`Host::log`] besides.
    fn on_server_notice(&self, server: &Arc<Server>, notice: &Notice) {
        let _ = (server, notice);
    }

    /// The same about a proxy: somebody has paused, resumed or stopped it.
    fn on_proxy_notice(&self, proxy: &Arc<Proxy>, text: &str) {
        let _ = (proxy, text);
    }
}

/// Is told what happens to the live entries of pattern references that are
/// [watched](PatternRef::watch). Shared by all threads.
///
/// Called in the order of the changes, by one thread at a time per reference, before the call that
/// made the change returns. It may look at the reference but not change it. Must not block.
pub trait PatternObserver: Send + Sync {
    /// One change of one reference.
    fn on_pattern_event(&self, reference: &PatternRef, event: PatternEvent);
}

const _: Option<&dyn PatternObserver> = None;
const _: Option<&dyn Host> = None;
const _: Option<&dyn Io> = None;
const _: Option<&dyn Timer> = None;
const _: Option<&dyn ServerObserver> = None;
