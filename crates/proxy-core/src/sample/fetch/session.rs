//! The client connection: addresses, ports, listener.

use std::net::IpAddr;

use super::{Row, int};
use crate::{
    host::Addr,
    sample::{Sample, SampleType},
};

pub(super) const ROWS: &[Row] = &[
    Row::value(&["src", "fc_src"], SampleType::Addr, |t, _, _| ip(t.session.src.as_ref()).map(Sample::Addr)),
    Row::value(&["dst", "fc_dst"], SampleType::Addr, |t, _, _| ip(t.session.dst.as_ref()).map(Sample::Addr)),
    Row::value(&["src_port", "fc_src_port"], SampleType::Int, |t, _, _| int(port(t.session.src.as_ref())?)),
    Row::value(&["dst_port", "fc_dst_port"], SampleType::Int, |t, _, _| int(port(t.session.dst.as_ref())?)),
    Row::value(&["src_is_local"], SampleType::Bool, |t, _, _| {
        ip(t.session.src.as_ref()).map(|ip| Sample::Bool(ip.is_loopback()))
    }),
    Row::value(&["dst_is_local"], SampleType::Bool, |t, _, _| {
        ip(t.session.dst.as_ref()).map(|ip| Sample::Bool(ip.is_loopback()))
    }),
    Row::value(&["so_id"], SampleType::Int, |t, _, _| int(t.session.bind.id)),
    Row::text(&["so_name"], |t, _| t.session.bind.name.as_deref().map(str::as_bytes)),
    Row::value(&["ssl_fc"], SampleType::Bool, |txn, _, _| Some(Sample::Bool(txn.session.bind.ssl))),
];

pub(crate) fn ip(addr: Option<&Addr>) -> Option<IpAddr> {
    match addr {
        Some(Addr::Ip(addr)) => Some(addr.ip()),
        _ => None,
    }
}

pub(crate) fn port(addr: Option<&Addr>) -> Option<u16> {
    match addr {
        Some(Addr::Ip(addr)) => Some(addr.port()),
        _ => None,
    }
}
