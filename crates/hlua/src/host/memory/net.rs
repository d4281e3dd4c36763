//! Sockets in memory: a peer is a script of replies, one after each piece written to it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::host::{
    CertificateUpdate, Certificates, ConnectError, Connecting, HostError, HostResult, HttpClient,
    HttpRequest, HttpResponse, LocalFuture, Socket, Sockets, Target,
};

/// Peers by address; connecting to any other is refused.
#[derive(Default)]
pub struct MemorySockets {
    peers: RefCell<BTreeMap<SocketAddr, Vec<String>>>,
    names: RefCell<BTreeMap<String, IpAddr>>,
    open: Rc<Cell<usize>>,
}

impl MemorySockets {
    /// A peer that says those lines, one after each write, and closes after the last.
    pub fn add(&self, address: SocketAddr, replies: &[&str]) {
        self.peers.borrow_mut().insert(address, replies.iter().map(ToString::to_string).collect());
    }

    /// Connections that scripts hold.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Gives an address a name.
    pub fn name(&self, name: &str, address: IpAddr) {
        self.names.borrow_mut().insert(name.to_owned(), address);
    }
}

impl Sockets for MemorySockets {
    fn connect(&self, target: Target, _tls: bool) -> Connecting {
        let address = match target {
            Target::Ip(address) => Some(address),
            Target::Name(name, port) => match self.names.borrow().get(&name) {
                Some(ip) => Some((*ip, port).into()),
                None => return Box::pin(std::future::ready(Err(ConnectError::Unresolved))),
            },
            Target::Unix(_) => None,
        };
        let found = address.and_then(|address| {
            self.peers.borrow().get(&address).map(|replies| (address, replies.clone().into()))
        });
        let open = self.open.clone();
        Box::pin(async move {
            let (address, replies) =
                found.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            open.set(open.get() + 1);
            Ok(Box::new(MemorySocket { address, replies, said: VecDeque::new(), open }) as Box<dyn Socket>)
        })
    }
}

/// Responses by URL, and the requests made so far; any other URL is answered with 503.
#[derive(Default)]
pub struct MemoryHttp {
    responses: RefCell<BTreeMap<String, HttpResponse>>,
    requests: RefCell<Vec<HttpRequest>>,
}

impl MemoryHttp {
    /// What requests for that URL get from now on.
    pub fn answer(&self, url: &str, response: HttpResponse) {
        self.responses.borrow_mut().insert(url.to_owned(), response);
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<HttpRequest> {
        self.requests.take()
    }
}

impl HttpClient for MemoryHttp {
    fn send(&self, request: HttpRequest) -> HostResult<LocalFuture<HttpResponse>> {
        let known = self.responses.borrow().get(&request.url).cloned();
        self.requests.borrow_mut().push(request);
        let nobody =
            || HttpResponse { status: 503, reason: b"Service Unavailable".to_vec(), ..Default::default() };
        Ok(Box::pin(std::future::ready(known.unwrap_or_else(nobody))))
    }
}

/// Certificate files by name, and what they were last updated with.
#[derive(Default)]
pub struct MemoryCertificates {
    files: RefCell<BTreeMap<String, Option<CertificateUpdate>>>,
}

impl MemoryCertificates {
    /// A file of the configuration.
    pub fn add(&self, file: &str) {
        self.files.borrow_mut().insert(file.to_owned(), None);
    }

    /// What a script set it to.
    pub fn updated(&self, file: &str) -> Option<CertificateUpdate> {
        self.files.borrow().get(file).cloned().flatten()
    }
}

impl Certificates for MemoryCertificates {
    fn set(&self, update: CertificateUpdate) -> HostResult<()> {
        let mut files = self.files.borrow_mut();
        let known = files.get_mut(&update.filename).ok_or(HostError::Refused(
            "Can't replace a certificate which is not referenced by the configuration!".into(),
        ))?;
        *known = Some(update);
        Ok(())
    }
}

struct MemorySocket {
    address: SocketAddr,
    replies: VecDeque<String>,
    said: VecDeque<u8>,
    open: Rc<Cell<usize>>,
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

impl Socket for MemorySocket {
    fn poll_read(&mut self, _cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.said.is_empty() && !self.replies.is_empty() {
            return Poll::Pending;
        }
        let len = into.len().min(self.said.len());
        for (place, byte) in into.iter_mut().zip(self.said.drain(..len)) {
            *place = byte;
        }
        Poll::Ready(Ok(len))
    }

    fn poll_write(&mut self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(reply) = self.replies.pop_front() {
            self.said.extend(reply.bytes());
        }
        Poll::Ready(Ok(data.len()))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(([127, 0, 0, 1], 40_000).into())
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}
