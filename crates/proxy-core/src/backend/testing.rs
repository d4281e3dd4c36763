//! Servers and proxies for tests, and an observer that writes down what it is told.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use super::{
    lb::Balance,
    notice::Notice,
    proxy::ProxyState,
    server::{ChangeContext, ProxyIdentity, Server, ServerEvent, StateCause},
};
use crate::{
    check::CheckSpec,
    config::{Capabilities, Mode, Options, Place, Proxy, RuleSets, ServerConfig, Timeouts},
    host::{Addr, ServerObserver},
};

/// The instant at which tests begin.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant can be had in no other way; time then moves by hand"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// A server line `server NAME 127.0.0.1:80`.
pub(crate) fn server(name: &str) -> ServerConfig {
    ServerConfig { check: true, ..ServerConfig::new(name, Addr::Ip(([127, 0, 0, 1], 80).into())) }
}

/// A backend `be` with those servers.
pub(crate) fn backend(balance: Balance, servers: Vec<ServerConfig>) -> Proxy {
    let identity = ProxyIdentity { name: "be".into(), uuid: 3, id: 0 };
    let servers = (1..).zip(servers).map(|(n, s)| Arc::new(Server::new(s, identity.clone(), n, 0))).collect();
    Proxy {
        id: 0,
        uuid: 3,
        name: "be".to_owned(),
        place: Place::default(),
        capabilities: Capabilities { frontend: false, backend: true },
        mode: Mode::Http,
        binds: Vec::new(),
        servers,
        balance,
        default_backend: Default::default(),
        use_backend: Default::default(),
        timeouts: Timeouts::default(),
        retries: 3,
        redispatch: 0,
        maxconn: 0,
        fullconn: 0,
        options: Options::default(),
        check: CheckSpec::default(),
        rules: RuleSets::default(),
        tcp_request_inspect_delay: None,
        tcp_response_inspect_delay: None,
        filters: Vec::new(),
        logs: Vec::new(),
        log_format: None,
        pages: Default::default(),
        monitor: None,
        disabled: false,
        state: ProxyState::default(),
    }
}

/// Writes down what it is told, a line an event.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) events: Mutex<Vec<(String, ServerEvent)>>,
    pub(crate) lines: Mutex<Vec<String>>,
}

impl Recorder {
    /// What was told since the last call.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.lines.lock()).join("\n")
    }

    pub(crate) fn context<'a>(&'a self, proxy: &'a Arc<Proxy>, now: Instant) -> ChangeContext<'a> {
        ChangeContext { now, proxy, observer: self, worker: None }
    }
}

impl ServerObserver for Recorder {
    fn on_server_event(&self, server: &Arc<Server>, event: &ServerEvent) {
        self.lines.lock().push(format!("{} {}", server.name(), describe(event)));
        self.events.lock().push((server.name().to_owned(), event.clone()));
    }

    fn on_server_notice(&self, _: &Arc<Server>, notice: &Notice) {
        let tag = if notice.alert { "alert" } else { "warning" };
        self.lines.lock().push(format!("  [{tag}, log {:?}] {}", notice.level, notice.terminal_text()));
    }
}

fn describe(event: &ServerEvent) -> String {
    match event {
        ServerEvent::State(s) => {
            let cause = match &s.cause {
                StateCause::Operational { cause, check } => {
                    format!("operational {cause:?} check={}", check.is_some())
                }
                StateCause::Administrative { cause } => format!("administrative {cause:?}"),
            };
            format!("STATE {}->{} {cause} requeued={}", s.old.name(), s.new.name(), s.requeued)
        }
        ServerEvent::Admin(a) => format!("ADMIN {:?}->{:?} requeued={}", a.old, a.new, a.requeued),
        ServerEvent::Check(c) => {
            format!(
                "CHECK {} {} {}/{}/{}",
                c.result.name(),
                c.status.short(),
                c.health.cur,
                c.health.rise,
                c.health.fall
            )
        }
        ServerEvent::InetAddr(c) => format!("INETADDR {}->{} by {}", c.prev, c.next, c.updater.text()),
        other => format!("{other:?}").to_uppercase(),
    }
}
