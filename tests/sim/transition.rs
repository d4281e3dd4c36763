//! Server transitions, seen from three sides: the servers themselves, looked at after every pass; the
//! event bus; the checks, counted anew by [`Health`].

use std::sync::Arc;

use event_hdl::{EventQueue, Item, Overflow, Subtypes};
use proxy_core::backend::{
    event::{CheckOutcome, OpState, ServerEvent},
    server::Server,
};
use tidegate::adapters::proxy_core_event_hdl::{ServerSnapshot, Servers, subtype_name};

use super::{reference::Health, sut::Sut, trace::Trace};

/// The watch over all servers that are checked.
pub(crate) struct Watch {
    trace: Trace,
    queue: EventQueue<Servers>,
    servers: Vec<Watched>,
    /// What the bus told, in order, in the words that the script uses too.
    pub(crate) published: Vec<String>,
    /// Whether the bus said that the subscription has ended.
    pub(crate) ended: bool,
    /// What the bus should not have told.
    pub(crate) faults: Vec<String>,
}

/// One server, watched.
pub(crate) struct Watched {
    server: Arc<Server>,
    last: OpState,
    counted: Health,
    /// Its changes as looked at.
    pub(crate) seen: Vec<String>,
    /// Its changes as the bus told them.
    pub(crate) told: Vec<String>,
    /// Its changes as its checks demand them.
    pub(crate) demanded: Vec<String>,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn new(sut: &Sut, trace: &Trace) -> Self {
        let wanted = ["SERVER_UP", "SERVER_DOWN", "SERVER_STATE", "SERVER_CHECK"];
        let names = event_hdl::Names::of::<Servers>();
        let wanted =
            wanted.iter().filter_map(|name| names.find(name)).fold(Subtypes::NONE, |all, one| all | one);
        let queue = sut.process.events.global().queue(wanted, Overflow::Unbounded);
        let servers = sut.process.shared.config.proxies.iter().flat_map(|proxy| &proxy.servers);
        let servers = servers.filter(|server| server.config.check).map(|server| Watched {
            server: server.clone(),
            last: server.op_state(),
            counted: Health::new(server.config.rise, server.config.fall),
            seen: Vec::new(),
            told: Vec::new(),
            demanded: Vec::new(),
        });
        Self {
            trace: trace.clone(),
            queue: queue.expect("the bus takes subscriptions"),
            servers: servers.collect(),
            published: Vec::new(),
            ended: false,
            faults: Vec::new(),
        }
    }

    /// Looks, after a pass of a scheduler.
    pub(crate) fn look(&mut self) {
        for watched in &mut self.servers {
            let now = watched.server.op_state();
            let before = std::mem::replace(&mut watched.last, now);
            if before != now {
                let change = format!("{}>{}", before.name(), now.name());
                self.trace.say(watched.server.name(), &change);
                watched.seen.push(change);
            }
        }
        while let Some(item) = self.queue.try_pop() {
            match item {
                Item::Event(event) => self.take(subtype_name(event.subtype), &event.data),
                Item::Lost(count) => self.faults.push(format!("the bus lost {count} events")),
                Item::End => self.ended = true,
            }
        }
    }

    /// The servers with their changes.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (&str, &Watched)> {
        self.servers.iter().map(|watched| (watched.server.name(), watched))
    }

    fn take(&mut self, name: &str, data: &ServerSnapshot) {
        let watched = self.servers.iter_mut().find(|watched| watched.server.name() == data.name);
        let Some(watched) = watched else {
            return self.faults.push(format!("{name} of {}, which is not watched", data.name));
        };
        let mut line = format!("{name} {}/{}", data.proxy_name, data.name);
        match &data.event {
            ServerEvent::State(change) => {
                let change = format!("{}>{}", change.old.name(), change.new.name());
                line = format!("{line} {change}");
                watched.told.push(change);
            }
            ServerEvent::Check(check) => {
                let passed = matches!(check.result, CheckOutcome::Passed | CheckOutcome::CondPassed);
                match watched.counted.check(passed) {
                    Some(true) => watched.demanded.push("STOPPED>RUNNING".to_owned()),
                    Some(false) => watched.demanded.push("RUNNING>STOPPED".to_owned()),
                    None => {}
                }
            }
            _ => {}
        }
        self.published.push(line);
    }
}
