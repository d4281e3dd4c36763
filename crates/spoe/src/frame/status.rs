//! SPOP status codes and their texts, as they stand on the wire in a DISCONNECT.
//!
//! Source: SPOE.txt §3.5.

use std::fmt;

/// Why a connection ended. Agents may use codes of their own; those keep their number and read as "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(pub u32);

impl Status {
    /// No error: an orderly end.
    pub const NORMAL: Self = Self(0);
    /// The connection broke.
    pub const IO: Self = Self(1);
    /// The greeting or the idle time took too long.
    pub const TIMEOUT: Self = Self(2);
    /// A frame above the agreed size.
    pub const TOO_BIG: Self = Self(3);
    /// A frame that cannot be read, or at the wrong time.
    pub const INVALID: Self = Self(4);
    /// A greeting without version.
    pub const NO_VERSION: Self = Self(5);
    /// A greeting without max-frame-size.
    pub const NO_FRAME_SIZE: Self = Self(6);
    /// A greeting without capabilities.
    pub const NO_CAPABILITIES: Self = Self(7);
    /// A version that the other end does not speak.
    pub const BAD_VERSION: Self = Self(8);
    /// A max-frame-size outside the limits.
    pub const BAD_FRAME_SIZE: Self = Self(9);
    /// A fragmented payload for a peer that did not announce fragmentation.
    pub const FRAGMENTATION_NOT_SUPPORTED: Self = Self(10);
    /// Fragments of different frames mixed.
    pub const INTERLACED: Self = Self(11);
    /// An answer to, or continuation of, a frame that is not known.
    pub const FRAME_ID_NOT_FOUND: Self = Self(12);
    /// Out of some resource.
    pub const RESOURCES: Self = Self(13);
    /// Anything else.
    pub const UNKNOWN: Self = Self(99);

    /// The text sent beside the code.
    pub const fn text(self) -> &'static str {
        match self.0 {
            0 => "normal",
            1 => "I/O error",
            2 => "a timeout occurred",
            3 => "frame is too big",
            4 => "invalid frame received",
            5 => "version value not found",
            6 => "max-frame-size value not found",
            7 => "capabilities value not found",
            8 => "unsupported version",
            9 => "max-frame-size too big or too small",
            10 => "fragmentation not supported",
            11 => "invalid interlaced frames",
            12 => "frame-id not found",
            13 => "resource allocation error",
            _ => "an unknown error occurred",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.0)
    }
}
