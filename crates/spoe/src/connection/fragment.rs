//! A payload that leaves in several frames, and where it may be cut.
//!
//! A cut may fall between messages, between arguments, between an argument's name and its value, and inside a string or
//! binary after at least its first byte; numbers, addresses and names stay whole, because agents may parse fragment by
//! fragment. The walk happens only when a payload does not fit, so the encoder records nothing. The frames are written when
//! there is room for them in the output, so that what is given up before can be left unsaid.
//!
//! Source: SPOE.txt 1.1 (HAProxy 2.8) §3.2.6; captured fragments.

use crate::frame::{DecodeError, Flags, Frame, FrameType, Header, TypedData, header, varint};

/// A payload of which some frames are not written yet.
#[derive(Debug)]
pub(super) struct Fragments {
    first: Header,
    payload: Vec<u8>,
    frame_size_bytes_max: u32,
    /// Bytes of the payload already written.
    from: usize,
    cuts: Cuts,
}

impl Fragments {
    /// Prepares `payload` for frames of at most `frame_size_bytes_max`, or gives `None` if some name or value that may not
    /// be cut does not fit one.
    pub(super) fn new(first: Header, payload: Vec<u8>, frame_size_bytes_max: u32) -> Option<Self> {
        let room = (frame_size_bytes_max as usize).checked_sub(first.encoded_len())?;
        let (mut from, mut cuts) = (0, Cuts::default());
        while from < payload.len() {
            from = cuts.last_within(&payload, from, from + room)?;
        }
        Some(Self { first, payload, frame_size_bytes_max, from: 0, cuts: Cuts::default() })
    }

    /// The frame that it all belongs to.
    pub(super) const fn header(&self) -> Header {
        self.first
    }

    /// Whether no frame was written yet.
    pub(super) const fn is_untouched(&self) -> bool {
        self.from == 0
    }

    /// Appends the next frame; gives whether it was the last.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> bool {
        let room = self.frame_size_bytes_max as usize - self.first.encoded_len();
        let to = self.cuts.last_within(&self.payload, self.from, self.from + room);
        let to = to.expect("invariant: the cuts were walked once at construction");
        let kind = if self.is_untouched() { self.first.kind } else { FrameType::Unset };
        let last = to == self.payload.len();
        let flags = if last { Flags::FIN } else { Flags::NONE };
        let start = header::begin(Header { kind, flags, ..self.first }, out);
        out.extend_from_slice(&self.payload[self.from..to]);
        header::end(start, out);
        self.from = to;
        last
    }

    /// Appends the frame that gives the rest up.
    pub(super) fn abort(&self, out: &mut Vec<u8>) {
        let header = Header { kind: FrameType::Unset, flags: Flags::FIN | Flags::ABORT, ..self.first };
        Frame { header, payload: &[] }.encode(out);
    }
}

/// Walks a payload once, from span to span: each is a byte range after whose first byte-count it may be cut.
#[derive(Debug, Default)]
struct Cuts {
    /// Where the element under the walk starts, and how many arguments of its message are left.
    at: usize,
    args_left: u8,
    awaits_value: bool,
    /// Cuts allowed at every offset from `.0` to `.1`, the last found.
    open: (usize, usize),
}

impl Cuts {
    /// The last allowed cut in `after + 1 ..= limit`.
    fn last_within(&mut self, payload: &[u8], after: usize, limit: usize) -> Option<usize> {
        if limit >= payload.len() {
            return Some(payload.len());
        }
        let mut best = None;
        loop {
            if self.open.0 <= limit {
                let cut = self.open.1.min(limit);
                if cut > after {
                    best = Some(cut);
                }
            }
            if self.open.1 > limit || self.at >= payload.len() {
                return best;
            }
            self.step(payload).ok()?;
        }
    }

    /// Moves to the next element.
    fn step(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let rest = &payload[self.at..];
        let (first_cut, end) = if self.awaits_value {
            self.awaits_value = false;
            let (value, used) = TypedData::decode(rest)?;
            let body = value.as_bytes().map_or(0, <[u8]>::len);
            (used - body.saturating_sub(1), used)
        } else if self.args_left > 0 {
            self.args_left -= 1;
            self.awaits_value = true;
            let (len, used) = varint::decode(rest)?;
            let end = used.saturating_add(len as usize);
            (end, end)
        } else {
            let (len, used) = varint::decode(rest)?;
            let end = used.saturating_add(len as usize).saturating_add(1);
            self.args_left = rest.get(end - 1).copied().unwrap_or(0);
            (end, end)
        };
        if end > rest.len() {
            return Err(DecodeError::new(crate::frame::DecodeErrorKind::Truncated, self.at));
        }
        self.open = (self.at + first_cut, self.at + end);
        self.at += end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{FrameId, StreamId};

    proptest! {
        #[test]
        fn fragments_of_arbitrary_bytes_fit_and_add_up_or_are_refused(
            payload in proptest::collection::vec(any::<u8>(), 1..2000),
            size in 20u32..300,
        ) {
            let first = Header::of(FrameType::Notify, Flags::FIN, StreamId(4711), FrameId(1));
            if let Some(mut fragments) = Fragments::new(first, payload.clone(), size) {
                let mut out = Vec::new();
                while !fragments.write(&mut out) {}
                let (mut rest, mut whole) = (&out[..], Vec::new());
                while let Some((frame, used)) = Frame::split(rest, size).unwrap() {
                    prop_assert!(!frame.payload.is_empty());
                    whole.extend_from_slice(frame.payload);
                    rest = &rest[used..];
                    prop_assert_eq!(frame.header.flags.fin(), rest.is_empty());
                }
                prop_assert_eq!(whole, payload);
            }
        }
    }
}
