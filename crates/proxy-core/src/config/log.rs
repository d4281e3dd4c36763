//! Where log lines go, and in which shape.

use crate::{host::Addr, log::Facility, log::Level};

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Address, or one of the standard streams.
    pub to: LogAddr,
    /// `format`.
    pub format: LogHeader,
    /// `facility`.
    pub facility: Facility,
    /// Lines less urgent than this are dropped.
    pub max_level: Level,
    /// Lines more urgent than this are sent with this level.
    pub min_level: Option<Level>,
    /// `len`: longest line in bytes.
    pub max_len: usize,
}

/// A log target's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAddr {
    /// Syslog over UDP or a unix datagram socket.
    Socket(Addr),
    /// `stdout`.
    Stdout,
    /// `stderr`.
    Stderr,
}

/// The header that log lines get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogHeader {
    /// RFC 3164 (default for sockets).
    #[default]
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
    /// `<PRI>` only.
    Priority,
    /// `<N>` level only, as systemd likes.
    Short,
    /// ISO time stamp.
    Iso,
    /// Level and time stamp.
    Timed,
    /// No header.
    Raw,
}
