//! What a frame can be refused for: small, `Copy`, with the offset of the byte that was wrong.
//!
//! A decode error knows the status code of the DISCONNECT that answers it ([`DecodeError::status`]).
//!
//! Source: SPOE.txt §3.5.

use super::status::Status;

/// A refusal to decode: what was wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct DecodeError {
    /// What was wrong.
    pub kind: DecodeErrorKind,
    /// The byte where it was noticed, counted from the start of the slice that was decoded (a frame with its length prefix, or
    /// a payload).
    pub offset: usize,
}

/// What was wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A value, name or list ends before its announced length.
    #[error("truncated value")]
    Truncated,
    /// A varint is longer than ten bytes or does not fit 64 bits.
    #[error("varint too large")]
    VarintOverflow,
    /// The frame announces fewer than the seven bytes every frame has.
    #[error("frame too short")]
    FrameTooShort,
    /// The frame announces more bytes than were agreed.
    #[error("frame too big")]
    FrameTooBig,
    /// A known key carries a value of another type.
    #[error("value of the wrong type")]
    WrongType,
    /// The greeting has no version.
    #[error("version value not found")]
    NoVersion,
    /// The greeting has no max-frame-size.
    #[error("max-frame-size value not found")]
    NoMaxFrameSize,
    /// The greeting has no capabilities.
    #[error("capabilities value not found")]
    NoCapabilities,
    /// The version is none that we speak.
    #[error("unsupported version")]
    BadVersion,
    /// The max-frame-size is outside what was offered.
    #[error("max-frame-size too big or too small")]
    BadMaxFrameSize,
    /// An action of unknown type, with the wrong number of arguments, or of unknown scope.
    #[error("malformed action")]
    BadAction,
    /// A DISCONNECT has no status-code.
    #[error("status-code value not found")]
    NoStatusCode,
}

impl DecodeError {
    pub(crate) const fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// The status code that a DISCONNECT answering this carries.
    pub const fn status(self) -> Status {
        match self.kind {
            DecodeErrorKind::FrameTooBig => Status::TOO_BIG,
            DecodeErrorKind::NoVersion => Status::NO_VERSION,
            DecodeErrorKind::NoMaxFrameSize => Status::NO_FRAME_SIZE,
            DecodeErrorKind::NoCapabilities => Status::NO_CAPABILITIES,
            DecodeErrorKind::BadVersion => Status::BAD_VERSION,
            DecodeErrorKind::BadMaxFrameSize => Status::BAD_FRAME_SIZE,
            _ => Status::INVALID,
        }
    }
}
