//! `core.parse_addr` and `core.match_addr`: networks and whether they overlap.
//!
//! Source: lua-api "Core class". HAProxy hands out userdata; here it is an object of its own class.

use std::net::{IpAddr, Ipv4Addr};

use crate::api::{Class, ClassDef, to_string};
use crate::raw::stack::{Flow, Ret, Stack};

pub(crate) const CLASS: ClassDef =
    ClassDef { name: "Address", methods: &[], lazy: None, attributes: &[], meta: &[to_string!("Address")] };

/// An address with the bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

pub(crate) fn parse(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "parse_addr")?;
    let text = stack.text(1)?;
    let Some(network) = parse_network(&text) else {
        stack.push_nil();
        return Ok(Ret::Count(1));
    };
    stack.push_object(Class::Address, 0)?;
    let at = stack.top();
    stack.push_int(1);
    stack.push_bytes(format!("{}/{}", network.address, network.bits).as_bytes())?;
    stack.raw_set(at)?;
    Ok(Ret::Count(1))
}

pub(crate) fn matches(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "match_addr")?;
    let (a, b) = (network(stack, 1), network(stack, 2));
    let same = matches!((a, b), (Some(a), Some(b)) if overlap(a, b));
    stack.push_bool(same);
    Ok(Ret::Count(1))
}

fn network(stack: &mut Stack<'_>, index: i32) -> Option<Network> {
    if !stack.is_object(index, Class::Address) {
        return None;
    }
    stack.push_element(index, 1);
    let text = stack.text(-1).ok();
    stack.pop(1);
    parse_network(&text?)
}

fn parse_network(text: &str) -> Option<Network> {
    let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
    let address = parse_v4(address).map(IpAddr::V4).or_else(|| address.parse().ok())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match mask {
        None => most,
        Some(mask) => match mask.parse::<u32>() {
            Ok(bits) if bits <= most => bits,
            Ok(_) => return None,
            Err(_) => mask_bits(mask, &address)?,
        },
    };
    Some(Network { address, bits })
}

/// A dotted mask as a number of bits.
fn mask_bits(mask: &str, address: &IpAddr) -> Option<u32> {
    if !address.is_ipv4() {
        return None;
    }
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    (mask.leading_ones() + mask.trailing_zeros() == 32).then(|| mask.leading_ones())
}

/// Abbreviated forms count: `10` is 10.0.0.0, `192.168` is 192.168.0.0.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    for (octet, part) in octets.iter_mut().zip(&parts) {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    Some(octets.into())
}

fn overlap(a: Network, b: Network) -> bool {
    let bits = a.bits.min(b.bits);
    match (a.address, b.address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => bits == 0 || (u32::from(a) ^ u32::from(b)) >> (32 - bits) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => bits == 0 || (u128::from(a) ^ u128::from(b)) >> (128 - bits) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{overlap, parse_network};

    #[test]
    fn networks_overlap_by_the_shorter_mask() {
        let cases = [
            ("192.168.1.1", "192.168.0.0/16", true),
            ("192.168.1.1", "192.169.0.0/16", false),
            ("10", "10.0.0.0/8", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("10.0.0.0/255.0.0.0", "10.9.9.9", true),
            ("::1", "::1/128", true),
            ("::1", "127.0.0.1", false),
        ];
        for (a, b, expected) in cases {
            let (a, b) = (parse_network(a).unwrap(), parse_network(b).unwrap());
            assert_eq!(overlap(a, b), expected, "{a:?} {b:?}");
            assert_eq!(overlap(b, a), expected, "symmetric: {a:?} {b:?}");
        }
    }

    #[test]
    fn names_are_no_addresses() {
        for text in ["", "localhost", "1.2.3.4.5", "1..2", "::1/129", "1.2.3.4/33"] {
            assert_eq!(parse_network(text), None, "{text}");
        }
    }
}
