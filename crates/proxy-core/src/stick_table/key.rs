//! Keys of tables, and how samples and texts become them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::sample::SampleRef;

/// What a table's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// 32-bit integers.
    Integer,
    /// Text of at most so many bytes.
    String(usize),
    /// So many bytes.
    Binary(usize),
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// An integer.
    Integer(u32),
    /// Text or bytes.
    Bytes(Box<[u8]>),
}

impl KeyType {
    /// As `show table` and scripts call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ip",
            Self::Ipv6 => "ipv6",
            Self::Integer => "integer",
            Self::String(_) => "string",
            Self::Binary(_) => "binary",
        }
    }

    /// The longest key in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Ipv4 | Self::Integer => 4,
            Self::Ipv6 => 16,
            Self::String(len) | Self::Binary(len) => len,
        }
    }

    /// The key that a sample is; `None` if it is none of this type.
    #[must_use]
    pub fn key(self, value: SampleRef<'_>) -> Option<Key> {
        match self {
            Self::Ipv4 => match value.addr()? {
                IpAddr::V4(v4) => Some(Key::Ipv4(v4)),
                IpAddr::V6(v6) => v6.to_ipv4().map(Key::Ipv4),
            },
            Self::Ipv6 => match value.addr()? {
                IpAddr::V4(v4) => Some(Key::Ipv6(v4.to_ipv6_mapped())),
                IpAddr::V6(v6) => Some(Key::Ipv6(v6)),
            },
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the low 32 bits are meant"
            )]
            Self::Integer => value.int().map(|number| Key::Integer(number as u32)),
            Self::String(len) => {
                let text = value.text();
                (!text.is_empty()).then(|| Key::Bytes(text[..text.len().min(len)].into()))
            }
            Self::Binary(len) => {
                let mut bytes = match value {
                    SampleRef::Bin(bytes) | SampleRef::Str(bytes) | SampleRef::Method(bytes) => {
                        bytes.to_vec()
                    }
                    SampleRef::Int(number) => number.to_be_bytes()[4..].to_vec(),
                    SampleRef::Addr(IpAddr::V4(v4)) => v4.octets().to_vec(),
                    SampleRef::Addr(IpAddr::V6(v6)) => v6.octets().to_vec(),
                    SampleRef::Bool(_) => return None,
                };
                if bytes.is_empty() {
                    return None;
                }
                bytes.resize(len, 0);
                Some(Key::Bytes(bytes.into()))
            }
        }
    }

    /// The key that a command or script has written.
    #[must_use]
    pub fn parse(self, text: &[u8]) -> Option<Key> {
        match self {
            Self::Integer => {
                let text = std::str::from_utf8(text).ok()?;
                text.parse().ok().map(Key::Integer)
            }
            _ => self.key(SampleRef::Str(text)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(addr) => addr.fmt(f),
            Self::Ipv6(addr) => addr.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).fmt(f),
        }
    }
}
