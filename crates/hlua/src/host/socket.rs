//! Connections that scripts make: class Socket.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::LocalFuture;

/// Client sockets, for the class `Socket`.
pub trait Sockets {
    /// Starts to connect. `tls` asks for TLS without verification (`connect_ssl`); the server is told the name it
    /// was asked for by, if it was a name.
    fn connect(&self, target: Target, tls: bool) -> Connecting;
}
const _: Option<&dyn Sockets> = None;

/// A connection being made; dropping it gives up.
pub type Connecting = LocalFuture<Result<Box<dyn Socket>, ConnectError>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The target's name has no address: an error of the script's, raised as HAProxy does.
    #[error("the name has no address")]
    Unresolved,
    /// Anything else: `nil, "Can't connect"`.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Where a script wants to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address and port.
    Ip(SocketAddr),
    /// A host name and port.
    Name(String, u16),
    /// A path; `abns@name` is given with a leading NUL byte.
    Unix(Vec<u8>),
}

/// A connected stream socket. Bytes move in `poll_*`, dropping it closes it.
pub trait Socket {
    /// Reads some bytes; 0 at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Writes some bytes and says how many.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
    /// Ready once all that was written is on its way: TLS holds some of it back while the line is full.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }
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
