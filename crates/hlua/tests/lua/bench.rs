//! One VM on a host in memory, with short ways to load a script and run what it registered.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is where time begins; the instant's value never matters"
)]

use std::any::Any;
use std::rc::Rc;
use std::time::Instant;

use hlua::host::memory::{MemoryCore, MemoryStickTable, MemoryTxn};
use hlua::host::{StickEntry, StickTableInfo};
use hlua::{ActionContext, Config, Error, FunctionKind, Lent, Outcome, Runtime, ServiceMode, Value};

/// A per-thread VM and its host.
pub(crate) struct Bench {
    pub(crate) core: Rc<MemoryCore>,
    pub(crate) runtime: Runtime,
}

pub(crate) const ACTION: FunctionKind = FunctionKind::Action { contexts: Vec::new(), nb_args: 0 };
pub(crate) const HTTP: FunctionKind = FunctionKind::Service(ServiceMode::Http);
pub(crate) const TCP: FunctionKind = FunctionKind::Service(ServiceMode::Tcp);

impl Bench {
    pub(crate) fn new(config: &Config, script: &str) -> Bench {
        let bench = Bench::empty(config);
        bench.load(script).expect("the script loads");
        bench
    }

    pub(crate) fn empty(config: &Config) -> Bench {
        let core = MemoryCore::new(Instant::now());
        let runtime = Runtime::per_thread(config, core.clone(), 1).expect("a VM");
        Bench { core, runtime }
    }

    pub(crate) fn load(&self, script: &str) -> Result<(), Error> {
        self.runtime.load_source("test.lua", script.as_bytes(), &[])
    }

    pub(crate) fn now(&self) -> Instant {
        use hlua::host::Core;
        self.core.now()
    }

    /// Runs an action to its end and gives back the TXN.
    pub(crate) fn action(&self, name: &str, txn: Box<MemoryTxn>) -> (Box<MemoryTxn>, Result<Outcome, Error>) {
        let site = self.runtime.call_site(&ACTION, name, &[]).expect("the action is registered");
        let mut execution = self.runtime.start(site);
        let (lent, result) = self.core.block_on(&mut execution, Lent::Txn(txn));
        (downcast(lent), result)
    }

    pub(crate) fn fetch(
        &self,
        name: &str,
        txn: Box<MemoryTxn>,
        args: &[&str],
    ) -> Result<Option<Value<'static>>, Error> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let site =
            self.runtime.call_site(&FunctionKind::Fetch, name, &args).expect("the fetch is registered");
        self.runtime.fetch(site, txn, Instant::now()).1
    }

    pub(crate) fn convert(&self, name: &str, input: &str) -> Result<Option<Value<'static>>, Error> {
        let site =
            self.runtime.call_site(&FunctionKind::Converter, name, &[]).expect("the converter is registered");
        self.runtime.convert(site, input.into(), Instant::now())
    }

    pub(crate) fn service<A: Any>(
        &self,
        kind: &FunctionKind,
        name: &str,
        lent: Lent,
    ) -> (Box<A>, Result<Outcome, Error>) {
        let site = self.runtime.call_site(kind, name, &[]).expect("the service is registered");
        let mut execution = self.runtime.start(site);
        let (lent, result) = self.core.block_on(&mut execution, lent);
        (downcast(lent), result)
    }

    /// Runs `body` as an action on a plain GET and gives what it logged by `core.Info`, or its error.
    pub(crate) fn probe(&self, body: &str) -> Vec<String> {
        let script = format!("core.register_action('probe', {{'http-req'}}, function(txn) {body} end)");
        self.load(&script).expect("the probe compiles");
        self.core.take_log();
        let (_, result) = self.action("probe", get());
        let mut lines = self.core.take_log();
        if let Err(error) = result {
            lines.push(error.to_string());
        }
        lines
    }
}

pub(crate) fn get() -> Box<MemoryTxn> {
    MemoryTxn::request("GET", "/path?q=1", &[("Host", "example.com"), ("X-A", "1"), ("x-a", "2")])
}

pub(crate) fn downcast<A: Any>(lent: Lent) -> Box<A> {
    lent.into_any().expect("something was lent").downcast().expect("and it is this type")
}

pub(crate) fn contexts() -> Vec<ActionContext> {
    vec![ActionContext::HttpReq]
}

/// An instant to begin at.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A table of addresses with two counters and two entries.
pub(crate) fn stick_table() -> MemoryStickTable {
    let entry = |key: &str, gpc0: i64, rate: i64| StickEntry {
        key: key.as_bytes().to_vec(),
        users: 1,
        expire: 29_000,
        data: vec![("gpc0".into(), gpc0), ("conn_rate".into(), rate)],
    };
    MemoryStickTable {
        info: StickTableInfo {
            kind: "ip",
            length: 4,
            size: 100,
            used: 0,
            expire: 30_000,
            nopurge: false,
            data: vec![("gpc0".into(), None), ("conn_rate".into(), Some(3000))],
        },
        entries: vec![entry("10.0.0.1", 5, 1), entry("10.0.0.2", 50, 20)],
    }
}
