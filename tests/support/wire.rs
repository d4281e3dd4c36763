//! A byte stream of a test's client: TCP or a unix socket, never waiting longer than [`PATIENCE`].

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{PATIENCE, marks, tls};

/// One connection.
pub(crate) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<tls::Client>),
}

impl Wire {
    /// Connects to a listener on loopback.
    pub(crate) fn tcp(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::Tcp(stream))
    }

    /// The same over TLS, with a server that has a certificate of that authority for `name`, and with a certificate of
    /// our own for one that asks.
    pub(crate) fn tls(
        to: SocketAddr,
        authority: &tls::Authority,
        name: &str,
        own: Option<&tls::Certificate>,
    ) -> io::Result<Self> {
        let Self::Tcp(stream) = Self::tcp(to)? else { unreachable!("tcp makes no other") };
        Ok(Self::Tls(Box::new(authority.connect(stream, name, own)?)))
    }

    /// Connects to a unix socket, waiting for it to appear.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::Unix(stream))
    }

    /// Ends our direction; the other one stays open.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// What the kernel says of the other end's socket.
    pub(crate) fn marks_of_peer(&self) -> io::Result<marks::Marks> {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => &stream.sock,
            Self::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let (SocketAddr::V4(ours), SocketAddr::V4(theirs)) = (stream.local_addr()?, stream.peer_addr()?)
        else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        marks::of_socket(theirs, ours)
    }

    /// Reads what is there now; `WouldBlock` if nothing is.
    pub(crate) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.set_nonblocking(true)?;
        let read = self.read(buffer);
        self.set_nonblocking(false)?;
        read
    }

    fn set_nonblocking(&self, yes: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(yes),
            Self::Tls(stream) => stream.sock.set_nonblocking(yes),
            Self::Unix(stream) => stream.set_nonblocking(yes),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
