//! Addresses: families, ports, port ranges, lists.
//!
//! Host names are resolved by what the embedder supplies ([`Resolve`]); the library asks no name
//! server. Source: configuration.txt section 2.9 and the descriptions of `bind` and `server`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Resolve, number};
use crate::host::Addr;

/// What a keyword allows.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// Whether a port must, may or must not be there.
    pub(super) port: Port,
    /// `fd@N`.
    pub(super) fd: bool,
    /// Datagram instead of stream addresses.
    pub(super) datagram: bool,
    /// Unix and abstract sockets.
    pub(super) unix: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// One or a range of them.
    Range,
    /// Exactly one.
    Needed,
    /// One or none.
    Optional,
    /// None.
    Forbidden,
    /// One, none, or a signed offset to the client's (`server`).
    Offset,
}

/// A `bind` address.
pub(super) const LISTEN: Wanted = Wanted { port: Port::Range, fd: true, datagram: false, unix: true };
/// A `stats socket` address.
pub(super) const STATS: Wanted = Wanted { port: Port::Needed, fd: true, datagram: false, unix: true };
/// A `server` address.
pub(super) const SERVER: Wanted = Wanted { port: Port::Offset, fd: false, datagram: false, unix: true };
/// A `log` address.
pub(super) const LOG: Wanted = Wanted { port: Port::Optional, fd: true, datagram: true, unix: true };
/// A `source` address.
pub(super) const SOURCE: Wanted = Wanted { port: Port::Optional, fd: false, datagram: false, unix: false };
/// The `addr` of a check.
pub(super) const CHECK: Wanted = Wanted { port: Port::Optional, fd: false, datagram: false, unix: false };

/// One address as written, with the ports it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Internet addresses: one IP, ports `first..=last`; `written` tells "no port" from port 0.
    Ip { ip: IpAddr, first: u16, last: u16, written: bool },
    /// Everything else.
    Other(Addr),
}

impl Parsed {
    /// The single address, with `port` where none was written.
    pub(super) fn single(self, port: u16) -> Addr {
        match self {
            Self::Ip { ip, first, written, .. } => {
                Addr::Ip(SocketAddr::new(ip, if written { first } else { port }))
            }
            Self::Other(addr) => addr,
        }
    }

    /// Every address of a range.
    pub(super) fn all(self) -> Vec<Addr> {
        match self {
            Self::Ip { ip, first, last, .. } => {
                (first..=last).map(|port| Addr::Ip(SocketAddr::new(ip, port))).collect()
            }
            Self::Other(addr) => vec![addr],
        }
    }
}

/// Reads one address.
pub(super) fn parse(text: &str, wanted: Wanted, resolve: &dyn Resolve) -> Result<Parsed, String> {
    if text.is_empty() {
        return Err("'' resolves to an empty address (environment variable missing?)".to_owned());
    }
    let (family, rest) = family(text, wanted)?;
    match family {
        Family::Fd => {
            if !wanted.fd {
                return Err(format!("a file descriptor is not acceptable here in '{text}'"));
            }
            let fd = number::integer(rest).and_then(|n| i32::try_from(n).ok());
            let fd =
                fd.ok_or_else(|| format!("file descriptor '{rest}' is not a valid integer in '{text}'"))?;
            Ok(Parsed::Other(Addr::Fd(fd)))
        }
        Family::Unix | Family::Abstract if !wanted.unix => {
            Err(format!("a unix socket is not acceptable here in '{text}'"))
        }
        Family::Unix | Family::Abstract if rest.is_empty() || rest.len() > UNIX_MAX => {
            Err(format!("socket path '{rest}' must have 1 to {UNIX_MAX} bytes in '{text}'"))
        }
        Family::Unix => Ok(Parsed::Other(Addr::Unix(rest.into()))),
        Family::Abstract => Ok(Parsed::Other(Addr::Abstract(rest.as_bytes().to_vec()))),
        Family::Any | Family::V4 | Family::V6 => internet(text, family, rest, wanted, resolve),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
    Unix,
    Abstract,
    Fd,
}

/// Cuts the prefix off and checks the socket type.
fn family(text: &str, wanted: Wanted) -> Result<(Family, &str), String> {
    if text.starts_with('/') {
        return Ok((Family::Unix, text));
    }
    let Some((prefix, rest)) = text.split_once('@') else {
        return Ok((Family::Any, text));
    };
    let (kind, prefix) = match prefix.split_once('+') {
        Some((kind @ ("stream" | "dgram" | "quic"), prefix)) => (Some(kind), prefix),
        _ => (None, prefix),
    };
    let (alias, found) = match prefix {
        "ip" | "" if kind.is_some() || prefix == "ip" => (None, Family::Any),
        "ipv4" => (None, Family::V4),
        "ipv6" => (None, Family::V6),
        "unix" => (None, Family::Unix),
        "abns" => (None, Family::Abstract),
        "fd" => (None, Family::Fd),
        "tcp" => (Some("stream"), Family::Any),
        "tcp4" => (Some("stream"), Family::V4),
        "tcp6" => (Some("stream"), Family::V6),
        "uxst" => (Some("stream"), Family::Unix),
        "udp" => (Some("dgram"), Family::Any),
        "udp4" => (Some("dgram"), Family::V4),
        "udp6" => (Some("dgram"), Family::V6),
        "uxdg" => (Some("dgram"), Family::Unix),
        "quic4" | "quic6" | "mptcp" | "mptcp4" | "mptcp6" | "abnsz" | "sockpair" | "rhttp" | "ring" => {
            return Err(format!("address family '{prefix}@' is not supported yet in '{text}'"));
        }
        _ => return Ok((Family::Any, text)),
    };
    match kind.or(alias) {
        Some("quic") => Err(format!("address family 'quic+' is not supported yet in '{text}'")),
        Some("dgram") if !wanted.datagram => Err(format!("dgram-type address not acceptable in '{text}'")),
        Some("stream") if wanted.datagram => {
            Err(format!("stream-type address not supported yet in '{text}'"))
        }
        _ => Ok((found, rest)),
    }
}

fn internet(
    text: &str,
    family: Family,
    rest: &str,
    wanted: Wanted,
    resolve: &dyn Resolve,
) -> Result<Parsed, String> {
    let (host, port) = split_port(rest, family, wanted);
    let (first, last) = match port {
        None | Some("") if matches!(wanted.port, Port::Range | Port::Needed) => {
            return Err(format!("missing port specification in '{text}'"));
        }
        None | Some("") => (0, 0),
        Some(port) => ports(port, text, wanted.port)?,
    };
    let written = port.is_some_and(|port| !port.is_empty());
    let invalid = || format!("invalid address: '{host}' in '{text}'");
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let ip = match (family, bare) {
        (Family::V6, "" | "*") => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        (_, "" | "*") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => match bare.parse() {
            Ok(ip) => ip,
            Err(_) => resolve.resolve(bare).ok_or_else(invalid)?,
        },
    };
    match (family, ip) {
        (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => Err(invalid()),
        _ => Ok(Parsed::Ip { ip, first, last, written }),
    }
}

/// Cuts the port off. What follows the last colon is one, unless the whole is an IPv6 address
/// where a port may be left out.
fn split_port(rest: &str, family: Family, wanted: Wanted) -> (&str, Option<&str>) {
    let bracketed = rest.starts_with('[') && rest.ends_with(']');
    let optional = matches!(wanted.port, Port::Optional | Port::Forbidden);
    let whole_v6 = optional && family != Family::V4 && rest.parse::<Ipv6Addr>().is_ok();
    if bracketed || whole_v6 || wanted.port == Port::Forbidden {
        return (rest, None);
    }
    match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    }
}

fn ports(port: &str, text: &str, wanted: Port) -> Result<(u16, u16), String> {
    if port.starts_with(['+', '-']) {
        return Err(match wanted {
            Port::Offset => format!("port offsets are not supported yet in '{text}'"),
            _ => format!("port offset not permitted here in '{text}'"),
        });
    }
    let (first, last) = match port.split_once('-') {
        Some(_) if wanted != Port::Range => {
            return Err(format!("port range not permitted here in '{text}'"));
        }
        Some((first, last)) => (one_port(first, port, text)?, one_port(last, port, text)?),
        None => {
            let only = one_port(port, port, text)?;
            (only, only)
        }
    };
    if wanted == Port::Range && first == 0 {
        return Err(format!("invalid port '{port}'"));
    }
    if last < first {
        return Err(format!("invalid port range '{port}'"));
    }
    Ok((first, last))
}

fn one_port(port: &str, whole: &str, text: &str) -> Result<u16, String> {
    if let Some(c) = port.chars().find(|c| !c.is_ascii_digit()) {
        return Err(format!("invalid character '{c}' in port number '{whole}' in '{text}'"));
    }
    port.parse().map_err(|_| format!("invalid port '{port}'"))
}

/// Longest path of a unix socket.
const UNIX_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Wanted) -> String {
        let resolve = |name: &str| (name == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        match parse(text, wanted, &resolve) {
            Ok(Parsed::Ip { ip, first, last, written }) => format!("{ip} {first}-{last} {written}"),
            Ok(Parsed::Other(addr)) => addr.to_string(),
            Err(error) => error,
        }
    }

    #[test]
    fn listening_addresses() {
        for (text, told) in [
            (":80", "0.0.0.0 80-80 true"),
            ("*:80", "0.0.0.0 80-80 true"),
            ("127.0.0.1:80-85", "127.0.0.1 80-85 true"),
            (":::80", ":: 80-80 true"),
            ("[::]:80", ":: 80-80 true"),
            ("::1:80", "::1 80-80 true"),
            ("localhost:80", "127.0.0.1 80-80 true"),
            ("ipv4@:80", "0.0.0.0 80-80 true"),
            ("ipv6@*:80", ":: 80-80 true"),
            ("ipv6@:::80", ":: 80-80 true"),
            ("tcp6@[::1]:80", "::1 80-80 true"),
            ("fd@3", "fd@3"),
            ("unix@a.sock", "unix@a.sock"),
            ("/run/a", "unix@/run/a"),
            ("abns@a", "abns@a"),
            ("", "'' resolves to an empty address (environment variable missing?)"),
            (":", "missing port specification in ':'"),
            ("foo", "missing port specification in 'foo'"),
            ("127.0.0.1", "missing port specification in '127.0.0.1'"),
            (":99999", "invalid port '99999'"),
            (":0", "invalid port '0'"),
            (":80-70", "invalid port range '80-70'"),
            (":80-", "invalid port ''"),
            (":-80", "port offset not permitted here in ':-80'"),
            (":x", "invalid character 'x' in port number 'x' in ':x'"),
            ("fd@x", "file descriptor 'x' is not a valid integer in 'fd@x'"),
            ("ipv4@::1:80", "invalid address: '::1' in 'ipv4@::1:80'"),
            ("no.such.host:80", "invalid address: 'no.such.host' in 'no.such.host:80'"),
            ("foo@:80", "invalid address: 'foo@' in 'foo@:80'"),
            ("udp@:80", "dgram-type address not acceptable in 'udp@:80'"),
            ("quic4@:80", "address family 'quic4@' is not supported yet in 'quic4@:80'"),
        ] {
            assert_eq!(check(text, LISTEN), told, "{text}");
        }
    }

    #[test]
    fn server_addresses() {
        for (text, told) in [
            ("127.0.0.1", "127.0.0.1 0-0 false"),
            ("127.0.0.1:0", "127.0.0.1 0-0 true"),
            ("[::1]", "::1 0-0 false"),
            ("*:80", "0.0.0.0 80-80 true"),
            ("fd@3", "a file descriptor is not acceptable here in 'fd@3'"),
            ("127.0.0.1:1-3", "port range not permitted here in '127.0.0.1:1-3'"),
            ("127.0.0.1:+1", "port offsets are not supported yet in '127.0.0.1:+1'"),
            ("[::1:80", "invalid address: '[::1' in '[::1:80'"),
        ] {
            assert_eq!(check(text, SERVER), told, "{text}");
        }
        assert_eq!(check("::1", CHECK), "::1 0-0 false");
    }
}
