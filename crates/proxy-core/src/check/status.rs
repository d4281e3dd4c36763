//! How a check ended, in HAProxy's codes.

use crate::backend::event::CheckOutcome;

/// The status of a check. The numbers are those of `show servers state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum CheckStatus {
    /// Nothing known.
    Unknown = 0,
    /// Just configured.
    #[default]
    Init = 1,
    /// Under way.
    Start = 2,
    /// Checked by someone else.
    Checked = 3,
    /// Forced up or down.
    Analyzed = 4,
    /// The check could not be made.
    SockErr = 5,
    /// Connected.
    L4Ok = 6,
    /// The connection took too long.
    L4Tout = 7,
    /// The connection failed.
    L4Con = 8,
    /// The secure layer is there.
    L6Ok = 9,
    /// The secure layer took too long.
    L6Tout = 10,
    /// The secure layer failed.
    L6Rsp = 11,
    /// The answer took too long.
    L7Tout = 12,
    /// The answer was not understood.
    L7Rsp = 13,
    /// The answer was good.
    L7Okd = 15,
    /// The answer was good, for clients that are known.
    L7Okcd = 16,
    /// The answer said no.
    L7Sts = 17,
}

impl CheckStatus {
    /// The short code (`L4CON`).
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Unknown => "UNK",
            Self::Init => "INI",
            Self::Start | Self::Analyzed => "",
            Self::Checked => "CHECKED",
            Self::SockErr => "SOCKERR",
            Self::L4Ok => "L4OK",
            Self::L4Tout => "L4TOUT",
            Self::L4Con => "L4CON",
            Self::L6Ok => "L6OK",
            Self::L6Tout => "L6TOUT",
            Self::L6Rsp => "L6RSP",
            Self::L7Tout => "L7TOUT",
            Self::L7Rsp => "L7RSP",
            Self::L7Okd => "L7OK",
            Self::L7Okcd => "L7OKC",
            Self::L7Sts => "L7STS",
        }
    }

    /// The description people read.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Init => "Initializing",
            Self::Start => "Check started",
            Self::Checked => "No status change",
            Self::Analyzed => "Health analyze",
            Self::SockErr => "Socket error",
            Self::L4Ok => "Layer4 check passed",
            Self::L4Tout => "Layer4 timeout",
            Self::L4Con => "Layer4 connection problem",
            Self::L6Ok => "Layer6 check passed",
            Self::L6Tout => "Layer6 timeout",
            Self::L6Rsp => "Layer6 invalid response",
            Self::L7Tout => "Layer7 timeout",
            Self::L7Rsp => "Layer7 invalid response",
            Self::L7Okd => "Layer7 check passed",
            Self::L7Okcd => "Layer7 check conditionally passed",
            Self::L7Sts => "Layer7 wrong status",
        }
    }

    /// What it says about the server.
    #[must_use]
    pub fn outcome(self) -> CheckOutcome {
        match self {
            Self::Unknown | Self::Init | Self::Start => CheckOutcome::Unknown,
            Self::Checked => CheckOutcome::Neutral,
            Self::L4Ok | Self::L6Ok | Self::L7Okd => CheckOutcome::Passed,
            Self::L7Okcd => CheckOutcome::CondPassed,
            Self::Analyzed
            | Self::SockErr
            | Self::L4Tout
            | Self::L4Con
            | Self::L6Tout
            | Self::L6Rsp
            | Self::L7Tout
            | Self::L7Rsp
            | Self::L7Sts => CheckOutcome::Failed,
        }
    }

    /// Whether a layer-7 code belongs to it.
    #[must_use]
    pub fn has_code(self) -> bool {
        matches!(self, Self::L7Okd | Self::L7Okcd | Self::L7Sts)
    }
}
