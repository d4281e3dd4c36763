//! Proxies and servers in memory: plain values that a test sets up and reads back.

use std::cell::RefCell;
use std::rc::Rc;

use super::MemoryStickTable;
use crate::host::{
    HostError, HostResult, Proxies, Proxy, ProxyCommand, ProxyMailers, Server, ServerCommand, Stats,
    StickTable, Value,
};

/// The proxies of a test.
#[derive(Default)]
pub struct MemoryProxies {
    list: RefCell<Vec<MemoryProxy>>,
    /// Every command given so far, as `proxy/server command`.
    pub commands: Rc<RefCell<Vec<String>>>,
}

/// A proxy.
#[derive(Clone)]
pub struct MemoryProxy {
    name: String,
    uuid: i64,
    capabilities: (bool, bool),
    servers: Vec<(String, String)>,
    mailers: Option<ProxyMailers>,
    table: Option<MemoryStickTable>,
    commands: Rc<RefCell<Vec<String>>>,
}

/// A server of one.
pub struct MemoryServer {
    proxy: MemoryProxy,
    at: usize,
}

impl MemoryProxies {
    /// Adds a proxy that is `(frontend, backend)`, with servers of `(name, address)`.
    pub fn add(&self, name: &str, capabilities: (bool, bool), servers: &[(&str, &str)]) {
        let uuid = self.list.borrow().len() as i64 + 2;
        let servers = servers.iter().map(|(name, address)| (name.to_string(), address.to_string())).collect();
        let commands = self.commands.clone();
        self.list.borrow_mut().push(MemoryProxy {
            name: name.into(),
            uuid,
            capabilities,
            servers,
            mailers: None,
            table: None,
            commands,
        });
    }

    /// Gives a proxy mailers.
    pub fn set_mailers(&self, proxy: &str, mailers: ProxyMailers) {
        for known in self.list.borrow_mut().iter_mut().filter(|known| known.name == proxy) {
            known.mailers = Some(mailers.clone());
        }
    }

    /// Gives a proxy a stick table.
    pub fn add_stick_table(&self, proxy: &str, table: MemoryStickTable) {
        for known in self.list.borrow_mut().iter_mut().filter(|known| known.name == proxy) {
            known.table = Some(table.clone());
        }
    }

    /// Removes the servers of a proxy, as `del server` would.
    pub fn remove_servers(&self, proxy: &str) {
        for known in self.list.borrow_mut().iter_mut().filter(|known| known.name == proxy) {
            known.servers.clear();
        }
    }
}

impl Proxies for MemoryProxies {
    fn list(&self) -> Vec<Rc<dyn Proxy>> {
        self.list.borrow().iter().map(|proxy| Rc::new(proxy.clone()) as Rc<dyn Proxy>).collect()
    }
}

impl Proxy for MemoryProxy {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn uuid(&self) -> i64 {
        self.uuid
    }

    fn capabilities(&self) -> (bool, bool) {
        self.capabilities
    }

    fn mode(&self) -> String {
        "http".into()
    }

    fn servers(&self) -> Vec<Rc<dyn Server>> {
        (0..self.servers.len())
            .map(|at| Rc::new(MemoryServer { proxy: self.clone(), at }) as Rc<dyn Server>)
            .collect()
    }

    fn listeners(&self) -> Vec<(String, Stats)> {
        if self.capabilities.0 {
            vec![("sock-1".into(), vec![("scur".into(), Value::Int(0))])]
        } else {
            Vec::new()
        }
    }

    fn stats(&self) -> Stats {
        vec![
            ("pxname".into(), Value::Str(self.name.clone().into_bytes().into())),
            ("scur".into(), Value::Int(3)),
        ]
    }

    fn stick_table(&self) -> Option<Rc<dyn StickTable>> {
        self.table.clone().map(|table| Rc::new(table) as Rc<dyn StickTable>)
    }

    fn usable_servers(&self) -> (i64, i64) {
        (self.servers.len() as i64, 0)
    }

    fn mailers(&self) -> Option<ProxyMailers> {
        self.mailers.clone()
    }

    fn command(&self, command: ProxyCommand) -> HostResult<()> {
        self.commands.borrow_mut().push(format!("{} {command:?}", self.name));
        Ok(())
    }
}

impl Server for MemoryServer {
    fn name(&self) -> String {
        self.proxy.servers[self.at].0.clone()
    }

    fn puid(&self) -> i64 {
        self.at as i64 + 1
    }

    fn rid(&self) -> i64 {
        0
    }

    fn proxy(&self) -> Rc<dyn Proxy> {
        Rc::new(self.proxy.clone())
    }

    fn address(&self) -> String {
        self.proxy.servers[self.at].1.clone()
    }

    fn is_draining(&self) -> bool {
        false
    }

    fn current_sessions(&self) -> i64 {
        7
    }

    fn pending_connections(&self) -> i64 {
        0
    }

    fn maxconn(&self) -> i64 {
        0
    }

    fn weight(&self) -> i64 {
        1
    }

    fn stats(&self) -> Stats {
        vec![("svname".into(), Value::Str(self.name().into_bytes().into())), ("weight".into(), Value::Int(1))]
    }

    fn command(&self, command: ServerCommand) -> HostResult<String> {
        if let ServerCommand::Weight(text) = &command
            && text.parse::<u8>().is_err()
        {
            return Err(HostError::Refused("Malformed weight value.\n".into()));
        }
        self.proxy.commands.borrow_mut().push(format!("{}/{} {command:?}", self.proxy.name, self.name()));
        Ok(String::new())
    }
}
