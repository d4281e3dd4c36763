//! Real sockets: listening, accepting, connecting, and the log's datagrams.
//!
//! Sockets are made with socket2 (options before bind), then handed to tokio, which tells of
//! their readiness. Everything here belongs to one worker thread once it is registered.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        linux::net::SocketAddrExt as _,
        unix::ffi::OsStrExt as _,
        unix::net as unix,
    },
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use proxy_core::{
    config::{Bind, SourceAddr},
    host::{Addr, BoxIo, Io, PacketMarks},
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// Length of a unix socket's path or abstract name, as the kernel has it.
const SUN_PATH_BYTES: usize = 108;
/// What `bind` uses when there is no `backlog`.
const BACKLOG_DEFAULT: i32 = 4096;

/// A socket that listens, not yet bound to a worker.
#[derive(Debug)]
pub struct Listening {
    socket: Socket,
    addr: Addr,
    backlog: i32,
}

impl Listening {
    /// Starts to listen on a `bind` line's address.
    ///
    /// # Errors
    /// What the system says; the caller names the line.
    pub fn open(bind: &Bind) -> io::Result<Self> {
        let backlog = i32::try_from(bind.backlog).ok().filter(|n| *n > 0).unwrap_or(BACKLOG_DEFAULT);
        Self::open_addr(&bind.addr, backlog, bind.v6only, bind.unix_mode)
    }

    /// Starts to listen on any address.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_addr(addr: &Addr, backlog: i32, v6only: bool, unix_mode: Option<u32>) -> io::Result<Self> {
        let socket = match addr {
            Addr::Ip(ip) => listen_ip(*ip, backlog, v6only)?,
            Addr::Unix(path) => listen_unix(path, backlog, unix_mode)?,
            Addr::Abstract(name) => listen_on(abstract_address(name)?, backlog)?,
            Addr::Fd(fd) => inherited(*fd)?,
        };
        socket.set_nonblocking(true)?;
        Ok(Self { socket, addr: addr.clone(), backlog })
    }

    /// A second listener for another worker: a socket of its own where the kernel spreads
    /// connections over several (`SO_REUSEPORT`), else another handle of the same one.
    ///
    /// # Errors
    /// What the system says.
    pub fn another(&self) -> io::Result<Self> {
        let socket = match self.local_addr()? {
            Some(Addr::Ip(ip)) if matches!(self.addr, Addr::Ip(_)) => {
                let only_v6 = ip.is_ipv6() && self.socket.only_v6()?;
                let socket = listen_ip(ip, self.backlog, only_v6)?;
                socket.set_nonblocking(true)?;
                socket
            }
            _ => self.socket.try_clone()?,
        };
        Ok(Self { socket, addr: self.addr.clone(), backlog: self.backlog })
    }

    /// Where it listens: with the port that the system chose.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<Option<Addr>> {
        Ok(from_sockaddr(&self.socket.local_addr()?))
    }

    /// Hands it to this thread's runtime.
    ///
    /// # Errors
    /// The descriptor cannot be registered.
    pub fn register(self) -> io::Result<Acceptor> {
        // An inherited socket is others', too: its door is not ours to close.
        let backlog = if matches!(self.addr, Addr::Fd(_)) { None } else { Some(self.backlog) };
        if self.socket.domain()? == Domain::UNIX {
            UnixListener::from_std(OwnedFd::from(self.socket).into()).map(Acceptor::Unix)
        } else {
            TcpListener::from_std(self.socket.into()).map(|listener| Acceptor::Tcp { listener, backlog })
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A listener of one worker.
#[derive(Debug)]
pub enum Acceptor {
    /// TCP; with the backlog to listen with again, unless others have the socket, too.
    Tcp {
        /// The socket.
        listener: TcpListener,
        /// Its backlog.
        backlog: Option<i32>,
    },
    /// Unix, named or abstract.
    Unix(UnixListener),
}

impl Acceptor {
    /// Accepts one connection.
    ///
    /// # Errors
    /// What the system says; running out of descriptors is among them and passes.
    /// # Yield and cancel safety
    /// Dropping the future loses no connection.
    pub async fn accept(&self) -> io::Result<BoxIo> {
        match self {
            Self::Tcp { listener, .. } => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(TcpIo::new(stream, peer, false)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(UnixIo { stream }))
            }
        }
    }
}

impl Acceptor {
    /// Refuses connections from now on; the address stays taken. Unix sockets and inherited ones cannot do that: they
    /// let them wait.
    pub fn close_door(&self) {
        if let Self::Tcp { listener, backlog: Some(_) } = self {
            // Best effort: what still comes in is taken once the door is open again.
            let _ = socket2::SockRef::from(listener).shutdown(std::net::Shutdown::Read);
        }
    }

    /// Listens again.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_door(self) -> io::Result<Self> {
        match self {
            Self::Tcp { listener, backlog: Some(backlog) } => {
                // Registered anew: the runtime would go on believing that the socket is closed.
                let listener = listener.into_std()?;
                socket2::SockRef::from(&listener).listen(backlog)?;
                Ok(Self::Tcp { listener: TcpListener::from_std(listener)?, backlog: Some(backlog) })
            }
            other => Ok(other),
        }
    }
}

/// Connects to an address, from `source` if given.
///
/// # Errors
/// What the system says; `Fd` addresses cannot be connected to.
pub async fn connect(to: Addr, source: Option<SourceAddr>) -> io::Result<BoxIo> {
    match to {
        Addr::Ip(ip) => {
            let (stream, fresh) = connect_tcp(ip, source).await?;
            Ok(Box::new(TcpIo::new(stream, ip, fresh)))
        }
        Addr::Unix(path) => Ok(Box::new(UnixIo { stream: UnixStream::connect(path).await? })),
        Addr::Abstract(name) => {
            let stream =
                unix::UnixStream::connect_addr(&unix::SocketAddr::from_abstract_name(padded(&name)?)?)?;
            stream.set_nonblocking(true)?;
            Ok(Box::new(UnixIo { stream: UnixStream::from_std(stream)? }))
        }
        Addr::Fd(fd) => Err(io::Error::new(io::ErrorKind::Unsupported, format!("cannot connect to fd@{fd}"))),
    }
}

/// The connection, and whether it was there without waiting.
async fn connect_tcp(ip: SocketAddr, source: Option<SourceAddr>) -> io::Result<(TcpStream, bool)> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(ip), kind, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(source.ip, source.port).into())?;
    }
    let at_once = match socket.connect(&ip.into()) {
        Ok(()) => true,
        // On this machine the other end has answered by now, which asking again tells.
        Err(error) if is_under_way(&error) && ip.ip().is_loopback() => is_connected(&socket, ip)?,
        Err(error) if is_under_way(&error) => false,
        Err(error) => return Err(error),
    };
    let stream = TcpStream::from_std(socket.into())?;
    if !at_once {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    Ok((stream, at_once))
}

/// Whether a connection that was under way is there, by connecting once more.
fn is_connected(socket: &Socket, ip: SocketAddr) -> io::Result<bool> {
    match socket.connect(&ip.into()) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(nix::libc::EISCONN) => Ok(true),
        Err(error) if is_under_way(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EINPROGRESS | nix::libc::EALREADY))
}

fn listen_ip(ip: SocketAddr, backlog: i32, v6only: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(ip), Type::STREAM, Some(Protocol::TCP))?;
    if ip.is_ipv6() {
        socket.set_only_v6(v6only)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&ip.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

fn listen_unix(path: &Path, backlog: i32, mode: Option<u32>) -> io::Result<Socket> {
    if std::fs::symlink_metadata(path)
        .is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()))
    {
        std::fs::remove_file(path)?;
    }
    let socket = listen_on(SockAddr::unix(path)?, backlog)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    Ok(socket)
}

fn listen_on(addr: SockAddr, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&addr)?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// Another handle of a descriptor that our parent left open for us.
fn inherited(fd: i32) -> io::Result<Socket> {
    let socket = Socket::from(crate::fd::duplicate(fd)?);
    if !socket.is_listener()? {
        socket.listen(BACKLOG_DEFAULT)?;
    }
    Ok(socket)
}

/// `abns@` names fill the whole field with zero bytes, as HAProxy does it.
fn padded(name: &[u8]) -> io::Result<[u8; SUN_PATH_BYTES - 1]> {
    let mut field = [0; SUN_PATH_BYTES - 1];
    let Some(start) = field.get_mut(..name.len()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "abstract socket name too long"));
    };
    start.copy_from_slice(name);
    Ok(field)
}

fn abstract_address(name: &[u8]) -> io::Result<SockAddr> {
    let mut path = vec![0];
    path.extend(padded(name)?);
    SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&path)))
}

fn from_sockaddr(addr: &SockAddr) -> Option<Addr> {
    addr.as_socket().map(Addr::Ip).or_else(|| addr.as_pathname().map(|path| Addr::Unix(path.to_owned())))
}

/// A TCP connection.
struct TcpIo {
    stream: TcpStream,
    peer: Peer,
    /// Made just now: there is room to send, though the runtime has not heard of it yet.
    fresh: bool,
}

/// The other end in few bytes, as there is one for each idle connection.
enum Peer {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl TcpIo {
    fn new(stream: TcpStream, peer: SocketAddr, fresh: bool) -> Self {
        let peer = match peer {
            SocketAddr::V4(addr) => Peer::V4(addr),
            SocketAddr::V6(addr) => Peer::V6(Box::new(addr)),
        };
        Self { stream, peer, fresh }
    }

    /// Sends at once where that is known to do. `None` is for the runtime to decide.
    fn send_fresh(&mut self, data: &[u8]) -> Option<io::Result<usize>> {
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        let sent = socket2::SockRef::from(&self.stream).send_with_flags(data, nix::libc::MSG_NOSIGNAL);
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            sent => Some(sent),
        }
    }
}

/// A unix connection.
struct UnixIo {
    stream: UnixStream,
}

impl UnixIo {
    fn send_fresh(&mut self, _: &[u8]) -> Option<io::Result<usize>> {
        None
    }
}

macro_rules! forward_io {
    ($type:ty) => {
        impl AsyncRead for $type {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_read(cx, buf)
            }
        }
        impl AsyncWrite for $type {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                if let Some(sent) = self.send_fresh(buf) {
                    return Poll::Ready(sent);
                }
                Pin::new(&mut self.stream).poll_write(cx, buf)
            }
            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
            }
            fn is_write_vectored(&self) -> bool {
                self.stream.is_write_vectored()
            }
            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_flush(cx)
            }
            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_shutdown(cx)
            }
        }
    };
}
forward_io!(TcpIo);
forward_io!(UnixIo);

impl Io for TcpIo {
    fn peer_addr(&self) -> Option<Addr> {
        Some(Addr::Ip(match &self.peer {
            Peer::V4(addr) => SocketAddr::V4(*addr),
            Peer::V6(addr) => SocketAddr::V6(**addr),
        }))
    }
    fn local_addr(&self) -> Option<Addr> {
        self.stream.local_addr().ok().map(Addr::Ip)
    }
    fn reset_on_drop(&mut self) {
        // Best effort, as the trait says.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
    fn vanish_on_drop(&mut self) {
        // A socket under repair closes without a word; that takes a privilege. Without it the reset
        // is sent so that it does not get beyond this machine's neighbours.
        if nix::sys::socket::setsockopt(&self.stream, nix::sys::socket::sockopt::TcpRepair, &1).is_err() {
            let _ = socket2::SockRef::from(&self.stream).set_ttl_v4(1);
            self.reset_on_drop();
        }
    }
    fn mark_packets(&mut self, marks: PacketMarks) {
        // A refusal is not told, as in HAProxy.
        let socket = socket2::SockRef::from(&self.stream);
        if let Some(tos) = marks.tos {
            let _ = match self.peer {
                Peer::V4(_) => socket.set_tos_v4(tos.into()),
                Peer::V6(_) => socket.set_tclass_v6(tos.into()),
            };
        }
        if let Some(mark) = marks.mark {
            let _ = socket.set_mark(mark);
        }
    }
}

impl Io for UnixIo {
    fn peer_addr(&self) -> Option<Addr> {
        Some(Addr::Unix(PathBuf::new()))
    }
    fn local_addr(&self) -> Option<Addr> {
        let addr = self.stream.local_addr().ok()?;
        Some(Addr::Unix(addr.as_pathname()?.to_owned()))
    }
    fn reset_on_drop(&mut self) {}
}

/// The datagram sockets that log lines leave through, opened when first needed.
///
/// A line that cannot be sent at once is dropped and counted, as HAProxy does.
#[derive(Default)]
pub struct LogSockets {
    udp: RefCell<[Option<std::net::UdpSocket>; 2]>,
    unix: RefCell<HashMap<Addr, unix::UnixDatagram>>,
}

impl LogSockets {
    /// Sends one line as one datagram.
    ///
    /// # Errors
    /// What the system says; the caller counts the loss.
    pub fn send(&self, to: &Addr, line: &[u8]) -> io::Result<()> {
        match to {
            Addr::Ip(ip) => self.send_udp(*ip, line),
            Addr::Unix(_) | Addr::Abstract(_) => self.send_unix(to, line),
            Addr::Fd(fd) => {
                use io::Write as _;
                let mut file = std::fs::File::from(crate::fd::duplicate(*fd)?);
                file.write_all(line)?;
                file.write_all(b"\n")
            }
        }
    }

    fn send_udp(&self, to: SocketAddr, line: &[u8]) -> io::Result<()> {
        let mut sockets = self.udp.borrow_mut();
        let slot = &mut sockets[usize::from(to.is_ipv6())];
        let socket = match slot {
            Some(socket) => socket,
            None => {
                let any: SocketAddr = if to.is_ipv6() { ([0u16; 8], 0).into() } else { ([0u8; 4], 0).into() };
                let socket = std::net::UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                slot.insert(socket)
            }
        };
        socket.send_to(line, to).map(drop)
    }

    fn send_unix(&self, to: &Addr, line: &[u8]) -> io::Result<()> {
        let mut sockets = self.unix.borrow_mut();
        if let Some(socket) = sockets.get(to) {
            if socket.send(line).is_ok() {
                return Ok(());
            }
            sockets.remove(to); // the log daemon was restarted: connect again
        }
        let socket = unix::UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match to {
            Addr::Unix(path) => socket.connect(path)?,
            Addr::Abstract(name) => socket.connect_addr(&unix::SocketAddr::from_abstract_name(name)?)?,
            Addr::Ip(_) | Addr::Fd(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        socket.send(line)?;
        sockets.insert(to.clone(), socket);
        Ok(())
    }
}
