//! How a sample of one type becomes one of another: configuration.txt 7.1 and 7.3.1.
//!
//! ```text
//!   from\to   Bool  Int          Addr      Str             Bin          Method
//!   Bool      =     0 or 1       -         0 or 1          8 bytes      -
//!   Int       != 0  =            as IPv4   decimal         8 bytes      -
//!   Addr      -     IPv4 only    =         printed         4/16 bytes   -
//!   Str       Int   prefix       parsed    =               =            =
//!   Bin       -     -            4/16 b.   up to a NUL     =            up to a NUL
//!   Method    -     -            -         =               =            =
//! ```

use std::{
    borrow::Cow,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Sample, SampleRef, SampleType};

impl Sample {
    /// Its type; never [`SampleType::Any`].
    #[must_use]
    pub fn kind(&self) -> SampleType {
        self.as_ref().kind()
    }

    /// A look at it.
    #[must_use]
    pub fn as_ref(&self) -> SampleRef<'_> {
        match self {
            Self::Bool(b) => SampleRef::Bool(*b),
            Self::Int(i) => SampleRef::Int(*i),
            Self::Addr(a) => SampleRef::Addr(*a),
            Self::Str(b) => SampleRef::Str(b),
            Self::Bin(b) => SampleRef::Bin(b),
            Self::Method(b) => SampleRef::Method(b),
        }
    }

    /// It as another type; `None` if it cannot be one.
    #[must_use]
    pub fn cast(self, to: SampleType) -> Option<Self> {
        if to == SampleType::Any || to == self.kind() {
            return Some(self);
        }
        // Bytes change their label only, without a copy.
        match (self, to) {
            (Self::Str(b) | Self::Method(b), SampleType::Bin) => Some(Self::Bin(b)),
            (Self::Method(b), SampleType::Str) => Some(Self::Str(b)),
            (Self::Str(b), SampleType::Method) => Some(Self::Method(b)),
            (Self::Bin(mut b), SampleType::Str | SampleType::Method) => {
                b.truncate(memchr::memchr(0, &b).unwrap_or(b.len()));
                Some(if to == SampleType::Str { Self::Str(b) } else { Self::Method(b) })
            }
            (other, to) => other.as_ref().cast_owned(to),
        }
    }

    /// It as text.
    #[must_use]
    pub fn into_text(self) -> Vec<u8> {
        match self.cast(SampleType::Str) {
            Some(Self::Str(b)) => b,
            _ => Vec::new(),
        }
    }
}

impl<'a> SampleRef<'a> {
    /// Its type; never [`SampleType::Any`].
    #[must_use]
    pub fn kind(self) -> SampleType {
        match self {
            Self::Bool(_) => SampleType::Bool,
            Self::Int(_) => SampleType::Int,
            Self::Addr(_) => SampleType::Addr,
            Self::Str(_) => SampleType::Str,
            Self::Bin(_) => SampleType::Bin,
            Self::Method(_) => SampleType::Method,
        }
    }

    /// A copy that owns its bytes.
    #[must_use]
    pub fn to_owned(self) -> Sample {
        match self {
            Self::Bool(b) => Sample::Bool(b),
            Self::Int(i) => Sample::Int(i),
            Self::Addr(a) => Sample::Addr(a),
            Self::Str(b) => Sample::Str(b.to_vec()),
            Self::Bin(b) => Sample::Bin(b.to_vec()),
            Self::Method(b) => Sample::Method(b.to_vec()),
        }
    }

    /// It as text; every type has one.
    #[must_use]
    pub fn text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Str(b) | Self::Method(b) => Cow::Borrowed(b),
            Self::Bin(b) => Cow::Borrowed(until_nul(b)),
            other => {
                let mut out = Vec::new();
                other.append_to(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Appends it as text.
    pub fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(b) => out.push(if b { b'1' } else { b'0' }),
            Self::Int(i) => out.extend_from_slice(itoa::Buffer::new().format(i).as_bytes()),
            Self::Addr(a) => {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "{a}");
            }
            Self::Str(b) | Self::Method(b) => out.extend_from_slice(b),
            Self::Bin(b) => out.extend_from_slice(until_nul(b)),
        }
    }

    /// It as an integer.
    #[must_use]
    pub fn int(self) -> Option<i64> {
        match self {
            Self::Bool(b) => Some(i64::from(b)),
            Self::Int(i) => Some(i),
            Self::Addr(IpAddr::V4(v4)) => Some(i64::from(u32::from(v4))),
            Self::Str(b) => leading_int(b),
            Self::Addr(IpAddr::V6(_)) | Self::Bin(_) | Self::Method(_) => None,
        }
    }

    /// It as an address.
    #[must_use]
    pub fn addr(self) -> Option<IpAddr> {
        match self {
            Self::Addr(a) => Some(a),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the low 32 bits are meant"
            )]
            Self::Int(i) => Some(IpAddr::V4(Ipv4Addr::from(i as u32))),
            Self::Str(b) => parse_addr(b),
            Self::Bin(b) => addr_of_bytes(b),
            Self::Bool(_) | Self::Method(_) => None,
        }
    }

    fn cast_owned(self, to: SampleType) -> Option<Sample> {
        match to {
            SampleType::Any => Some(self.to_owned()),
            SampleType::Bool => {
                self.int().filter(|_| !matches!(self, Self::Addr(_))).map(|i| Sample::Bool(i != 0))
            }
            SampleType::Int => self.int().map(Sample::Int),
            SampleType::Addr => self.addr().map(Sample::Addr),
            SampleType::Str => Some(Sample::Str(self.text().into_owned())),
            SampleType::Bin => Some(Sample::Bin(self.bytes())),
            SampleType::Method => match self {
                Self::Str(b) | Self::Method(b) => Some(Sample::Method(b.to_vec())),
                Self::Bin(b) => Some(Sample::Method(until_nul(b).to_vec())),
                _ => None,
            },
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Bool(b) => i64::from(b).to_be_bytes().to_vec(),
            Self::Int(i) => i.to_be_bytes().to_vec(),
            Self::Addr(IpAddr::V4(a)) => a.octets().to_vec(),
            Self::Addr(IpAddr::V6(a)) => a.octets().to_vec(),
            Self::Str(b) | Self::Bin(b) | Self::Method(b) => b.to_vec(),
        }
    }
}

impl SampleType {
    /// Whether a sample of this type can ever be cast to `to`.
    #[must_use]
    pub fn casts_to(self, to: Self) -> bool {
        use SampleType::{Addr, Any, Bin, Bool, Int, Method, Str};
        match (self, to) {
            (Any, _) | (_, Any | Str | Bin) | (Bool | Int | Str, Bool | Int) | (Addr, Int) => true,
            (Int | Addr | Str | Bin, Addr) | (Str | Bin | Method, Method) => true,
            (Bin | Method | Addr, Bool) | (Bin | Method, Int) | (Bool | Method, Addr) => false,
            (Bool | Int | Addr, Method) => false,
        }
    }
}

/// What stands before the first NUL.
fn until_nul(b: &[u8]) -> &[u8] {
    &b[..memchr::memchr(0, b).unwrap_or(b.len())]
}

/// The integer at the start of a text, 0 if there is none, clamped; `None` for an empty text.
pub(crate) fn leading_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [] => return None,
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let value = digits.iter().take_while(|b| b.is_ascii_digit()).fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let value = value.saturating_mul(10);
        if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) }
    });
    Some(value)
}

/// An address as text: IPv6 with or without brackets, IPv4 with or without a port.
pub(crate) fn parse_addr(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(addr) = text.parse() {
        return Some(addr);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        let port_is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return inner.parse::<Ipv6Addr>().ok().filter(|_| port_is_fine).map(IpAddr::V6);
    }
    let (host, port) = text.split_once(':')?;
    host.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn addr_of_bytes(b: &[u8]) -> Option<IpAddr> {
    match b.len() {
        4 => <[u8; 4]>::try_from(b).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(b).ok().map(IpAddr::from),
        _ => None,
    }
}
