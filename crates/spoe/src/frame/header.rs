//! The envelope of every frame: length, type, flags, stream-id and frame-id.
//!
//! [`Frame::split`] finds one whole frame at the start of a byte string; [`begin`] and [`end`] write one around a payload that
//! is encoded in place.
//!
//! Source: SPOE.txt §3.2.

use std::ops::BitOr;

use super::reader::Reader;
use super::{DecodeError, DecodeErrorKind, varint};

/// Bytes of the length prefix; it counts what follows it.
pub const LENGTH_BYTES: usize = 4;
/// The least that may follow the length: type, flags and two one-byte ids.
pub const FRAME_BYTES_MIN: usize = 7;
/// The smallest max-frame-size two peers may agree on.
pub const FRAME_SIZE_BYTES_MIN: u32 = 256;

/// The stream a frame belongs to: HAProxy's, or a number per connection for proxies of 3.1 and later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct StreamId(pub u64);

/// The exchange within a stream that a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FrameId(pub u64);

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// Continues a fragmented payload.
    Unset,
    /// The proxy's greeting.
    HaproxyHello,
    /// The proxy ends the connection.
    HaproxyDisconnect,
    /// Messages for the agent.
    Notify,
    /// The agent's greeting.
    AgentHello,
    /// The agent ends the connection.
    AgentDisconnect,
    /// The agent's answer to a NOTIFY.
    Ack,
    /// None of the above; skipped by whoever gets it.
    Unknown(u8),
}

impl FrameType {
    /// The type of this byte.
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Unset,
            1 => Self::HaproxyHello,
            2 => Self::HaproxyDisconnect,
            3 => Self::Notify,
            101 => Self::AgentHello,
            102 => Self::AgentDisconnect,
            103 => Self::Ack,
            other => Self::Unknown(other),
        }
    }

    /// The byte of this type.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Unset => 0,
            Self::HaproxyHello => 1,
            Self::HaproxyDisconnect => 2,
            Self::Notify => 3,
            Self::AgentHello => 101,
            Self::AgentDisconnect => 102,
            Self::Ack => 103,
            Self::Unknown(other) => other,
        }
    }
}

/// The 32 flag bits; all but two are reserved, kept as they came and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// No flag: more fragments follow.
    pub const NONE: Self = Self(0);
    /// The last, or only, frame of its payload.
    pub const FIN: Self = Self(1);
    /// The payload is given up.
    pub const ABORT: Self = Self(2);

    /// Whether the payload ends with this frame.
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN.0 != 0
    }

    /// Whether the payload is given up.
    pub const fn abort(self) -> bool {
        self.0 & Self::ABORT.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Everything of a frame but its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: FrameType,
    /// FIN, ABORT and reserved bits.
    pub flags: Flags,
    /// The stream; 0 for HELLO and DISCONNECT.
    pub stream: StreamId,
    /// The exchange; 0 for HELLO and DISCONNECT.
    pub frame: FrameId,
}

impl Header {
    /// An unfragmented frame that belongs to no stream: HELLO or DISCONNECT.
    pub const fn control(kind: FrameType) -> Self {
        Self { kind, flags: Flags::FIN, stream: StreamId(0), frame: FrameId(0) }
    }

    /// A frame of a stream.
    pub const fn of(kind: FrameType, flags: Flags, stream: StreamId, frame: FrameId) -> Self {
        Self { kind, flags, stream, frame }
    }

    /// How many bytes it takes after the length prefix.
    pub const fn encoded_len(&self) -> usize {
        5 + varint::encoded_len(self.stream.0) + varint::encoded_len(self.frame.0)
    }
}

/// One whole frame, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Everything before the payload.
    pub header: Header,
    /// The payload, not yet read.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes one frame from the start of `bytes`, with the number of bytes it used, or `None` while it is not whole.
    ///
    /// # Errors
    /// As soon as the length is known: above `frame_size_bytes_max` or below seven bytes. When the frame is whole: ids that
    /// do not fit it.
    #[inline]
    pub fn split(bytes: &'a [u8], frame_size_bytes_max: u32) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix);
        if length > frame_size_bytes_max {
            return Err(DecodeError::new(DecodeErrorKind::FrameTooBig, 0));
        }
        let length = length as usize;
        if length < FRAME_BYTES_MIN {
            return Err(DecodeError::new(DecodeErrorKind::FrameTooShort, 0));
        }
        match rest.get(..length) {
            Some(body) => Ok(Some((Self::decode(body)?, LENGTH_BYTES + length))),
            None => Ok(None),
        }
    }

    /// Reads the frame that `body` is: what follows the length prefix.
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let in_frame = |e: DecodeError| DecodeError::new(e.kind, e.offset + LENGTH_BYTES);
        let mut reader = Reader::new(body);
        let kind = FrameType::from_byte(reader.u8().map_err(in_frame)?);
        let flags = Flags(u32::from_be_bytes(reader.array::<4>().map_err(in_frame)?));
        let stream = StreamId(reader.varint().map_err(in_frame)?);
        let frame = FrameId(reader.varint().map_err(in_frame)?);
        Ok(Self { header: Header { kind, flags, stream, frame }, payload: reader.rest() })
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(self.header, out);
        out.extend_from_slice(self.payload);
        end(start, out);
    }
}

/// Appends length prefix (to be filled in by [`end`]) and header; the payload goes behind. Gives where the frame starts.
#[inline]
pub fn begin(header: Header, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let flags = header.flags.0.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 0, header.kind.to_byte(), flags[0], flags[1], flags[2], flags[3]]);
    varint::encode(header.stream.0, out);
    varint::encode(header.frame.0, out);
    start
}

/// Fills in the length of the frame that [`begin`] started at `start`; everything behind it is its payload.
///
/// # Panics
/// If `start` is not what `begin` gave for this buffer.
#[inline]
pub fn end(start: usize, out: &mut [u8]) {
    let length = (out.len() - start - LENGTH_BYTES) as u32;
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_refused_before_the_frame_is_whole() {
        let split = |bytes: &[u8]| Frame::split(bytes, 256).map(|f| f.is_some());
        assert_eq!(split(&[0, 0, 1]), Ok(false));
        assert_eq!(split(&[0, 0, 1, 0]), Ok(false));
        assert_eq!(split(&[0, 0, 1, 1]).unwrap_err().kind, DecodeErrorKind::FrameTooBig);
        assert_eq!(split(&[0xff; 4]).unwrap_err().kind, DecodeErrorKind::FrameTooBig);
        assert_eq!(split(&[0, 0, 0, 0]).unwrap_err().kind, DecodeErrorKind::FrameTooShort);
        assert_eq!(split(&[0, 0, 0, 6]).unwrap_err().kind, DecodeErrorKind::FrameTooShort);
        assert_eq!(
            split(&[0, 0, 0, 7, 103, 0, 0, 0, 1, 0, 0xf0]).unwrap_err().kind,
            DecodeErrorKind::Truncated
        );
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(kind: u8, flags: u32, stream: u64, frame: u64, payload: Vec<u8>, tail: Vec<u8>) {
            let header = Header {
                kind: FrameType::from_byte(kind),
                flags: Flags(flags),
                stream: StreamId(stream),
                frame: FrameId(frame),
            };
            let mut out = Vec::new();
            Frame { header, payload: &payload }.encode(&mut out);
            let len = out.len();
            prop_assert_eq!(len, LENGTH_BYTES + header.encoded_len() + payload.len());
            for cut in 0..len {
                prop_assert_eq!(Frame::split(&out[..cut], u32::MAX), Ok(None));
            }
            out.extend_from_slice(&tail);
            prop_assert_eq!(Frame::split(&out, u32::MAX), Ok(Some((Frame { header, payload: &payload }, len))));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Frame::split(&bytes, 16_380);
        }
    }
}
