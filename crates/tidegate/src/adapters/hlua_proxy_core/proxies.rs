//! The classes Proxy, Listener and Server.

use std::{
    borrow::Cow,
    rc::{Rc, Weak},
    sync::Arc,
};

use hlua::host::{self, HostError, HostResult, ProxyCommand, ProxyMailers, ServerCommand, Stats};
use proxy_core::{
    admin::stat::{self, Row},
    backend::server::Server,
    config::{AccessLevel, Bind, Mode, Proxy},
    log::Level,
    worker::Worker,
};

use super::tables::LuaStickTable;
use crate::adapters::{values, with_admin};

/// The proxies of the configuration, as one worker's scripts see them.
pub struct LuaProxies(Weak<Worker>);

impl LuaProxies {
    /// Of that worker.
    #[must_use]
    pub fn new(worker: &Rc<Worker>) -> Self {
        Self(Rc::downgrade(worker))
    }
}

impl host::Proxies for LuaProxies {
    fn list(&self) -> Vec<Rc<dyn host::Proxy>> {
        let Some(worker) = self.0.upgrade() else { return Vec::new() };
        let proxies = worker.shared.config.proxies.iter();
        proxies.map(|proxy| LuaProxy::rc(&worker, proxy)).collect()
    }
}

#[derive(Clone)]
struct LuaProxy {
    worker: Rc<Worker>,
    proxy: Arc<Proxy>,
}

impl LuaProxy {
    fn rc(worker: &Rc<Worker>, proxy: &Arc<Proxy>) -> Rc<dyn host::Proxy> {
        Rc::new(Self { worker: worker.clone(), proxy: proxy.clone() })
    }
}

fn stats(row: &Row) -> Stats {
    row.fields().map(|(name, value)| ((*name).to_owned(), values::from_stat(value))).collect()
}

impl host::Proxy for LuaProxy {
    fn name(&self) -> String {
        self.proxy.name.clone()
    }

    fn uuid(&self) -> i64 {
        self.proxy.uuid.into()
    }

    fn capabilities(&self) -> (bool, bool) {
        (self.proxy.capabilities.frontend, self.proxy.capabilities.backend)
    }

    fn mode(&self) -> String {
        match self.proxy.mode {
            Mode::Tcp => "tcp",
            Mode::Http => "http",
            Mode::Spop => "spop",
        }
        .to_owned()
    }

    fn servers(&self) -> Vec<Rc<dyn host::Server>> {
        let servers = self.proxy.servers.iter();
        servers.map(|server| LuaServer::rc(self, server)).collect()
    }

    fn listeners(&self) -> Vec<(String, Stats)> {
        let listener = |(at, bind): (usize, &Arc<Bind>)| {
            let name = bind.name.clone().unwrap_or_else(|| format!("sock-{}", at + 1));
            let row =
                with_admin(&self.worker, &[], |cx| stats(&stat::listener_row(&self.proxy, &name, bind, cx)));
            (name, row)
        };
        self.proxy.binds.iter().enumerate().map(listener).collect()
    }

    fn stats(&self) -> Stats {
        with_admin(&self.worker, &[], |cx| {
            stats(&if self.proxy.capabilities.backend {
                stat::backend_row(&self.proxy, AccessLevel::Admin, cx)
            } else {
                stat::frontend_row(&self.proxy, cx)
            })
        })
    }

    fn stick_table(&self) -> Option<Rc<dyn host::StickTable>> {
        let table = self.worker.shared.config.tables.find(&self.proxy.name)?;
        Some(Rc::new(LuaStickTable::new(&self.worker, table)))
    }

    fn usable_servers(&self) -> (i64, i64) {
        let count = |backup: bool| {
            let servers = self.proxy.servers.iter();
            let usable = servers.filter(|server| server.config.backup == backup && server.is_usable());
            i64::try_from(usable.count()).unwrap_or(i64::MAX)
        };
        (count(false), count(true))
    }

    fn mailers(&self) -> Option<ProxyMailers> {
        let alert = &self.proxy.options.email_alert;
        let section = self.worker.shared.config.mailers.get(alert.mailers.as_ref()?)?;
        Some(ProxyMailers {
            track_server_health: self.proxy.options.log_health_checks,
            log_level: alert.level.unwrap_or(Level::Alert) as u8,
            mailservers: section.servers.clone(),
            mailservers_timeout: i64::try_from(section.timeout.as_millis()).unwrap_or(i64::MAX),
            smtp_hostname: alert.myhostname.clone(),
            smtp_from: alert.from.clone(),
            smtp_to: alert.to.clone(),
        })
    }

    /// As the runtime API's commands; what is so already, and what a backend cannot be, is left as it is.
    fn command(&self, command: ProxyCommand) -> HostResult<()> {
        let name = &self.proxy.name;
        let verb = match command {
            ProxyCommand::Pause => "disable",
            ProxyCommand::Resume => "enable",
            ProxyCommand::Stop => "shutdown",
            ProxyCommand::ShutBackupSessions => {
                for server in self.proxy.servers.iter().filter(|server| server.config.backup) {
                    server.kill_sessions();
                }
                self.worker.shared.roll_call.bump();
                return Ok(());
            }
        };
        with_admin(&self.worker, &[], |cx| {
            proxy_core::admin::run(&format!("{verb} frontend {name}"), AccessLevel::Admin, cx)
        });
        Ok(())
    }
}

struct LuaServer {
    proxy: LuaProxy,
    server: Arc<Server>,
}

impl LuaServer {
    fn rc(proxy: &LuaProxy, server: &Arc<Server>) -> Rc<dyn host::Server> {
        Rc::new(Self { proxy: proxy.clone(), server: server.clone() })
    }

    /// Runs a runtime API command about this server.
    fn run(&self, command: &str) -> HostResult<String> {
        let answer =
            with_admin(&self.proxy.worker, &[], |cx| proxy_core::admin::run(command, AccessLevel::Admin, cx));
        if answer.failed {
            return Err(HostError::Refused(Cow::Owned(answer.text.trim_end().to_owned())));
        }
        Ok(answer.text)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.server.proxy.name, self.server.name())
    }
}

impl host::Server for LuaServer {
    fn name(&self) -> String {
        self.server.name().to_owned()
    }

    fn puid(&self) -> i64 {
        self.server.puid.into()
    }

    fn rid(&self) -> i64 {
        self.server.rid.into()
    }

    fn proxy(&self) -> Rc<dyn host::Proxy> {
        Rc::new(self.proxy.clone())
    }

    fn address(&self) -> String {
        match &*self.server.addr() {
            // As in HAProxy, without brackets.
            proxy_core::host::Addr::Ip(addr) => format!("{}:{}", addr.ip(), addr.port()),
            proxy_core::host::Addr::Unix(path) => path.display().to_string(),
            _ => "<unknown>".to_owned(),
        }
    }

    fn is_draining(&self) -> bool {
        self.server.admin_flags().is_drain()
    }

    fn is_backup(&self) -> bool {
        self.server.config.backup
    }

    fn current_sessions(&self) -> i64 {
        i64::try_from(self.server.served()).unwrap_or(i64::MAX)
    }

    fn pending_connections(&self) -> i64 {
        i64::try_from(self.server.queued.cur()).unwrap_or(i64::MAX)
    }

    fn maxconn(&self) -> i64 {
        i64::try_from(self.server.maxconn()).unwrap_or(i64::MAX)
    }

    fn weight(&self) -> i64 {
        self.server.status(self.proxy.worker.host.now()).user_weight.into()
    }

    fn stats(&self) -> Stats {
        with_admin(&self.proxy.worker, &[], |cx| {
            stats(&stat::server_row(&self.proxy.proxy, &self.server, AccessLevel::Admin, cx))
        })
    }

    fn command(&self, command: ServerCommand) -> HostResult<String> {
        let server = self.path();
        let line = match command {
            ServerCommand::Maxconn(value) => format!("set maxconn server {server} {value}"),
            ServerCommand::Weight(value) => format!("set server {server} weight {value}"),
            ServerCommand::Address(ip, None) => format!("set server {server} addr {ip}"),
            ServerCommand::Address(ip, Some(port)) => format!("set server {server} addr {ip} port {port}"),
            ServerCommand::Drain => format!("set server {server} state drain"),
            ServerCommand::Maint => format!("set server {server} state maint"),
            ServerCommand::Ready => format!("set server {server} state ready"),
            ServerCommand::CheckEnable => format!("enable health {server}"),
            ServerCommand::CheckDisable => format!("disable health {server}"),
            ServerCommand::CheckForceUp => format!("set server {server} health up"),
            ServerCommand::CheckForceNolb => format!("set server {server} health stopping"),
            ServerCommand::CheckForceDown => format!("set server {server} health down"),
            ServerCommand::AgentEnable => format!("enable agent {server}"),
            ServerCommand::AgentDisable => format!("disable agent {server}"),
            ServerCommand::AgentForceUp => format!("set server {server} agent up"),
            ServerCommand::AgentForceDown => format!("set server {server} agent down"),
            ServerCommand::ShutSessions => format!("shutdown sessions server {server}"),
        };
        self.run(&line)
    }
}
