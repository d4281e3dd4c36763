//! HAPROXY-DISCONNECT and AGENT-DISCONNECT: a status code and a text.
//!
//! Source: SPOE.txt §3.2.8, §3.2.9.

use super::header::{FrameType, Header, begin, end};
use super::hello::pair;
use super::reader::KvReader;
use super::{DecodeError, DecodeErrorKind, Status, TypedData};

/// The payload of either DISCONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why the connection ends.
    pub status: Status,
    /// The peer's words for it; may be empty.
    pub message: &'a [u8],
}

impl<'a> Disconnect<'a> {
    /// Says `status` with the text that belongs to it.
    pub const fn new(status: Status) -> Disconnect<'static> {
        Disconnect { status, message: status.text().as_bytes() }
    }

    /// Reads the payload. A missing text is no error; codes too large for a table of codes read as unknown.
    ///
    /// # Errors
    /// No status-code, ill-typed items, or a list that cannot be read.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut status, mut message) = (None, &b""[..]);
        let mut pairs = KvReader::new(payload);
        while let Some(pair) = pairs.next() {
            let (name, value) = pair?;
            let wrong = DecodeError::new(DecodeErrorKind::WrongType, pairs.at());
            match name {
                b"status-code" => {
                    let code = value.as_i64().ok_or(wrong)?;
                    status = Some(u16::try_from(code).map_or(Status::UNKNOWN, |c| Status(c.into())));
                }
                b"message" => message = value.as_bytes().ok_or(wrong)?,
                _ => {}
            }
        }
        let status = status.ok_or(DecodeError::new(DecodeErrorKind::NoStatusCode, payload.len()))?;
        Ok(Self { status, message })
    }

    /// Appends the whole frame; `kind` says which end speaks.
    pub fn encode(&self, kind: FrameType, out: &mut Vec<u8>) {
        let start = begin(Header::control(kind), out);
        pair(b"status-code", TypedData::Uint32(self.status.0), out);
        pair(b"message", TypedData::String(self.message), out);
        end(start, out);
    }
}
