//! Connections that scripts make: class Socket.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::LocalFuture;

/// Client sockets, for the class `Socket`.
pub trait Sockets {
    /// Starts to connect. `tls` asks for TLS without verification (`connect_ssl`).
    fn connect(&self, target: Target, tls: bool) -> LocalFuture<io::Result<Box<dyn Socket>>>;
}
const _: Option<&dyn Sockets> = None;

/// Where a script wants to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address and port.
    Ip(SocketAddr),
    /// A path; `abns@name` is given with a leading NUL byte.
    Unix(Vec<u8>),
}

/// A connected stream socket. Bytes move in `poll_*`, dropping it closes it.
pub trait Socket {
    /// Reads some bytes; 0 at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Writes some bytes and says how many.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
    /// Own end, for `getsockname`.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
    /// The other end, for `getpeername`.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}
const _: Option<&dyn Socket> = None;
