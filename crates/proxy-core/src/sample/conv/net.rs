//! Addresses, hosts, and what backends and servers of a computed name are doing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Row, bytes};
use crate::{
    sample::{
        Arg, Sample,
        SampleType::{Addr, Bin, Bool, Int, Str},
        args::{
            ArgKind::{Mask4, Mask6},
            Args,
        },
        fetch::counter,
    },
    txn::Txn,
};

pub(super) const ROWS: &[Row] = &[
    Row::new("ipmask", Addr, Addr, ipmask).args(1, &[Mask4, Mask6]),
    Row::new("host_only", Str, Str, |_, v, _| {
        let mut text = bytes(v);
        text.truncate(host_end(&text));
        text.make_ascii_lowercase();
        Some(Sample::Str(text))
    }),
    Row::new("port_only", Str, Int, |_, v, _| {
        let text = bytes(v);
        let port =
            text.get(host_end(&text) + 1..).and_then(|p| std::str::from_utf8(p).ok()?.parse::<u16>().ok());
        Some(Sample::Int(port.unwrap_or(0).into()))
    }),
    Row::new("nbsrv", Str, Int, |t, v, _| {
        let name = String::from_utf8(bytes(v)).ok()?;
        let backend = t.worker.shared.config.backends.get(&name)?;
        Some(Sample::Int(i64::try_from(counter::usable(backend).count()).ok()?))
    }),
    Row::new("fe_exists", Str, Bool, |t, v, _| {
        let name = String::from_utf8(bytes(v)).ok()?;
        Some(Sample::Bool(t.worker.shared.config.frontends.contains_key(&name)))
    }),
    Row::new("srv_is_up", Str, Bool, |t, v, _| {
        let name = String::from_utf8(bytes(v)).ok()?;
        Some(Sample::Bool(counter::server_by_name(t, &name)?.is_usable()))
    }),
    Row::new("srv_queue", Str, Int, |t, v, _| {
        let name = String::from_utf8(bytes(v)).ok()?;
        Some(Sample::Int(i64::try_from(counter::server_by_name(t, &name)?.queued.cur()).ok()?))
    }),
    Row::new("htonl", Int, Bin, |_, v, _| match v {
        Sample::Int(i) => Some(Sample::Bin(i.to_be_bytes()[4..].to_vec())),
        _ => None,
    }),
];

fn ipmask(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let masked = match (value, args.addr_at(0), args.addr_at(1)) {
        (Sample::Addr(IpAddr::V4(ip)), Some(IpAddr::V4(mask)), _) => {
            IpAddr::V4(Ipv4Addr::from(u32::from(ip) & u32::from(mask)))
        }
        (Sample::Addr(IpAddr::V6(ip)), _, Some(IpAddr::V6(mask))) => {
            IpAddr::V6(Ipv6Addr::from(u128::from(ip) & u128::from(mask)))
        }
        _ => return None,
    };
    Some(Sample::Addr(masked))
}

/// Where the host of a `host` header ends: behind the bracket of an IPv6 address, or at the colon
/// before a port.
fn host_end(text: &[u8]) -> usize {
    let from = match text.first() {
        Some(b'[') => memchr::memchr(b']', text).unwrap_or(0),
        _ => 0,
    };
    memchr::memchr(b':', &text[from..]).map_or(text.len(), |colon| from + colon)
}
