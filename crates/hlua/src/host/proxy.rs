//! Frontends and backends: classes Proxy and Listener.

use std::rc::Rc;

use super::{HostError, HostResult, Server, StickTable, Value};

/// The proxies of the configuration, for `core.proxies`, `core.backends`, `core.frontends`.
///
/// Objects that scripts keep hold only names and numbers, so a proxy or server that is gone is simply not found.
pub trait Proxies {
    /// Every proxy a script may see, in the configuration's order.
    fn list(&self) -> Vec<Rc<dyn Proxy>>;
    /// The proxy with this number ([`Proxy::uuid`]).
    fn by_uuid(&self, uuid: i64) -> Option<Rc<dyn Proxy>> {
        self.list().into_iter().find(|proxy| proxy.uuid() == uuid)
    }
    /// The server with these numbers ([`Server::puid`], [`Server::rid`]) in that proxy.
    fn server(&self, proxy_uuid: i64, puid: i64, rid: i64) -> Option<Rc<dyn Server>> {
        let proxy = self.by_uuid(proxy_uuid)?;
        proxy.servers().into_iter().find(|server| server.puid() == puid && server.rid() == rid)
    }
}
const _: Option<&dyn Proxies> = None;

/// A table of statistics: the columns of `show stat` in their order. Absent fields are left out.
pub type Stats = Vec<(String, Value<'static>)>;

/// The class `Proxy`.
pub trait Proxy {
    /// Its name.
    fn name(&self) -> String;
    /// Its number, unique in the process.
    fn uuid(&self) -> i64;
    /// `(frontend, backend)` capabilities; both for `listen`.
    fn capabilities(&self) -> (bool, bool);
    /// `tcp`, `http`, …
    fn mode(&self) -> String;
    /// Its servers in order; empty for a frontend.
    fn servers(&self) -> Vec<Rc<dyn Server>>;
    /// Its listeners' names and statistics; `sock-1` and so on where unnamed.
    fn listeners(&self) -> Vec<(String, Stats)> {
        Vec::new()
    }
    /// Statistics of the backend side if there is one, else of the frontend.
    fn stats(&self) -> Stats;
    /// Its stick table.
    fn stick_table(&self) -> Option<Rc<dyn StickTable>> {
        None
    }
    /// Usable `(active, backup)` servers.
    fn usable_servers(&self) -> (i64, i64) {
        (0, 0)
    }
    /// What the configuration says about mail; None where it says nothing.
    fn mailers(&self) -> Option<ProxyMailers> {
        None
    }
    /// Pause, resume, stop, cut the sessions on backup servers.
    fn command(&self, command: ProxyCommand) -> HostResult<()> {
        let _ = command;
        Err(HostError::Unsupported("proxy commands"))
    }
}
const _: Option<&dyn Proxy> = None;

/// The class `ProxyMailers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyMailers {
    /// `option log-health-checks`
    pub track_server_health: bool,
    /// `email-alert level`, 0 to 7.
    pub log_level: u8,
    /// Names and addresses.
    pub mailservers: Vec<(String, String)>,
    /// `timeout mail`, in milliseconds.
    pub mailservers_timeout: i64,
    /// `email-alert myhostname`
    pub smtp_hostname: Option<String>,
    /// `email-alert from`
    pub smtp_from: Option<String>,
    /// `email-alert to`
    pub smtp_to: Option<String>,
}

/// What `Proxy`'s methods ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyCommand {
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `stop`; for good.
    Stop,
    /// `shut_bcksess`
    ShutBackupSessions,
}
