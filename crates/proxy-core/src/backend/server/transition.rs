//! The transitions of a server, made under its lock: what each wish or result does to the state,
//! to those that wait, and what is told, in which order.
//!
//! Source: management.txt (`set server`), configuration.txt (`rise`, `fall`, `slowstart`); order of
//! events and wording of lines as HAProxy's.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release},
    },
    time::{Duration, Instant},
};

use super::{ChangeContext, Core, Server, WEIGHT_SCALE};
use crate::{
    backend::{
        event::{
            AdminCause, AdminChange, AdminFlags, CheckOutcome, CheckSnapshot, OpCause, OpState, ServerEvent,
            StateCause,
        },
        notice::{Words, reason, usable_servers},
        queue::Wakes,
    },
    check::CheckResult,
};

/// One change under way: what to do once the lock is released.
pub(super) struct Change<'a> {
    pub(super) server: &'a Arc<Server>,
    pub(super) cx: &'a ChangeContext<'a>,
    pub(super) wakes: Wakes,
    pub(super) was_usable: bool,
}

impl Change<'_> {
    /// Mirrors the state into the atomics and sees to those that wait; how many were requeued.
    pub(super) fn settle(&mut self, core: &mut Core) -> usize {
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

    pub(super) fn admin(&mut self, core: &mut Core, new: AdminFlags, cause: AdminCause) {
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

    pub(super) fn check(&mut self, core: &mut Core, result: CheckResult) {
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

    pub(super) fn operational(
        &mut self,
        core: &mut Core,
        to: OpState,
        cause: OpCause,
        check: Option<CheckSnapshot>,
    ) {
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
    pub(super) fn move_to(&mut self, core: &mut Core, new: OpState) -> usize {
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

    pub(super) fn tell_if_empty(&self, core: &mut Core) {
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
