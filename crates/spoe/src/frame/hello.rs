//! The two greetings, their versions and capabilities.
//!
//! Keys are compared whole (HAProxy compares a prefix), unknown keys are skipped whatever their type, and of a repeated key
//! the last counts. Where HAProxy's versions differ the later one is followed: an AGENT-HELLO without max-frame-size keeps
//! the proxy's.
//!
//! Source: SPOE.txt §3.2.1, §3.2.4, §3.2.5.

use std::ops::{BitAnd, BitOr};

use super::header::{FRAME_SIZE_BYTES_MIN, FrameType, Header, begin, end};
use super::reader::{KvReader, encode_name};
use super::{DecodeError, DecodeErrorKind, TypedData};

/// What a peer can do beyond one frame at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u8);

impl Capabilities {
    /// Nothing beyond one frame at a time.
    pub const NONE: Self = Self(0);
    /// Several NOTIFYs may wait for their ACKs on a connection.
    pub const PIPELINING: Self = Self(1);
    /// An ACK may come on another connection of the same engine-id. Gone from HAProxy 3.1.
    pub const ASYNC: Self = Self(2);
    /// The peer takes payloads in several frames. Gone from HAProxy 3.1.
    pub const FRAGMENTATION: Self = Self(4);

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These less `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The comma-separated list, in HAProxy's order, without spaces.
    pub const fn as_str(self) -> &'static str {
        match self.0 {
            0 => "",
            1 => "pipelining",
            2 => "async",
            3 => "pipelining,async",
            4 => "fragmentation",
            5 => "pipelining,fragmentation",
            6 => "async,fragmentation",
            _ => "pipelining,async,fragmentation",
        }
    }

    /// Reads a list; unknown names are skipped.
    pub fn from_list(list: &[u8]) -> Self {
        list.split(|&b| b == b',').fold(Self::NONE, |all, item| {
            // HAProxy ends a name at a space as well.
            let name = item.trim_ascii_start().split(|&b| b == b' ').next().unwrap_or_default();
            all | match name {
                b"pipelining" => Self::PIPELINING,
                b"async" => Self::ASYNC,
                b"fragmentation" => Self::FRAGMENTATION,
                _ => Self::NONE,
            }
        })
    }
}

impl BitOr for Capabilities {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Capabilities {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the dot, at least 1.
    pub major: u16,
    /// After the dot, at most 999.
    pub minor: u16,
}

impl Version {
    /// The only version there is: 1.0 was withdrawn.
    pub const V2_0: Self = Self { major: 2, minor: 0 };

    /// Reads `Major.Minor`, outer spaces allowed.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_matches(' ');
        let (major, minor) = text.split_once('.')?;
        let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<u16>().ok()).flatten();
        let (major, minor) = (number(major)?, number(minor)?);
        (major >= 1 && minor <= 999).then_some(Self { major, minor })
    }
}

/// HAPROXY-HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HaproxyHello<'a> {
    /// The comma-separated versions offered.
    pub supported_versions: &'a [u8],
    /// The largest frame the proxy takes, length prefix not counted.
    pub max_frame_size: u32,
    /// What the proxy can do.
    pub capabilities: Capabilities,
    /// Whether only an answer is wanted, to see that the agent is there.
    pub healthcheck: bool,
    /// Names the engine; connections of the same one may share ACKs if async was agreed.
    pub engine_id: Option<&'a [u8]>,
}

impl<'a> HaproxyHello<'a> {
    /// Reads the payload.
    ///
    /// # Errors
    /// A missing or ill-typed mandatory item, or a max-frame-size below 256. A list of versions without 2.x is not an error
    /// here: see [`offers`](Self::offers).
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut versions, mut size, mut capabilities) = (None, None, None);
        let mut hello = Self {
            supported_versions: b"",
            max_frame_size: 0,
            capabilities: Capabilities::NONE,
            healthcheck: false,
            engine_id: None,
        };
        let mut pairs = KvReader::new(payload);
        while let Some(pair) = pairs.next() {
            let (name, value) = pair?;
            let at = pairs.at();
            match name {
                b"supported-versions" => versions = Some(text(value, at)?),
                b"max-frame-size" => size = Some(frame_size(value, at)?),
                b"capabilities" => capabilities = Some(Capabilities::from_list(text(value, at)?)),
                b"healthcheck" => hello.healthcheck = value == TypedData::Bool(true),
                b"engine-id" => hello.engine_id = Some(text(value, at)?),
                _ => {}
            }
        }
        let missing = |kind| DecodeError::new(kind, payload.len());
        hello.supported_versions = versions.ok_or(missing(DecodeErrorKind::NoVersion))?;
        hello.max_frame_size = size.ok_or(missing(DecodeErrorKind::NoMaxFrameSize))?;
        hello.capabilities = capabilities.ok_or(missing(DecodeErrorKind::NoCapabilities))?;
        Ok(hello)
    }

    /// Appends the whole frame, its items in HAProxy's order.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(Header::control(FrameType::HaproxyHello), out);
        pair(b"supported-versions", TypedData::String(self.supported_versions), out);
        pair(b"max-frame-size", TypedData::Uint32(self.max_frame_size), out);
        pair(b"capabilities", self.capabilities.as_str().into(), out);
        if self.healthcheck {
            pair(b"healthcheck", TypedData::Bool(true), out);
        }
        if let Some(id) = self.engine_id {
            pair(b"engine-id", TypedData::String(id), out);
        }
        end(start, out);
    }

    /// Whether `version` is offered: the same major version, and at least that minor one.
    pub fn offers(&self, version: Version) -> bool {
        self.supported_versions
            .split(|&b| b == b',')
            .filter_map(Version::parse)
            .any(|v| v.major == version.major && v.minor >= version.minor)
    }
}

/// AGENT-HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentHello {
    /// The version the agent chose.
    pub version: Version,
    /// The frame size agreed, if the agent said one.
    pub max_frame_size: Option<u32>,
    /// What the agent can do; none if it did not say.
    pub capabilities: Capabilities,
}

impl AgentHello {
    /// Reads the payload.
    ///
    /// # Errors
    /// No version, one that cannot be read, or ill-typed items. Whether the values suit the proxy is for the connection to
    /// say.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (mut version, mut max_frame_size, mut capabilities) = (None, None, Capabilities::NONE);
        let mut pairs = KvReader::new(payload);
        while let Some(pair) = pairs.next() {
            let (name, value) = pair?;
            let at = pairs.at();
            match name {
                b"version" => {
                    let parsed = Version::parse(text(value, at)?);
                    version = Some(parsed.ok_or(DecodeError::new(DecodeErrorKind::BadVersion, at))?);
                }
                b"max-frame-size" => max_frame_size = Some(frame_size(value, at)?),
                b"capabilities" => capabilities = Capabilities::from_list(text(value, at)?),
                _ => {}
            }
        }
        let version = version.ok_or(DecodeError::new(DecodeErrorKind::NoVersion, payload.len()))?;
        Ok(Self { version, max_frame_size, capabilities })
    }

    /// Appends the whole frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(Header::control(FrameType::AgentHello), out);
        let version = format!("{}.{}", self.version.major, self.version.minor);
        pair(b"version", (&version).into(), out);
        if let Some(size) = self.max_frame_size {
            pair(b"max-frame-size", TypedData::Uint32(size), out);
        }
        pair(b"capabilities", self.capabilities.as_str().into(), out);
        end(start, out);
    }
}

/// Appends one item of a KV list.
pub(crate) fn pair(name: &[u8], value: TypedData<'_>, out: &mut Vec<u8>) {
    encode_name(name, out);
    value.encode(out);
}

fn text(value: TypedData<'_>, at: usize) -> Result<&[u8], DecodeError> {
    match value {
        TypedData::String(bytes) => Ok(bytes),
        _ => Err(DecodeError::new(DecodeErrorKind::WrongType, at)),
    }
}

fn frame_size(value: TypedData<'_>, at: usize) -> Result<u32, DecodeError> {
    let raw = value.as_i64().ok_or(DecodeError::new(DecodeErrorKind::WrongType, at))?;
    match u32::try_from(raw) {
        Ok(size) if size >= FRAME_SIZE_BYTES_MIN => Ok(size),
        _ => Err(DecodeError::new(DecodeErrorKind::BadMaxFrameSize, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_haproxy_reads_them() {
        for (text, version) in [
            ("2.0", Some((2, 0))),
            (" 2.0 ", Some((2, 0))),
            ("1.5", Some((1, 5))),
            ("2.1000", None),
            ("0.9", None),
            ("2", None),
            ("2.", None),
            (".0", None),
            ("+2.0", None),
            ("abc", None),
            ("", None),
        ] {
            let got = Version::parse(text.as_bytes()).map(|v| (v.major, v.minor));
            assert_eq!(got, version, "{text:?}");
        }
    }

    #[test]
    fn capability_names_end_at_space_comma_or_end() {
        for (list, names) in [
            ("", ""),
            ("pipelining", "pipelining"),
            (" pipelining , async", "pipelining,async"),
            ("async,pipelining,fragmentation", "pipelining,async,fragmentation"),
            ("pipeliningx,asyncc", ""),
            ("unknown,async", "async"),
            (",,", ""),
        ] {
            assert_eq!(Capabilities::from_list(list.as_bytes()).as_str(), names, "{list:?}");
        }
    }
}
