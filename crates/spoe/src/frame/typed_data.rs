//! Typed data: one byte of type (low nibble) and flags (high nibble), then the value.
//!
//! Decoding follows what HAProxy does with odd input, so that a variable gets the same value from both: reserved types read as
//! null, a string with flags reads as binary, a boolean is true only with the flag nibble exactly 1, and all four integer
//! types carry a raw 64-bit number.
//!
//! Source: SPOE.txt §3.1.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::DecodeError;
use super::reader::Reader;
use super::varint;

/// A value, borrowed from the frame it came in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TypedData<'a> {
    /// No value: an absent sample, or "unset" in an action.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed number that fits 32 bits. Sent sign-extended to 64, which is how HAProxy reads it.
    Int32(i32),
    /// An unsigned number that fits 32 bits.
    Uint32(u32),
    /// A signed number; also what a 32-bit type whose number does not fit it decodes to.
    Int64(i64),
    /// An unsigned number; HAProxy reads it as signed.
    Uint64(u64),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// Text: bytes, of which no charset is promised.
    String(&'a [u8]),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> TypedData<'a> {
    /// Reads one value from the start of `bytes`; gives it with the number of bytes it took.
    ///
    /// # Errors
    /// A truncated value or a varint that is too large.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize), DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader)?;
        Ok((value, reader.at()))
    }

    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let head = reader.u8()?;
        let flags = head >> 4;
        Ok(match head & 0x0f {
            BOOL => Self::Bool(flags == 1),
            INT32 => {
                let raw = reader.varint()? as i64;
                i32::try_from(raw).map_or(Self::Int64(raw), Self::Int32)
            }
            UINT32 => {
                let raw = reader.varint()?;
                u32::try_from(raw).map_or(Self::Int64(raw as i64), Self::Uint32)
            }
            INT64 => Self::Int64(reader.varint()? as i64),
            UINT64 => Self::Uint64(reader.varint()?),
            IPV4 => Self::Ipv4(Ipv4Addr::from(reader.array::<4>()?)),
            IPV6 => Self::Ipv6(Ipv6Addr::from(reader.array::<16>()?)),
            STRING if flags == 0 => Self::String(reader.name()?),
            STRING | BINARY => Self::Binary(reader.name()?),
            // Null, and 10 to 15, which are reserved: the byte alone.
            _ => Self::Null,
        })
    }

    /// Steps over a value, checked as by [`read`](Self::read).
    #[inline]
    pub(crate) fn skip(reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        match reader.u8()? & 0x0f {
            INT32..=UINT64 => reader.varint().map(drop),
            IPV4 => reader.array::<4>().map(drop),
            IPV6 => reader.array::<16>().map(drop),
            STRING | BINARY => reader.name().map(drop),
            _ => Ok(()),
        }
    }

    /// Appends the value.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Null => out.push(NULL),
            Self::Bool(value) => out.push(BOOL | u8::from(value) << 4),
            Self::Int32(value) => number(INT32, i64::from(value) as u64, out),
            Self::Uint32(value) => number(UINT32, u64::from(value), out),
            Self::Int64(value) => number(INT64, value as u64, out),
            Self::Uint64(value) => number(UINT64, value, out),
            Self::Ipv4(address) => {
                let [a, b, c, d] = address.octets();
                out.extend_from_slice(&[IPV4, a, b, c, d]);
            }
            Self::Ipv6(address) => {
                out.push(IPV6);
                out.extend_from_slice(&address.octets());
            }
            Self::String(bytes) => text(STRING, bytes, out),
            Self::Binary(bytes) => text(BINARY, bytes, out),
        }
    }

    /// The number of any of the four integer types, as HAProxy keeps it: signed, 64 bits.
    pub const fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int32(value) => Some(value as i64),
            Self::Uint32(value) => Some(value as i64),
            Self::Int64(value) => Some(value),
            Self::Uint64(value) => Some(value as i64),
            _ => None,
        }
    }

    /// The boolean.
    pub const fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The address, of either family.
    pub const fn as_ip(&self) -> Option<IpAddr> {
        match *self {
            Self::Ipv4(address) => Some(IpAddr::V4(address)),
            Self::Ipv6(address) => Some(IpAddr::V6(address)),
            _ => None,
        }
    }

    /// The bytes of a string or binary.
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        match *self {
            Self::String(bytes) | Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of a string, if it is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        match *self {
            Self::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

impl fmt::Debug for TypedData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "bool:{value}"),
            Self::Int32(value) => write!(f, "int32:{value}"),
            Self::Uint32(value) => write!(f, "uint32:{value}"),
            Self::Int64(value) => write!(f, "int64:{value}"),
            Self::Uint64(value) => write!(f, "uint64:{value}"),
            Self::Ipv4(address) => write!(f, "ipv4:{address}"),
            Self::Ipv6(address) => write!(f, "ipv6:{address}"),
            Self::String(bytes) => write!(f, "string:\"{}\"", bytes.escape_ascii()),
            Self::Binary(bytes) => write!(f, "binary:\"{}\"", bytes.escape_ascii()),
        }
    }
}

impl From<bool> for TypedData<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for TypedData<'_> {
    fn from(value: i32) -> Self {
        Self::Int32(value)
    }
}

impl From<u32> for TypedData<'_> {
    fn from(value: u32) -> Self {
        Self::Uint32(value)
    }
}

impl From<i64> for TypedData<'_> {
    fn from(value: i64) -> Self {
        Self::Int64(value)
    }
}

impl From<u64> for TypedData<'_> {
    fn from(value: u64) -> Self {
        Self::Uint64(value)
    }
}

impl From<IpAddr> for TypedData<'_> {
    fn from(value: IpAddr) -> Self {
        match value {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

impl From<Ipv4Addr> for TypedData<'_> {
    fn from(value: Ipv4Addr) -> Self {
        Self::Ipv4(value)
    }
}

impl From<Ipv6Addr> for TypedData<'_> {
    fn from(value: Ipv6Addr) -> Self {
        Self::Ipv6(value)
    }
}

impl<'a> From<&'a str> for TypedData<'a> {
    fn from(value: &'a str) -> Self {
        Self::String(value.as_bytes())
    }
}

impl<'a> From<&'a String> for TypedData<'a> {
    fn from(value: &'a String) -> Self {
        Self::String(value.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for TypedData<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Binary(value)
    }
}

#[inline]
fn number(kind: u8, value: u64, out: &mut Vec<u8>) {
    varint::encode_tagged(kind, value, out);
}

#[inline]
fn text(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    varint::encode_tagged(kind, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

const NULL: u8 = 0;
const BOOL: u8 = 1;
const INT32: u8 = 2;
const UINT32: u8 = 3;
const INT64: u8 = 4;
const UINT64: u8 = 5;
const IPV4: u8 = 6;
const IPV6: u8 = 7;
const STRING: u8 = 8;
const BINARY: u8 = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_encodings_read_as_haproxy_reads_them() {
        for (wire, value) in [
            (&[0x11][..], TypedData::Bool(true)),
            (&[0x01], TypedData::Bool(false)),
            (&[0x21], TypedData::Bool(false)),
            (&[0x31], TypedData::Bool(false)),
            (&[0x0a], TypedData::Null),
            (&[0xff], TypedData::Null),
            (&[0x18, 1, b'x'], TypedData::Binary(b"x")),
            (&[0x08, 0], TypedData::String(b"")),
            (&[0x12, 5], TypedData::Int32(5)),
            // -5 as 32-bit two's complement: a fault of some agents, read as the large number it is.
            (&[0x02, 0xfb, 0xf0, 0xfe, 0xfe, 0x7e], TypedData::Int64(4_294_967_291)),
            (&[0x02, 0xfb, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e], TypedData::Int32(-5)),
            (
                &[0x05, 0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e],
                TypedData::Uint64(u64::MAX),
            ),
        ] {
            assert_eq!(TypedData::decode(wire), Ok((value, wire.len())), "{wire:02x?}");
        }
        assert_eq!(TypedData::Uint64(u64::MAX).as_i64(), Some(-1));
    }

    pub(crate) fn any_value(bytes: &[u8]) -> impl Strategy<Value = TypedData<'_>> {
        prop_oneof![
            Just(TypedData::Null),
            any::<bool>().prop_map(TypedData::Bool),
            any::<i32>().prop_map(TypedData::Int32),
            any::<u32>().prop_map(TypedData::Uint32),
            any::<i64>().prop_map(TypedData::Int64),
            any::<u64>().prop_map(TypedData::Uint64),
            any::<[u8; 4]>().prop_map(|a| TypedData::Ipv4(a.into())),
            any::<[u8; 16]>().prop_map(|a| TypedData::Ipv6(a.into())),
            (0..=bytes.len()).prop_map(|n| TypedData::String(&bytes[..n])),
            (0..=bytes.len()).prop_map(|n| TypedData::Binary(&bytes[..n])),
        ]
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(value in any_value(b"\0any bytes\xff of a string, long enough to be cut")) {
            let mut out = Vec::new();
            value.encode(&mut out);
            prop_assert_eq!(TypedData::decode(&out), Ok((value, out.len())));
            for cut in 0..out.len() {
                prop_assert!(TypedData::decode(&out[..cut]).is_err());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = TypedData::decode(&bytes);
        }
    }
}
