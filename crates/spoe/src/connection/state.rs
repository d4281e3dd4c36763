//! What both ends share: the life of a connection, its output and its name.
//!
//! ```text
//!   Greeting ──HELLO both ways──▶ Running ──DISCONNECT sent──▶ Closing ──answer or deadline──▶ Closed
//!      └───────────────┴──────────────── DISCONNECT received, broken ────────────────────────────▲
//! ```
//!
//! Source: SPOE.txt §3.2.3.

use std::time::Instant;

use crate::frame::Capabilities;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The greeting is under way, until then.
    Greeting { deadline: Option<Instant> },
    /// Greeted; these are the terms.
    Running(Terms),
    /// Our DISCONNECT is out and the peer's is awaited, until then.
    Closing { deadline: Instant },
    /// Nothing more is said or heard.
    Closed,
}

/// What the greeting agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) frame_size_bytes_max: u32,
    pub(crate) capabilities: Capabilities,
}

/// What [`poll_transmit`](super::HaproxyEnd::poll_transmit) moved out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// How many bytes were appended to the buffer.
    pub bytes: usize,
}

/// What an end has said and heard so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames written to the output, each fragment one.
    pub frames_sent: u64,
    /// Whole frames taken from the input.
    pub frames_received: u64,
    /// ACKs among them that answered no waiting exchange.
    pub late_acks: u64,
    /// Bytes moved out by `poll_transmit`.
    pub bytes_sent: u64,
    /// Bytes of the input used.
    pub bytes_received: u64,
}

/// Moves pending output to the end of `buf`; a swap if that is empty, so that two buffers serve a connection for good.
pub(crate) fn drain_output(out: &mut Vec<u8>, buf: &mut Vec<u8>) -> Option<Transmit> {
    let bytes = out.len();
    if bytes == 0 {
        return None;
    }
    if buf.is_empty() {
        std::mem::swap(out, buf);
    } else {
        buf.append(out);
    }
    Some(Transmit { bytes })
}

/// The name of an engine: a random UUID (version 4) as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EngineId([u8; 36]);

impl EngineId {
    /// Makes the text of 128 random bits, of which six become version and variant.
    pub fn from_random(random: u128) -> Self {
        let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let mut text = [b'-'; 36];
        let mut digits = (0..32).rev().map(|i| b"0123456789abcdef"[(bits >> (4 * i)) as usize & 0xf]);
        for (at, byte) in text.iter_mut().enumerate() {
            if !matches!(at, 8 | 13 | 18 | 23) {
                *byte = digits.next().expect("invariant: 36 places less 4 dashes are 32 digits");
            }
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("invariant: hexadecimal digits and dashes")
    }
}

impl std::fmt::Debug for EngineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_ids_are_version_4_uuids() {
        assert_eq!(EngineId::from_random(0).as_str(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(EngineId::from_random(u128::MAX).as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
