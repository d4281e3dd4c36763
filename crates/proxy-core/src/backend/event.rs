//! What happened to a server, as values that can outlive the server.
//!
//! A [`ServerEvent`] carries what the transition changed; who the server is (name, proxy, ids)
//! never changes and is read from the [`Server`](super::server::Server) handed along with it.
//! Order within one change: check, then admin, then down or up, then state.

use std::{fmt, ops::BitOr, sync::Arc, time::Duration};

use crate::{check::status::CheckStatus, host::Addr};

/// What happened to a server, with everything observers may report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// It was added while running.
    Add,
    /// It is about to be deleted while running.
    Del,
    /// It left [`OpState::Stopped`].
    Up,
    /// It entered [`OpState::Stopped`].
    Down,
    /// Its operational state changed; follows `Up` and `Down`.
    State(StateChange),
    /// Its administrative flags changed; comes before what follows from it.
    Admin(AdminChange),
    /// A check moved its health counter.
    Check(CheckSnapshot),
    /// Its address or port changed.
    InetAddr(AddrChange),
}

/// Operational state. The numbers are those of `show servers state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OpState {
    /// Takes no traffic.
    Stopped = 0,
    /// Up, with a share that still grows (`slowstart`).
    Starting = 1,
    /// Up.
    #[default]
    Running = 2,
    /// Up for those who know it, taking no new clients.
    Stopping = 3,
}

impl OpState {
    /// The name scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
        }
    }

    pub(crate) fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Stopped,
            1 => Self::Starting,
            2 => Self::Running,
            _ => Self::Stopping,
        }
    }
}

/// Administrative flags. The bits are those of `show servers state`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AdminFlags(pub u8);

impl AdminFlags {
    /// Forced into maintenance.
    pub const FMAINT: Self = Self(0x01);
    /// Maintenance inherited from a tracked server.
    pub const IMAINT: Self = Self(0x02);
    /// Was in maintenance because of the configuration; a note, not a state of its own.
    pub const CMAINT: Self = Self(0x04);
    /// Forced to drain.
    pub const FDRAIN: Self = Self(0x08);
    /// Drain inherited from a tracked server.
    pub const IDRAIN: Self = Self(0x10);
    /// In maintenance because its name does not resolve.
    pub const RMAINT: Self = Self(0x20);
    /// Its name was set at run time.
    pub const HMAINT: Self = Self(0x40);
    /// Every kind of maintenance that is in force.
    pub const MAINT: Self = Self(0x23);
    /// Every kind of drain.
    pub const DRAIN: Self = Self(0x18);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::FMAINT, "FMAINT"),
        (Self::IMAINT, "IMAINT"),
        (Self::CMAINT, "CMAINT"),
        (Self::FDRAIN, "FDRAIN"),
        (Self::IDRAIN, "IDRAIN"),
        (Self::RMAINT, "RMAINT"),
        (Self::HMAINT, "HMAINT"),
    ];

    /// Whether any of those bits is set.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is in maintenance of any kind.
    #[must_use]
    pub fn is_maint(self) -> bool {
        self.intersects(Self::MAINT)
    }

    /// Whether it drains for any reason.
    #[must_use]
    pub fn is_drain(self) -> bool {
        self.intersects(Self::DRAIN)
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for AdminFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for AdminFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (flag, name) in Self::NAMES {
            if self.intersects(flag) {
                write!(f, "{}{name}", if first { "" } else { "|" })?;
                first = false;
            }
        }
        if first { f.write_str("none") } else { Ok(()) }
    }
}

/// Why an operational state changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpCause {
    /// Nobody said.
    #[default]
    None,
    /// A health check.
    Health,
    /// An agent check.
    Agent,
    /// The runtime API.
    Cli,
    /// The statistics page.
    Web,
    /// A state file.
    StateFile,
    /// Something of the embedder's, in its words (`changed from …`).
    Extension(&'static str),
}

impl OpCause {
    /// The words log lines and scripts show; empty where there is nothing to say.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None | Self::Health | Self::Agent => "",
            Self::Cli => "changed from CLI",
            Self::Extension(text) => text,
            Self::Web => "changed from Web interface",
            Self::StateFile => "changed from server-state after a reload",
        }
    }
}

/// Why administrative flags changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AdminCause {
    /// Nobody said.
    #[default]
    None,
    /// The name has no record.
    DnsNoEntry,
    /// The name has no usable address.
    DnsNoIp,
    /// There is no such name.
    DnsNx,
    /// The resolvers did not answer.
    DnsTimeout,
    /// The resolvers refused.
    DnsRefused,
    /// Resolution failed otherwise.
    DnsUnspec,
    /// The statistics page, into maintenance.
    StatsDisable,
    /// The statistics page, to stop.
    StatsStop,
}

impl AdminCause {
    /// The words log lines and scripts show.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::DnsNoEntry => "entry removed from SRV record",
            Self::DnsNoIp => "No IP for server ",
            Self::DnsNx => "DNS NX status",
            Self::DnsTimeout => "DNS timeout status",
            Self::DnsRefused => "DNS refused status",
            Self::DnsUnspec => "unspecified DNS error",
            Self::StatsDisable => "'disable' on stats page",
            Self::StatsStop => "'stop' on stats page",
        }
    }
}

/// What brought a state change about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateCause {
    /// Traffic, checks, or somebody forcing the health.
    Operational {
        /// Who.
        cause: OpCause,
        /// The check, when one was the cause.
        check: Option<CheckSnapshot>,
    },
    /// Administration: maintenance entered or left.
    Administrative {
        /// Who.
        cause: AdminCause,
    },
}

/// A change of operational state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Before.
    pub old: OpState,
    /// After.
    pub new: OpState,
    /// Requests moved from this server's queue.
    pub requeued: usize,
    /// Why.
    pub cause: StateCause,
}

/// A change of administrative flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminChange {
    /// Before.
    pub old: AdminFlags,
    /// After.
    pub new: AdminFlags,
    /// Requests moved from this server's queue.
    pub requeued: usize,
    /// Why.
    pub cause: AdminCause,
}

/// The health counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// From 0 to `rise + fall - 1`; up from `rise` on.
    pub cur: u32,
    /// Successes that bring a server up.
    pub rise: u32,
    /// Failures that bring it down.
    pub fall: u32,
}

impl Health {
    /// A server that is believed up until its first failure.
    #[must_use]
    pub fn fresh(rise: u32, fall: u32) -> Self {
        Self { cur: rise.max(1), rise: rise.max(1), fall: fall.max(1) }
    }

    /// The highest value.
    #[must_use]
    pub fn max(self) -> u32 {
        self.rise + self.fall - 1
    }

    /// Whether the counter says up.
    #[must_use]
    pub fn is_up(self) -> bool {
        self.cur >= self.rise
    }

    /// Counts a success.
    pub(crate) fn succeed(&mut self) {
        self.cur = (self.cur + 1).min(self.max());
        if self.cur >= self.rise {
            self.cur = self.max();
        }
    }

    /// Counts a failure.
    pub(crate) fn fail(&mut self) {
        self.cur = if self.cur > self.rise { self.cur - 1 } else { 0 };
    }
}

/// What a check found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CheckOutcome {
    /// None has ended yet.
    #[default]
    Unknown = 0,
    /// Valid, saying nothing about the state.
    Neutral = 1,
    /// Failed.
    Failed = 2,
    /// Passed.
    Passed = 3,
    /// Passed, but the server wants no new clients.
    CondPassed = 4,
}

impl CheckOutcome {
    /// The name scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Neutral => "NEUTRAL",
            Self::Failed => "FAILED",
            Self::Passed => "PASSED",
            Self::CondPassed => "CONDPASS",
        }
    }
}

/// A finished check and the health counter after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSnapshot {
    /// An agent check, not a health check.
    pub agent: bool,
    /// What it found.
    pub result: CheckOutcome,
    /// How long it took.
    pub duration: Duration,
    /// The status with its short name and description.
    pub status: CheckStatus,
    /// The layer-7 code; meaningful where [`CheckStatus::has_code`] says so.
    pub code: u16,
    /// What the server or the system said about it; may be empty.
    pub info: Arc<str>,
    /// The counter after it.
    pub health: Health,
}

/// Who asked for an address change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Updater {
    /// Nobody said.
    #[default]
    None,
    /// The runtime API.
    Cli,
    /// Something of the embedder's, in its words.
    Extension(&'static str),
}

impl Updater {
    /// The words that follow "by" in log lines and answers.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "unknown",
            Self::Cli => "'stats socket command'",
            Self::Extension(text) => text,
        }
    }
}

/// A change of address; both ends are whole settings, never a mixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrChange {
    /// Before.
    pub prev: Addr,
    /// After.
    pub next: Addr,
    /// The port is an offset to the client's destination port (before, after).
    pub port_mapped: (bool, bool),
    /// Who asked.
    pub updater: Updater,
}
