//! Everything that changes a server, and how the changes are told.
//!
//! A change takes the core's lock, moves the state, mirrors it into the atomics, and leaves events
//! and log lines in the server's outbox. After the lock is released the outbox is delivered by one
//! thread at a time, so that observers see the changes of all threads in the order in which they
//! were made. A thread that finds another one delivering leaves its events to that one.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release, SeqCst},
    },
    time::{Duration, Instant},
};

use super::{Core, Output, Server, WEIGHT_MAX, WEIGHT_SCALE};
use crate::{
    backend::{
        event::{
            AddrChange, AdminCause, AdminChange, AdminFlags, CheckOutcome, CheckSnapshot, OpCause, OpState,
            ServerEvent, StateCause, StateChange, Updater,
        },
        notice::{Notice, Words, reason, usable_servers},
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

/// One change under way: what to do once the lock is released.
struct Change<'a> {
    server: &'a Arc<Server>,
    cx: &'a ChangeContext<'a>,
    wakes: Wakes,
    was_usable: bool,
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

    /// Delivers what is in the outbox, unless another thread (or a caller of this one) is at it.
    fn deliver(self: &Arc<Self>, cx: &ChangeContext<'_>) {
        let Some(turn) = DeliveryTurn::take(self) else { return };
        while let Some(output) = turn.next() {
            match &output {
                Output::Event(event) => cx.observer.on_server_event(self, event),
                Output::Notice(notice) => self.send_notice(notice, cx),
            }
        }
    }

    fn send_notice(self: &Arc<Self>, notice: &Notice, cx: &ChangeContext<'_>) {
        cx.observer.on_server_notice(self, notice);
        if let Some(worker) = cx.worker {
            crate::log::send(worker, &cx.proxy.logs, notice.level, notice.text.as_bytes());
        }
    }
}

/// The right to deliver; given up when the outbox is found empty, or when an observer panics.
struct DeliveryTurn<'a>(&'a Server);

impl<'a> DeliveryTurn<'a> {
    fn take(server: &'a Server) -> Option<Self> {
        let mut core = server.core.lock();
        let free = !core.delivering && !core.outbox.is_empty();
        core.delivering |= free;
        free.then_some(Self(server))
    }

    /// The next output. An empty outbox ends the turn under the same lock, so that what is put in
    /// afterwards finds somebody to deliver it.
    fn next(&self) -> Option<Output> {
        let mut core = self.0.core.lock();
        let output = core.outbox.pop_front();
        core.delivering = output.is_some();
        output
    }
}

impl Drop for DeliveryTurn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.core.lock().delivering = false;
        }
    }
}

impl Core {
    fn tell(&mut self, event: ServerEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    /// Tells of the step from `old` to the present state, if it was one: down or up, then state.
    fn tell_state(&mut self, old: OpState, requeued: usize, cause: StateCause) {
        let new = self.op;
        if old == new {
            return;
        }
        match (old, new) {
            (_, OpState::Stopped) => self.tell(ServerEvent::Down),
            (OpState::Stopped, _) => self.tell(ServerEvent::Up),
            _ => {}
        }
        self.tell(ServerEvent::State(StateChange { old, new, requeued, cause }));
    }

    fn note(&mut self, notice: Notice) {
        self.outbox.push_back(Output::Notice(notice));
    }
}

impl Change<'_> {
    /// Mirrors the state into the atomics and sees to those that wait; how many were requeued.
    fn settle(&mut self, core: &mut Core) -> usize {
        let server = self.server;
        server.op.store(core.op as u8, Release);
        server.admin.store(core.admin.0, Release);
        server.eweight.store(effective_weight(core, server.config.slowstart, self.cx.now), Relaxed);
        let state = &self.cx.proxy.state;
        state.servers_changed();
        if server.is_usable() {
            state.availability.lock().filled(self.cx.now);
            state.queue.dispatch(self.cx.proxy, server, &mut self.wakes);
            return 0;
        }
        state.queue.evict(self.cx.proxy, server, &mut self.wakes)
    }

    fn admin(&mut self, core: &mut Core, new: AdminFlags, cause: AdminCause) {
        let old = core.admin;
        if old == new {
            return;
        }
        let was = core.op;
        core.admin = new;
        let (enters, leaves) = (!old.is_maint() && new.is_maint(), old.is_maint() && !new.is_maint());
        let op = match was {
            _ if enters => OpState::Stopped,
            _ if leaves => {
                core.health.cur = core.health.rise;
                self.up_state()
            }
            same => same,
        };
        let requeued = self.move_to(core, op);
        core.tell(ServerEvent::Admin(AdminChange { old, new, requeued, cause }));
        core.tell_state(was, requeued, StateCause::Administrative { cause });
        let why = match cause.text() {
            "" => String::new(),
            text => format!(" ({text})"),
        };
        let words = self.words(requeued);
        let (drains, drained) = (!old.is_drain() && new.is_drain(), old.is_drain() && !new.is_drain());
        let notice = match () {
            () if enters => Some(words.enters_maint(was, &why)),
            () if leaves => Some(words.leaves_maint(op, new)),
            () if new.is_maint() => None,
            () if drains => Some(words.enters_drain(&why)),
            () if drained => Some(words.leaves_drain(op)),
            () => None,
        };
        if let Some(notice) = notice {
            core.note(notice);
        }
        self.tell_if_empty(core);
    }

    fn check(&mut self, core: &mut Core, result: CheckResult) {
        if core.admin.is_maint() {
            return;
        }
        let before = core.health;
        let outcome = result.status.outcome();
        match outcome {
            CheckOutcome::Failed => {
                if before.is_up() {
                    core.failed_checks += 1;
                }
                core.health.fail();
            }
            CheckOutcome::Passed | CheckOutcome::CondPassed => core.health.succeed(),
            CheckOutcome::Unknown | CheckOutcome::Neutral => {}
        }
        let moved = core.health != before;
        let check = CheckSnapshot {
            agent: result.agent,
            result: outcome,
            duration: result.duration,
            status: result.status,
            code: result.code,
            info: result.info,
            health: core.health,
        };
        let news = core.last_check.as_ref().is_none_or(|last| last.result != outcome);
        core.last_check = Some(check.clone());
        if self.cx.proxy.options.log_health_checks && (moved || news) {
            core.note(self.words(0).check(&check, outcome != CheckOutcome::Failed));
        }
        if moved {
            core.tell(ServerEvent::Check(check.clone()));
        }
        let to = match (core.health.is_up(), outcome) {
            (false, _) => OpState::Stopped,
            (true, CheckOutcome::CondPassed) => OpState::Stopping,
            (true, CheckOutcome::Passed) if matches!(core.op, OpState::Stopped | OpState::Stopping) => {
                OpState::Running
            }
            (true, _) => return,
        };
        let cause = if check.agent { OpCause::Agent } else { OpCause::Health };
        self.operational(core, to, cause, Some(check));
    }

    fn operational(&mut self, core: &mut Core, to: OpState, cause: OpCause, check: Option<CheckSnapshot>) {
        let to = match to {
            OpState::Running | OpState::Starting if core.op == OpState::Stopped => self.up_state(),
            OpState::Running | OpState::Starting if core.op == OpState::Starting => return,
            OpState::Starting => OpState::Running,
            other => other,
        };
        if core.op == to {
            return;
        }
        let why = match &check {
            Some(_) if self.cx.proxy.options.log_health_checks => String::new(),
            Some(check) => reason(check),
            None if cause.text().is_empty() => String::new(),
            None => format!(", {}", cause.text()),
        };
        if to == OpState::Stopped {
            core.downs += 1;
        }
        let was = core.op;
        let requeued = self.move_to(core, to);
        core.tell_state(was, requeued, StateCause::Operational { cause, check });
        core.note(self.words(requeued).operational(to, &why));
        self.tell_if_empty(core);
    }

    /// Enters a state, silently; how many waiting requests had to leave.
    fn move_to(&mut self, core: &mut Core, new: OpState) -> usize {
        let old = core.op;
        if old != new {
            let now = self.cx.now;
            if let (OpState::Stopped, Some(since)) = (old, core.last_change) {
                core.down_time += now.saturating_duration_since(since);
            }
            core.op = new;
            core.last_change = Some(now);
            core.warming_since = (new == OpState::Starting).then_some(now);
        }
        self.settle(core)
    }

    fn tell_if_empty(&self, core: &mut Core) {
        if !self.was_usable || usable_servers(self.cx.proxy) != (0, 0) {
            return;
        }
        if self.cx.proxy.state.availability.lock().emptied(self.cx.now) {
            core.note(self.words(0).backend_empty());
        }
    }

    fn up_state(&self) -> OpState {
        match self.server.config.slowstart {
            Some(ramp) if !ramp.is_zero() => OpState::Starting,
            _ => OpState::Running,
        }
    }

    fn words(&self, requeued: usize) -> Words<'_> {
        Words { server: self.server, proxy: self.cx.proxy, requeued }
    }
}

/// The weight in sixteenths, in slow start the part that belongs to the time gone by.
fn effective_weight(core: &Core, slowstart: Option<Duration>, now: Instant) -> u32 {
    let full = core.uweight * WEIGHT_SCALE;
    match (core.op, slowstart, core.warming_since) {
        (OpState::Starting, Some(ramp), Some(since)) if !ramp.is_zero() => {
            let gone = now.saturating_duration_since(since).min(ramp);
            let part = u128::from(full) * gone.as_millis() / ramp.as_millis().max(1);
            u32::try_from(part).unwrap_or(full).clamp(full.min(1), full)
        }
        _ => full,
    }
}

fn port_is_mapped(addr: &Addr) -> bool {
    matches!(addr, Addr::Ip(ip) if ip.port() == 0)
}
