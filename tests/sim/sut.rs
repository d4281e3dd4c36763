//! The proxy itself: the shipped wiring, with a simulated host under each of its workers.

use std::{
    cell::RefCell,
    path::Path,
    rc::{Rc, Weak},
    sync::Arc,
};

use proxy_core::{
    cfgparse::{Env, Outcome, Parser},
    worker::Worker,
};
use scheduler::{Handle, Scheduler};
use tidegate::{
    adapters::Extension,
    facts::Facts,
    wiring::{Node, Preparation, Process},
    worker::Sessions,
};

use super::{host::SimHost, network::Network, random::Random, time::Time, trace::Trace};

/// The proxy with all its workers, on one thread.
pub(crate) struct Sut {
    /// What the workers share.
    pub(crate) process: Arc<Process>,
    workers: Vec<SimWorker>,
}

struct SimWorker {
    node: Rc<Node>,
    scheduler: Scheduler,
    sessions: Rc<Sessions>,
}

impl Sut {
    /// Reads the configuration of `folder` and starts `workers` workers, which accept connections.
    pub(crate) fn start(
        folder: &Path,
        workers: usize,
        seed: u64,
        time: &Time,
        network: &Network,
        trace: &Trace,
    ) -> Self {
        let preparation = Preparation::new(time.clocks());
        let mut env = Env::default();
        env.set("SIM", folder.display().to_string());
        let parser = Parser::new(preparation.registry.clone()).env(env).path(&folder.join("haproxy.cfg"));
        let Outcome { config, diagnostics, registry } = parser.parse();
        assert!(diagnostics.is_empty(), "{:#?}", diagnostics.iter().map(|d| d.render(0)).collect::<Vec<_>>());
        let config = config.expect("a configuration without diagnostics");
        assert_eq!(preparation.check(&config), Vec::<String>::new());
        let facts = Facts::new(time.now(), time.wall(), workers, config.global.maxconn);
        let (process, first) = preparation.finish(&registry, config, facts);
        let mut first = Some(first);
        let workers = (0..workers).map(|thread| {
            let scheduler = watched(time, trace, &format!("worker {thread}"));
            let host = SimHost {
                time: time.clone(),
                network: network.clone(),
                trace: trace.clone(),
                handle: scheduler.handle(),
                random: RefCell::new(Random::new(seed, &format!("worker {thread}"))),
            };
            let node = Node::new(&process, thread, Box::new(host), scheduler.handle(), first.take());
            let node = node.expect("the scripts load");
            node.run_init().expect("the scripts initialise");
            SimWorker { node: Rc::new(node), scheduler, sessions: Rc::default() }
        });
        let sut = Self { workers: workers.collect(), process: process.clone() };
        for worker in &sut.workers {
            worker.start(network);
        }
        sut
    }

    /// The workers' schedulers, to be stepped.
    pub(crate) fn schedulers(&mut self) -> impl Iterator<Item = &mut Scheduler> {
        self.workers.iter_mut().map(|worker| &mut worker.scheduler)
    }

    /// Begins a soft stop.
    pub(crate) fn stop_softly(&self) {
        for worker in &self.workers {
            worker.node.stop_softly();
            worker.sessions.wake_all();
        }
    }

    /// What is in use at present and should not be once everybody has gone, with its number.
    pub(crate) fn in_use(&self) -> Vec<(String, usize)> {
        let mut uses = Vec::new();
        for proxy in &self.process.shared.config.proxies {
            let state = &proxy.state;
            let mut count = |what: &str, number| uses.push((format!("{}: {what}", proxy.name), number));
            count("sessions", state.fe_sessions.cur());
            count("backend sessions", state.be_sessions.cur());
            count("queued", state.queued.cur());
            for server in &proxy.servers {
                count(&format!("{} slots", server.name()), server.served());
                count(&format!("{} sessions", server.name()), server.sessions.cur());
                count(&format!("{} queued", server.name()), server.queued.cur());
            }
        }
        for (thread, worker) in self.workers.iter().enumerate() {
            let mut count = |what: &str, number| uses.push((format!("worker {thread}: {what}"), number));
            count("sessions", worker.sessions.len());
            count("idle server connections", worker.node.worker.pools.idle_count());
            for engine in Extension::of(&worker.node.worker).engines.stats() {
                count("engine exchanges", engine.exchanges);
                count("engine connections", engine.connections);
            }
        }
        uses.retain(|(_, number)| *number > 0);
        uses
    }

    /// Ends it as the program does; what should be gone then.
    pub(crate) fn end(self) -> Vec<Weak<Worker>> {
        let left = self.workers.iter().map(|worker| Rc::downgrade(&worker.node.worker)).collect();
        for SimWorker { node, scheduler, .. } in self.workers {
            drop(scheduler);
            node.close();
        }
        left
    }
}

impl SimWorker {
    fn start(&self, network: &Network) {
        self.node.start().expect("tasks start");
        let handle = self.scheduler.handle();
        for proxy in &self.node.worker.shared.config.proxies {
            for bind in &proxy.binds {
                let proxy_core::host::Addr::Ip(at) = bind.addr else {
                    panic!("only addresses are simulated")
                };
                let listener = network.listen(at);
                let (proxy, bind) = (proxy.clone(), bind.clone());
                let (node, sessions, spawner) = (self.node.clone(), self.sessions.clone(), handle.clone());
                self.scheduler.spawn_tasklet("accept", async move {
                    loop {
                        let end = listener.accept().await;
                        sessions.spawn(&spawner, node.serve(proxy.clone(), bind.clone(), end.into()), ());
                    }
                });
            }
        }
    }
}

/// A scheduler whose panics stand in the trace.
pub(crate) fn watched(time: &Time, trace: &Trace, name: &str) -> Scheduler {
    let scheduler = Scheduler::new(time.now());
    let (trace, name) = (trace.clone(), name.to_owned());
    let handle: Handle = scheduler.handle();
    handle.on_panic(move |panic| {
        trace.say(&name, format_args!("PANIC in {}: {}", panic.name, panic.message()));
    });
    scheduler
}
