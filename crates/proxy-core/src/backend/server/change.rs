//! Everything that changes a server.
//!
//! A change takes the core's lock, makes its transitions, and leaves what there is to tell in the
//! server's outbox; after the lock is released it wakes who waited and delivers.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release, SeqCst},
    },
    time::{Duration, Instant},
};

use super::{Core, Server, WEIGHT_MAX, transition::Change};
use crate::{
    backend::{
        event::{AddrChange, AdminCause, AdminFlags, OpCause, OpState, ServerEvent, StateCause, Updater},
        queue::Wakes,
    },
    check::CheckResult,
    config::Proxy,
    host::{Addr, ServerObserver},
    worker::Worker,
};

/// How often the weight of a server in slow start is moved.
const WARMING_STEPS: u32 = 20;

/// What a change needs from the thread that makes it.
#[derive(Clone, Copy)]
pub struct ChangeContext<'a> {
    /// The present.
    pub now: Instant,
    /// The proxy of the server.
    pub proxy: &'a Arc<Proxy>,
    /// Is told.
    pub observer: &'a dyn ServerObserver,
    /// Sends log lines to the proxy's targets; `None` sends none.
    pub worker: Option<&'a Worker>,
}

impl<'a> ChangeContext<'a> {
    /// The context of a change made on a worker; `None` if the server belongs to no proxy of the
    /// running configuration.
    #[must_use]
    pub fn on(worker: &'a Worker, server: &Server) -> Option<Self> {
        Some(Self {
            now: worker.host.now(),
            proxy: worker.shared.config.proxies.get(server.proxy.id)?,
            observer: &*worker.shared.observer,
            worker: Some(worker),
        })
    }
}

/// An administrative wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRequest {
    /// `set server … state maint`: into maintenance, no more draining.
    Maint,
    /// `set server … state drain`: drain, out of maintenance.
    Drain,
    /// `set server … state ready`: neither.
    Ready,
    /// `disable server`: into maintenance, nothing else.
    Disable,
    /// `enable server`: out of maintenance, nothing else.
    Enable,
}

impl AdminRequest {
    fn apply(self, old: AdminFlags) -> AdminFlags {
        match self {
            Self::Maint => old.with(AdminFlags::FMAINT).without(AdminFlags::FDRAIN),
            Self::Drain => old.with(AdminFlags::FDRAIN).without(AdminFlags::FMAINT),
            Self::Ready => old.without(AdminFlags::FMAINT | AdminFlags::FDRAIN),
            Self::Disable => old.with(AdminFlags::FMAINT),
            Self::Enable => old.without(AdminFlags::FMAINT),
        }
    }
}

/// A new weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightChange {
    /// From 0 to 256; more counts as 256.
    Absolute(u32),
    /// In percent of the initial weight.
    Percent(u32),
}

impl Server {
    /// Puts the server into maintenance or drain, or takes it out.
    ///
    /// Events: admin, then down or up and state when maintenance is entered or left.
    pub fn set_admin(self: &Arc<Self>, request: AdminRequest, cause: AdminCause, cx: &ChangeContext<'_>) {
        self.change(cx, |change, core| {
            let new = request.apply(core.admin);
            change.admin(core, new, cause);
        });
    }

    /// Takes in the result of a check.
    ///
    /// Ignored while in maintenance: a late result changes nothing.
    /// Events: check if the health counter moved, then down or up and state if it crossed.
    pub fn apply_check(self: &Arc<Self>, result: CheckResult, cx: &ChangeContext<'_>) {
        self.change(cx, |change, core| change.check(core, result));
    }

    /// Forces the health: [`OpState::Running`], [`OpState::Stopping`] or [`OpState::Stopped`].
    /// [`OpState::Starting`] is taken for running. The next checks go on from there.
    pub fn set_health(self: &Arc<Self>, to: OpState, cause: OpCause, cx: &ChangeContext<'_>) {
        self.change(cx, |change, core| {
            core.health.cur = if to == OpState::Stopped { 0 } else { core.health.max() };
            if !core.admin.is_maint() {
                change.operational(core, to, cause, None);
            }
        });
    }

    /// Sets the weight. Takes effect with the next choice.
    pub fn set_weight(self: &Arc<Self>, weight: WeightChange, cx: &ChangeContext<'_>) {
        self.change(cx, |change, core| {
            core.uweight = match weight {
                WeightChange::Absolute(n) => n.min(WEIGHT_MAX),
                WeightChange::Percent(p) => {
                    let scaled = u64::from(self.config.weight) * u64::from(p) / 100;
                    u32::try_from(scaled).unwrap_or(WEIGHT_MAX).min(WEIGHT_MAX)
                }
            };
            change.settle(core);
            change.tell_if_empty(core);
        });
    }

    /// Sets address and port together; whether they differ from what was.
    ///
    /// Connections made before stay where they are ([`Server::addr_version`] tells them apart).
    /// Event: inetaddr, if they differ.
    pub fn set_addr(self: &Arc<Self>, next: Addr, updater: Updater, cx: &ChangeContext<'_>) -> bool {
        self.change(cx, |_, core| {
            let prev = self.addr();
            if *prev == next {
                return false;
            }
            *self.addr.write() = Arc::new(next.clone());
            self.addr_version.fetch_add(1, Release);
            let change = AddrChange {
                port_mapped: (port_is_mapped(&prev), port_is_mapped(&next)),
                prev: Addr::clone(&prev),
                next,
                updater,
            };
            core.tell(ServerEvent::InetAddr(change));
            true
        })
    }

    /// Sets the port of health checks; 0 for the server's own.
    pub fn set_check_port(&self, port: u16) {
        self.check_port.store(port, Relaxed);
    }

    /// Sets the connection limit, 0 for none, and serves waiting requests if it went up.
    pub fn set_maxconn(self: &Arc<Self>, maxconn: usize, cx: &ChangeContext<'_>) {
        self.change(cx, |change, core| {
            self.maxconn.store(maxconn, SeqCst);
            change.settle(core);
        });
    }

    /// Moves a slow start on; when to call again, `None` once the server has its whole share.
    ///
    /// Event: state, when the slow start ends.
    pub fn poll_slowstart(self: &Arc<Self>, cx: &ChangeContext<'_>) -> Option<Instant> {
        if self.op_state() != OpState::Starting {
            return None;
        }
        self.change(cx, |change, core| {
            let ramp = self.config.slowstart?;
            let since = core.warming_since?;
            if core.op != OpState::Starting {
                return None;
            }
            if cx.now >= since + ramp {
                change.move_to(core, OpState::Running);
                core.tell_state(
                    OpState::Starting,
                    0,
                    StateCause::Operational { cause: OpCause::None, check: None },
                );
                return None;
            }
            change.settle(core);
            Some(cx.now + (ramp / WARMING_STEPS).max(Duration::from_millis(1)))
        })
    }

    /// Tells observers that the server was added to or is about to be deleted from a running
    /// configuration.
    pub fn announce(self: &Arc<Self>, event: ServerEvent, cx: &ChangeContext<'_>) {
        debug_assert!(matches!(event, ServerEvent::Add | ServerEvent::Del), "only these come from outside");
        self.change(cx, |_, core| core.tell(event));
    }

    fn change<R>(
        self: &Arc<Self>,
        cx: &ChangeContext<'_>,
        f: impl FnOnce(&mut Change<'_>, &mut Core) -> R,
    ) -> R {
        let mut core = self.core.lock();
        let mut change = Change { server: self, cx, wakes: Wakes::new(), was_usable: self.is_usable() };
        let answer = f(&mut change, &mut core);
        let wakes = change.wakes;
        drop(core);
        wakes.wake();
        self.deliver(cx);
        answer
    }
}

fn port_is_mapped(addr: &Addr) -> bool {
    matches!(addr, Addr::Ip(ip) if ip.port() == 0)
}
