//! Networks by prefix length: the longest that holds an address, in as many look-ups as there are lengths.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::index::Ids;

/// Networks of both families.
#[derive(Clone, Default)]
pub(super) struct Nets {
    v4: Family,
    v6: Family,
}

/// By prefix length, then by the bits of the network. Addresses of IPv4 count as their 32 bits.
#[derive(Clone, Default)]
struct Family(BTreeMap<u8, FxHashMap<u128, Ids>>);

impl Nets {
    pub(super) fn insert(&mut self, net: IpNet, id: u64) {
        let (family, len, bits) = self.place(net);
        family.0.entry(len).or_default().entry(bits).or_default().push(id);
    }

    pub(super) fn remove(&mut self, net: IpNet, id: u64) {
        let (family, len, bits) = self.place(net);
        let Some(nets) = family.0.get_mut(&len) else { return };
        let Some(ids) = nets.get_mut(&bits) else { return };
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            nets.remove(&bits);
        }
        if nets.is_empty() {
            family.0.remove(&len);
        }
    }

    /// The finest network that holds the address, with the conversions between families that
    /// configuration.txt 7.1.6 lists.
    pub(super) fn find(&self, addr: IpAddr) -> Option<u64> {
        match addr {
            IpAddr::V4(v4) => self
                .v4
                .find(u32::from(v4).into(), 32)
                .or_else(|| self.v6.find(u128::from(v4.to_ipv6_mapped()), 128)),
            IpAddr::V6(v6) => self
                .v6
                .find(u128::from(v6), 128)
                .or_else(|| self.v4.find(u32::from(embedded_ipv4(v6)?).into(), 32)),
        }
    }

    fn place(&mut self, net: IpNet) -> (&mut Family, u8, u128) {
        match net.trunc() {
            IpNet::V4(net) => (&mut self.v4, net.prefix_len(), u32::from(net.network()).into()),
            IpNet::V6(net) => (&mut self.v6, net.prefix_len(), u128::from(net.network())),
        }
    }
}

impl Family {
    fn find(&self, bits: u128, width: u8) -> Option<u64> {
        let network = |len: u8| {
            let host = width - len;
            if host >= 128 { 0 } else { bits >> host << host }
        };
        self.0.iter().rev().find_map(|(len, nets)| nets.get(&network(*len))?.first().copied())
    }
}

/// The IPv4 address within `2002:IPV4::`, `::IPV4` or `::ffff:IPV4`.
fn embedded_ipv4(addr: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = u128::from(addr);
    let low = |bits: u128| Ipv4Addr::from(u32::try_from(bits & 0xffff_ffff).unwrap_or(0));
    if bits >> 112 == 0x2002 {
        Some(low(bits >> 80))
    } else if bits >> 32 == 0 || bits >> 32 == 0xffff {
        Some(low(bits))
    } else {
        None
    }
}
