//! Heads and bodies: to bytes.

use super::{
    super::message::{Message, Version},
    parse::Length,
};

/// A body being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoder {
    framing: Length,
    ended: bool,
}

impl Encoder {
    /// The encoder of a body that ends so.
    #[must_use]
    pub fn new(framing: Length) -> Self {
        Self { framing, ended: framing == Length::None }
    }

    /// Whether payload goes out as it is, so that it need not be copied first.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(self.framing, Length::Known(_) | Length::UntilClose)
    }

    /// Whether a chunk must be framed.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        self.framing == Length::Chunked
    }

    /// How much payload still fits a declared length; any amount elsewhere, none where no body is
    /// allowed.
    #[must_use]
    pub fn room(&self) -> u64 {
        match self.framing {
            Length::None => 0,
            Length::Known(left) => left,
            Length::Chunked | Length::UntilClose => u64::MAX,
        }
    }

    /// Appends payload with its framing; what exceeds a declared length is dropped.
    pub fn data(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let payload =
            &payload[..usize::try_from(self.room()).map_or(payload.len(), |room| room.min(payload.len()))];
        if payload.is_empty() {
            return;
        }
        if self.framing == Length::Chunked {
            chunk_size(payload.len(), out);
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(payload);
            self.passed(payload.len());
        }
    }

    /// Counts payload that went out beside this encoder, as it was.
    pub fn passed(&mut self, n: usize) {
        if let Length::Known(left) = &mut self.framing {
            *left = left.saturating_sub(n as u64);
        }
    }

    /// Ends the body; `trailers` are lines with their ends. Whether the declared length was kept.
    pub fn end(&mut self, trailers: &[u8], out: &mut Vec<u8>) -> bool {
        if !std::mem::replace(&mut self.ended, true) && self.framing == Length::Chunked {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(trailers);
            out.extend_from_slice(b"\r\n");
        }
        matches!(self.framing, Length::None | Length::Known(0) | Length::Chunked | Length::UntilClose)
    }
}

/// Appends a whole head: start line, header lines, the line for `connection` if one is given, and
/// the empty line.
pub fn head(message: &Message, connection: Option<&str>, out: &mut Vec<u8>) {
    out.reserve(message.wire_len() + 32);
    message.write_start_line(out);
    out.extend_from_slice(b"\r\n");
    message.write_headers(out);
    if let Some(token) = connection {
        out.extend_from_slice(b"connection: ");
        out.extend_from_slice(token.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The version that goes to a client: always our own.
pub const OUR_VERSION: Version = Version::Http11;

/// Appends a chunk's size line.
fn chunk_size(size: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(size >> (4 * at)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}
