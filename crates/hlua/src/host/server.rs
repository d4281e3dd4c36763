//! Servers and what may be asked of them: class Server.

use std::rc::Rc;

use super::{HostError, HostResult, Proxy, Stats};

/// The class `Server`.
pub trait Server {
    /// Its name.
    fn name(&self) -> String;
    /// Its number within the proxy.
    fn puid(&self) -> i64;
    /// Its revision: tells a server from an earlier one with the same number.
    fn rid(&self) -> i64;
    /// The proxy it belongs to.
    fn proxy(&self) -> Rc<dyn Proxy>;
    /// `ip:port`, a path, or `<unknown>`.
    fn address(&self) -> String;
    /// Being drained.
    fn is_draining(&self) -> bool;
    /// Is a backup server.
    fn is_backup(&self) -> bool {
        false
    }
    /// Was added at run time.
    fn is_dynamic(&self) -> bool {
        false
    }
    /// Sessions it has now.
    fn current_sessions(&self) -> i64;
    /// Connections that wait for it.
    fn pending_connections(&self) -> i64;
    /// Its limit; 0 for none.
    fn maxconn(&self) -> i64;
    /// The weight set by the user.
    fn weight(&self) -> i64;
    /// Statistics.
    fn stats(&self) -> Stats;
    /// The server it tracks.
    fn tracking(&self) -> Option<Rc<dyn Server>> {
        None
    }
    /// The servers that track it.
    fn trackers(&self) -> Vec<Rc<dyn Server>> {
        Vec::new()
    }
    /// Changes it. `Ok(text)` with a report, possibly empty; `Refused` with the runtime API's error text.
    fn command(&self, command: ServerCommand) -> HostResult<String> {
        let _ = command;
        Err(HostError::Unsupported("server commands"))
    }
}
const _: Option<&dyn Server> = None;

/// What `Server`'s methods ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerCommand {
    /// `set_maxconn`, as typed.
    Maxconn(String),
    /// `set_weight`, as typed: absolute or with a percent sign.
    Weight(String),
    /// `set_addr`, with the port if given.
    Address(String, Option<String>),
    /// `shut_sess`
    ShutSessions,
    /// `set_drain`
    Drain,
    /// `set_maint`
    Maint,
    /// `set_ready`
    Ready,
    /// `check_enable`
    CheckEnable,
    /// `check_disable`
    CheckDisable,
    /// `check_force_up`
    CheckForceUp,
    /// `check_force_nolb`
    CheckForceNolb,
    /// `check_force_down`
    CheckForceDown,
    /// `agent_enable`
    AgentEnable,
    /// `agent_disable`
    AgentDisable,
    /// `agent_force_up`
    AgentForceUp,
    /// `agent_force_down`
    AgentForceDown,
}
