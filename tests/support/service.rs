//! A listener on loopback that can be taken down and brought back on the same port.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use socket2::{Domain, Socket, Type};

type Handler = Arc<dyn Fn(TcpStream) + Send + Sync>;

/// Something that answers connections, one thread a connection.
pub(crate) struct Service {
    addr: SocketAddr,
    handler: Handler,
    up: Option<Up>,
    /// Bound but not listening: keeps the port ours while the service is down.
    _reservation: Socket,
}

struct Up {
    listener: Arc<Socket>,
    accepting: JoinHandle<()>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Service {
    /// Starts listening on a port of the kernel's choice.
    pub(crate) fn start(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> io::Result<Self> {
        let reservation = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let addr = reservation.local_addr()?.as_socket().expect("invariant: an IPv4 socket");
        let mut service = Self { addr, handler: Arc::new(handler), up: None, _reservation: reservation };
        service.up()?;
        Ok(service)
    }

    /// Where it listens, or listened.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Listens again. Nothing happens if it never stopped.
    pub(crate) fn up(&mut self) -> io::Result<()> {
        if self.up.is_some() {
            return Ok(());
        }
        let listener = Arc::new(bound(self.addr)?);
        listener.listen(1024)?;
        let open = Arc::new(Mutex::new(Vec::new()));
        let accepting = thread::spawn({
            let (listener, handler, open) = (listener.clone(), self.handler.clone(), open.clone());
            move || accept(&listener, &handler, &open)
        });
        self.up = Some(Up { listener, accepting, open });
        Ok(())
    }

    /// Stops listening and cuts every connection: from here on connections are refused.
    pub(crate) fn down(&mut self) {
        let Some(Up { listener, accepting, open }) = self.up.take() else { return };
        listener.shutdown(Shutdown::Both).ok();
        accepting.join().ok();
        for stream in open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.down();
    }
}

fn bound(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn accept(listener: &Socket, handler: &Handler, open: &Mutex<Vec<TcpStream>>) {
    while let Ok((socket, _)) = listener.accept() {
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).ok();
        let (Ok(known), Ok(closing)) = (stream.try_clone(), stream.try_clone()) else { continue };
        open.lock().unwrap().push(known);
        let handler = handler.clone();
        thread::spawn(move || {
            handler(stream);
            // `open` still has a handle: without this the peer would not see the end.
            closing.shutdown(Shutdown::Both).ok();
        });
    }
}
