//! What the family SERVER tells: class ServerEvent and its parts.

use std::collections::BTreeMap;

/// The class `ServerEvent`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEvent {
    /// The server's name.
    pub name: String,
    /// The server's number in its proxy.
    pub puid: i64,
    /// The server's revision.
    pub rid: i64,
    /// The proxy's name.
    pub proxy_name: String,
    /// The proxy's number.
    pub proxy_uuid: i64,
    /// What the event's kind adds.
    pub details: ServerEventDetails,
}

/// What a kind of server event adds to the common fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerEventDetails {
    /// `SERVER_UP`, `SERVER_DOWN`, `SERVER_ADD`, `SERVER_DEL`.
    #[default]
    None,
    /// `SERVER_STATE`
    State(ServerEventState),
    /// `SERVER_ADMIN`
    Admin(ServerEventAdmin),
    /// `SERVER_CHECK`
    Check(ServerEventCheck),
    /// `SERVER_INETADDR`: previous and next address (the tables are ours, HAProxy gives none).
    Inetaddr {
        /// `ip:port` before.
        prev: String,
        /// `ip:port` after.
        next: String,
    },
}

/// The class `ServerEventState`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEventState {
    /// An administrative change.
    pub admin: bool,
    /// Only when a check caused it.
    pub check: Option<ServerEventCheck>,
    /// May be empty.
    pub cause: String,
    /// `STOPPED`, `STOPPING`, `STARTING`, `RUNNING`
    pub old_state: &'static str,
    /// The same set.
    pub new_state: &'static str,
    /// Connections put back in the queue.
    pub requeued: i64,
}

/// The class `ServerEventAdmin`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEventAdmin {
    /// May be empty.
    pub cause: String,
    /// Flags before: `MAINT`, `FMAINT`, `IMAINT`, `RMAINT`, `CMAINT`, `DRAIN`, `FDRAIN`, `IDRAIN`.
    pub old_admin: BTreeMap<&'static str, bool>,
    /// Flags after.
    pub new_admin: BTreeMap<&'static str, bool>,
    /// Connections put back in the queue.
    pub requeued: i64,
}

/// The class `ServerEventCheckRes`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEventCheck {
    /// `FAILED`, `PASSED`, `CONDPASS`
    pub result: Option<&'static str>,
    /// By the agent check.
    pub agent: bool,
    /// Milliseconds.
    pub duration: i64,
    /// Short status, such as `L4CON`.
    pub reason_short: String,
    /// The same in words.
    pub reason_desc: String,
    /// Layer 5 to 7 code, where the status has one.
    pub reason_code: Option<i64>,
    /// Health now.
    pub health_cur: i64,
    /// Rise threshold.
    pub health_rise: i64,
    /// Fall threshold.
    pub health_fall: i64,
}
