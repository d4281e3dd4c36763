//! What the kernel knows of a socket that is not ours: the marks that its packets carry.
//!
//! Source: Linux, sock_diag(7); `inet_diag_req_v2` and `inet_diag_msg` in <linux/inet_diag.h>.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddrV4;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// The marks of one socket.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) tos: Option<u8>,
    /// Told to the privileged only.
    pub(crate) mark: Option<u32>,
}

/// The marks of the TCP socket that is bound to `local` and connected to `peer`.
pub(crate) fn of_socket(local: SocketAddrV4, peer: SocketAddrV4) -> io::Result<Marks> {
    let mut netlink = Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, Some(Protocol::from(SOCK_DIAG)))?;
    netlink.set_read_timeout(Some(Duration::from_secs(5)))?;
    netlink.write_all(&request(local, peer))?;
    let mut answer = [0; 4096];
    let len = netlink.read(&mut answer)?;
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    if kind != SOCK_DIAG_BY_FAMILY {
        return Err(io::Error::other("the kernel knows no such socket"));
    }
    Ok(attributes(&answer[HEADER_BYTES + MESSAGE_BYTES..len]))
}

fn request(local: SocketAddrV4, peer: SocketAddrV4) -> Vec<u8> {
    let mut body = vec![AF_INET, TCP, 1 << (DIAG_TOS - 1), 0];
    body.extend(u32::MAX.to_ne_bytes()); // any state
    body.extend(local.port().to_be_bytes());
    body.extend(peer.port().to_be_bytes());
    for addr in [local, peer] {
        body.extend(addr.ip().octets());
        body.extend([0; 12]);
    }
    body.extend([0; 4]); // any interface
    body.extend([0xff; 8]); // no cookie
    let mut all = ((HEADER_BYTES + body.len()) as u32).to_ne_bytes().to_vec();
    all.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    all.extend(NLM_F_REQUEST.to_ne_bytes());
    all.extend([0; 8]); // sequence and port
    all.extend(body);
    all
}

/// Length, type and value, each on a boundary of four bytes.
fn attributes(mut rest: &[u8]) -> Marks {
    let mut marks = Marks::default();
    while let [a, b, c, d, after @ ..] = rest {
        let len = usize::from(u16::from_ne_bytes([*a, *b]));
        let value = &after[..len.saturating_sub(4).min(after.len())];
        match (u16::from_ne_bytes([*c, *d]), value) {
            (kind, [tos, ..]) if kind == u16::from(DIAG_TOS) => marks.tos = Some(*tos),
            (DIAG_MARK, [a, b, c, d]) => marks.mark = Some(u32::from_ne_bytes([*a, *b, *c, *d])),
            _ => {}
        }
        rest = rest.get(len.max(4).next_multiple_of(4)..).unwrap_or_default();
    }
    marks
}

const AF_NETLINK: i32 = 16;
const SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const TCP: u8 = 6;
const DIAG_TOS: u8 = 5;
const DIAG_MARK: u16 = 15;
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 72;
