//! Sockets in memory: a peer is a script of replies, one after each piece written to it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::host::{LocalFuture, Socket, Sockets, Target};

/// Peers by address; connecting to any other is refused.
#[derive(Default)]
pub struct MemorySockets {
    peers: RefCell<BTreeMap<SocketAddr, Vec<String>>>,
}

impl MemorySockets {
    /// A peer that says those lines, one after each write, and closes after the last.
    pub fn add(&self, address: SocketAddr, replies: &[&str]) {
        self.peers.borrow_mut().insert(address, replies.iter().map(ToString::to_string).collect());
    }
}

impl Sockets for MemorySockets {
    fn connect(&self, target: Target, _tls: bool) -> LocalFuture<io::Result<Box<dyn Socket>>> {
        let found = match &target {
            Target::Ip(address) => {
                self.peers.borrow().get(address).map(|replies| (*address, replies.clone().into()))
            }
            Target::Unix(_) => None,
        };
        Box::pin(async move {
            let (address, replies) = found.ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(MemorySocket { address, replies, said: VecDeque::new() }) as Box<dyn Socket>)
        })
    }
}

struct MemorySocket {
    address: SocketAddr,
    replies: VecDeque<String>,
    said: VecDeque<u8>,
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
