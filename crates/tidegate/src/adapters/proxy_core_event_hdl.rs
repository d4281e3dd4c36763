//! proxy-core tells of its servers; this publishes it on the event bus.
//!
//! The family `SERVER` is declared here: event-hdl knows no event, and proxy-core knows no bus. Each
//! event goes to the server's own subscription list, then to the global one.
//!
//! Source: event_hdl guide §1 (SERVER family).

mod patterns;

pub use patterns::{PatternEvents, Patterns, pattern_subtype_name};

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_hdl::{Family, Publication, SubscriptionList, Subtypes};
use parking_lot::RwLock;
use proxy_core::{
    backend::{event::ServerEvent, notice::Notice, server::Server},
    host::ServerObserver,
    log::Level,
};

use crate::console;

/// What happens to servers.
pub enum Servers {}

/// What sync handlers see.
pub struct Happening<'a> {
    /// The server, live.
    pub server: &'a Arc<Server>,
    /// What happened to it.
    pub event: &'a ServerEvent,
}

/// What queues own.
#[derive(Clone, Debug)]
pub struct ServerSnapshot {
    /// The server's name.
    pub name: String,
    /// Its proxy's name.
    pub proxy_name: Arc<str>,
    /// Its proxy's `uuid`.
    pub proxy_uuid: u32,
    /// Its id in the proxy.
    pub puid: u32,
    /// Its revision.
    pub rid: u32,
    /// What happened, as it was.
    pub event: ServerEvent,
}

impl Family for Servers {
    type Live<'a> = Happening<'a>;
    type Snapshot = ServerSnapshot;
    const NAME: &'static str = "SERVER";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[
        ("SERVER_ADD", Subtypes::bit(1)),
        ("SERVER_DEL", Subtypes::bit(2)),
        ("SERVER_UP", Subtypes::bit(3)),
        ("SERVER_DOWN", Subtypes::bit(4)),
        ("SERVER_STATE", Subtypes::bit(5)),
        ("SERVER_ADMIN", Subtypes::bit(6)),
        ("SERVER_CHECK", Subtypes::bit(7)),
        ("SERVER_INETADDR", Subtypes::bit(8)),
    ];

    fn snapshot(live: &Happening<'_>) -> ServerSnapshot {
        let server = live.server;
        ServerSnapshot {
            name: server.name().to_owned(),
            proxy_name: server.proxy.name.clone(),
            proxy_uuid: server.proxy.uuid,
            puid: server.puid,
            rid: server.rid,
            event: live.event.clone(),
        }
    }
}

/// The subtype of an event.
#[must_use]
pub fn subtype(event: &ServerEvent) -> Subtypes {
    Subtypes::bit(match event {
        ServerEvent::Add => 1,
        ServerEvent::Del => 2,
        ServerEvent::Up => 3,
        ServerEvent::Down => 4,
        ServerEvent::State(_) => 5,
        ServerEvent::Admin(_) => 6,
        ServerEvent::Check(_) => 7,
        ServerEvent::InetAddr(_) => 8,
        _ => return Subtypes::NONE,
    })
}

/// The name of a single subtype.
#[must_use]
pub fn subtype_name(subtype: Subtypes) -> &'static str {
    Servers::SUBTYPES.iter().find(|(_, bit)| *bit == subtype).map_or("SERVER", |(name, _)| name)
}

/// Which server's own list: the proxy's `uuid`, `puid`, `rid`.
pub type ServerKey = (u32, u32, u32);

/// The subscription lists of all servers. Shared by all threads.
pub struct ServerEvents {
    global: SubscriptionList<Servers>,
    own: RwLock<BTreeMap<ServerKey, SubscriptionList<Servers>>>,
    any_own: AtomicBool,
    wall: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl ServerEvents {
    /// Empty lists; `wall` is the wall clock that events are stamped with.
    #[must_use]
    pub fn new(wall: impl Fn() -> Duration + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            global: SubscriptionList::new(),
            own: RwLock::default(),
            any_own: AtomicBool::new(false),
            wall: Box::new(wall),
        })
    }

    /// The list that hears of all servers.
    #[must_use]
    pub fn global(&self) -> &SubscriptionList<Servers> {
        &self.global
    }

    /// Calls `with` with one server's own list, which is made when first asked for.
    pub fn with_own<R>(&self, key: ServerKey, with: impl FnOnce(&SubscriptionList<Servers>) -> R) -> R {
        let mut own = self.own.write();
        let list = own.entry(key).or_default();
        self.any_own.store(true, Ordering::Release);
        with(list)
    }

    /// Ends every subscription: END goes behind what is queued, and new ones are refused.
    pub fn close(&self) {
        for (_, list) in self.own.read().iter() {
            list.close();
        }
        self.global.close();
    }
}

impl ServerObserver for ServerEvents {
    fn on_server_event(&self, server: &Arc<Server>, event: &ServerEvent) {
        let subtype = subtype(event);
        let any_own = self.any_own.load(Ordering::Acquire);
        if !any_own && !self.global.has_listeners(subtype) {
            return;
        }
        let live = Happening { server, event };
        let mut publication = Publication::new(&live, subtype, (self.wall)());
        if any_own && let Some(list) = self.own.read().get(&(server.proxy.uuid, server.puid, server.rid)) {
            list.send(&mut publication);
        }
        self.global.send(&mut publication);
    }

    fn on_server_notice(&self, _: &Arc<Server>, notice: &Notice) {
        console::print(if notice.alert { Level::Alert } else { Level::Warning }, notice.terminal_text());
    }

    fn on_proxy_notice(&self, _: &Arc<proxy_core::config::Proxy>, text: &str) {
        console::print(Level::Warning, text);
    }
}
