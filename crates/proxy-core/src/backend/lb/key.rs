//! What of a request is hashed, and the hash (sdbm, as `hash-type map-based` has it).

use std::net::IpAddr;

use super::Balance;
use crate::{
    host::Addr,
    sample::Sample,
    txn::{Direction, Txn},
};

/// The hash of a request for a hashing algorithm; `None` where the request has no such thing.
pub(super) fn of(balance: &Balance, txn: &mut Txn) -> Option<u32> {
    match balance {
        Balance::Source => match txn.session.src.as_ref()? {
            Addr::Ip(addr) => Some(address(addr.ip())),
            _ => None,
        },
        Balance::Uri { whole, len, depth } => {
            let uri = uri_part(txn.req.uri(), *whole, *len, *depth);
            (!uri.is_empty()).then(|| sdbm(uri))
        }
        Balance::Hdr(name) => txn.req.header(name.as_bytes()).filter(|v| !v.is_empty()).map(sdbm),
        Balance::UrlParam(name) => url_param(txn.req.query()?, name).map(sdbm),
        Balance::Hash(expr) => expr.eval(txn, Direction::Request).map(|sample| of_sample(&sample)),
        _ => None,
    }
}

fn of_sample(sample: &Sample) -> u32 {
    match sample {
        Sample::Bool(value) => sdbm(if *value { b"1" } else { b"0" }),
        Sample::Int(value) => sdbm(value.to_string().as_bytes()),
        Sample::Addr(addr) => address(*addr),
        Sample::Str(bytes) | Sample::Bin(bytes) | Sample::Method(bytes) => sdbm(bytes),
    }
}

/// An address: its 32-bit words, folded.
pub(super) fn address(addr: IpAddr) -> u32 {
    match addr {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(v6) => v6
            .octets()
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
            .fold(0, |hash, word| hash ^ word),
    }
}

/// The part of a URI that counts.
pub(super) fn uri_part(uri: &[u8], whole: bool, len: usize, depth: usize) -> &[u8] {
    let mut end = if len == 0 { uri.len() } else { len.min(uri.len()) };
    let mut slashes = 0;
    for (at, byte) in uri[..end].iter().enumerate() {
        match byte {
            b'?' if !whole => {
                end = at;
                break;
            }
            b'/' if depth > 0 => {
                slashes += 1;
                if slashes > depth {
                    end = at;
                    break;
                }
            }
            _ => {}
        }
    }
    &uri[..end]
}

/// The value of a parameter of a query string; `None` if it is absent or empty.
pub(super) fn url_param<'a>(query: &'a [u8], name: &str) -> Option<&'a [u8]> {
    query
        .split(|byte| *byte == b'&')
        .filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .next()
        .filter(|value| !value.is_empty())
}

/// The sdbm hash.
pub(super) fn sdbm(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0_u32, |hash, byte| {
        u32::from(*byte).wrapping_add(hash << 6).wrapping_add(hash << 16).wrapping_sub(hash)
    })
}
