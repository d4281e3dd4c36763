//! Where a payload may be cut.
//!
//! A cut may fall between messages, between arguments, between an argument's name and its value, and inside a string or
//! binary after at least its first byte; numbers, addresses and names stay whole, because agents may parse fragment by
//! fragment. The walk happens only when a payload does not fit, so the encoder records nothing.
//!
//! Source: SPOE.txt 1.1 (HAProxy 2.8) §3.2.6; captured fragments.

use crate::frame::{DecodeError, Flags, FrameType, Header, TypedData, header, varint};

/// Appends `payload` as NOTIFY and UNSET frames of at most `frame_size_bytes_max`; gives the number of frames, or `None` (and
/// nothing appended) if some name or value that may not be cut does not fit.
pub(crate) fn encode(
    first: Header,
    payload: &[u8],
    frame_size_bytes_max: u32,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let room = (frame_size_bytes_max as usize).checked_sub(first.encoded_len())?;
    let mark = out.len();
    let (mut from, mut frames) = (0, 0);
    let mut cuts = Cuts::new(payload);
    while from < payload.len() {
        let Some(to) = cuts.last_within(from, from + room) else {
            out.truncate(mark);
            return None;
        };
        let kind = if from == 0 { first.kind } else { FrameType::Unset };
        let flags = if to == payload.len() { Flags::FIN } else { Flags::NONE };
        let start = header::begin(Header { kind, flags, ..first }, out);
        out.extend_from_slice(&payload[from..to]);
        header::end(start, out);
        (from, frames) = (to, frames + 1);
    }
    Some(frames)
}

/// Walks a payload once, from span to span: each is a byte range after whose first byte-count it may be cut.
struct Cuts<'a> {
    payload: &'a [u8],
    /// Where the element under the walk starts, and how many arguments of its message are left.
    at: usize,
    args_left: u8,
    awaits_value: bool,
    /// Cuts allowed at every offset from `.0` to `.1`, the last found.
    open: (usize, usize),
}

impl<'a> Cuts<'a> {
    const fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0, args_left: 0, awaits_value: false, open: (0, 0) }
    }

    /// The last allowed cut in `after + 1 ..= limit`.
    fn last_within(&mut self, after: usize, limit: usize) -> Option<usize> {
        if limit >= self.payload.len() {
            return Some(self.payload.len());
        }
        let mut best = None;
        loop {
            if self.open.0 <= limit {
                let cut = self.open.1.min(limit);
                if cut > after {
                    best = Some(cut);
                }
            }
            if self.open.1 > limit || self.at >= self.payload.len() {
                return best;
            }
            self.step().ok()?;
        }
    }

    /// Moves to the next element.
    fn step(&mut self) -> Result<(), DecodeError> {
        let rest = &self.payload[self.at..];
        let (first_cut, end) = if self.awaits_value {
            self.awaits_value = false;
            let (value, used) = TypedData::decode(rest)?;
            let body = value.as_bytes().map_or(0, <[u8]>::len);
            (used - body.saturating_sub(1), used)
        } else if self.args_left > 0 {
            self.args_left -= 1;
            self.awaits_value = true;
            let (len, used) = varint::decode(rest)?;
            let end = used + len as usize;
            (end, end)
        } else {
            let (len, used) = varint::decode(rest)?;
            let end = used + len as usize + 1;
            self.args_left = self.payload.get(self.at + end - 1).copied().unwrap_or(0);
            (end, end)
        };
        self.open = (self.at + first_cut, self.at + end);
        self.at += end;
        Ok(())
    }
}
