//! A server: its settings, its state, what the hot path reads of it.
//!
//! All that changes together stands in one `Core` behind a small lock, taken by changes only
//! (`change`, `transition`); `outbox` tells them in order. What a request needs is mirrored into atomics, so choosing a
//! server and taking a slot locks nothing.
//!
//! INVARIANT: `served <= maxconn` at all times while `maxconn` is not lowered below it; slots are
//! counted by `try_acquire` and `release` alone.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use super::counters::{Gauge, Traffic};
pub use super::event::{
    AddrChange, AdminCause, AdminChange, AdminFlags, CheckOutcome, CheckSnapshot, Health, OpCause, OpState,
    ServerEvent, StateCause, StateChange, Updater,
};
use crate::{config::ServerConfig, host::Addr};

mod change;
mod outbox;
mod transition;
pub use change::{AdminRequest, ChangeContext, WeightChange};

/// Weights count in sixteenths, so that a slow start has steps.
pub(crate) const WEIGHT_SCALE: u32 = 16;
/// The highest weight.
pub const WEIGHT_MAX: u32 = 256;

/// The proxy a server belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyIdentity {
    /// Its name.
    pub name: Arc<str>,
    /// Its `uuid`.
    pub uuid: u32,
    /// Its index in [`Config::proxies`](crate::config::Config::proxies).
    pub id: usize,
}

/// A server, shared by all threads.
pub struct Server {
    /// The `server` line.
    pub config: ServerConfig,
    /// The proxy it belongs to.
    pub proxy: ProxyIdentity,
    /// Its id in the proxy, from 1 or as `id` says.
    pub puid: u32,
    /// The revision of this id: differs between servers that had the same `puid` one after another.
    pub rid: u32,
    /// Traffic.
    pub traffic: Traffic,
    /// Requests waiting in its queue.
    pub queued: Gauge,
    /// Requests it works on; mirrors the slots taken, for statistics.
    pub sessions: Gauge,

    served: AtomicUsize,
    maxconn: AtomicUsize,
    op: AtomicU8,
    admin: AtomicU8,
    eweight: AtomicU32,
    check_port: AtomicU16,
    checks_on: AtomicBool,
    kills: AtomicU64,
    addr: RwLock<Arc<Addr>>,
    addr_version: AtomicU64,
    core: Mutex<Core>,
}

/// What changes together.
pub(crate) struct Core {
    pub(crate) op: OpState,
    pub(crate) admin: AdminFlags,
    pub(crate) uweight: u32,
    pub(crate) warming_since: Option<Instant>,
    pub(crate) health: Health,
    pub(crate) last_check: Option<CheckSnapshot>,
    pub(crate) last_change: Option<Instant>,
    pub(crate) down_time: Duration,
    pub(crate) downs: u64,
    pub(crate) failed_checks: u64,
    outbox: outbox::Outbox,
}

/// A server's state at one moment, for reports.
#[derive(Clone, Debug)]
pub struct Status {
    /// Operational state.
    pub op: OpState,
    /// Administrative flags.
    pub admin: AdminFlags,
    /// The weight somebody set, 0 to 256.
    pub user_weight: u32,
    /// The health counter.
    pub health: Health,
    /// The last finished check.
    pub last_check: Option<CheckSnapshot>,
    /// When the state changed last; `None` for not since the start.
    pub last_change: Option<Instant>,
    /// Time spent down, this time included.
    pub down_time: Duration,
    /// How often it went down.
    pub downs: u64,
    /// Checks that failed while it was up.
    pub failed_checks: u64,
    /// Since when its share grows.
    pub warming_since: Option<Instant>,
}

impl Server {
    /// A server as its line says: running, or in maintenance when `disabled`.
    #[must_use]
    pub fn new(config: ServerConfig, proxy: ProxyIdentity, puid: u32, rid: u32) -> Self {
        let (op, admin) = if config.disabled {
            (OpState::Stopped, AdminFlags::FMAINT | AdminFlags::CMAINT)
        } else {
            (OpState::Running, AdminFlags::default())
        };
        let mut health = Health::fresh(config.rise, config.fall);
        if config.disabled {
            health.cur = 0;
        }
        let uweight = config.weight.min(WEIGHT_MAX);
        Self {
            proxy,
            puid,
            rid,
            traffic: Traffic::default(),
            queued: Gauge::default(),
            sessions: Gauge::default(),
            served: AtomicUsize::new(0),
            maxconn: AtomicUsize::new(config.maxconn),
            op: AtomicU8::new(op as u8),
            admin: AtomicU8::new(admin.0),
            eweight: AtomicU32::new(uweight * WEIGHT_SCALE),
            check_port: AtomicU16::new(config.check_port.unwrap_or(0)),
            checks_on: AtomicBool::new(config.check),
            kills: AtomicU64::new(0),
            addr: RwLock::new(Arc::new(config.addr.clone())),
            addr_version: AtomicU64::new(0),
            core: Mutex::new(Core {
                op,
                admin,
                uweight,
                warming_since: None,
                health,
                last_check: None,
                last_change: None,
                down_time: Duration::ZERO,
                downs: 0,
                failed_checks: 0,
                outbox: outbox::Outbox::default(),
            }),
            config,
        }
    }

    /// The server's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Operational state.
    #[must_use]
    pub fn op_state(&self) -> OpState {
        OpState::from_u8(self.op.load(Acquire))
    }

    /// Administrative flags.
    #[must_use]
    pub fn admin_flags(&self) -> AdminFlags {
        AdminFlags(self.admin.load(Acquire))
    }

    /// Whether load balancing may choose it: up, not in maintenance, not draining, with a weight.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        matches!(self.op_state(), OpState::Running | OpState::Starting)
            && !self.admin_flags().intersects(AdminFlags::MAINT | AdminFlags::DRAIN)
            && self.eweight.load(Relaxed) > 0
    }

    /// Whether it takes new clients by load balancing in sixteenths of its weight; 0 for not at all.
    pub(crate) fn share(&self) -> u32 {
        if self.is_usable() { self.eweight.load(Relaxed) } else { 0 }
    }

    /// The present weight, a slow start included, 0 to 256.
    #[must_use]
    pub fn effective_weight(&self) -> u32 {
        self.eweight.load(Relaxed).div_ceil(WEIGHT_SCALE)
    }

    /// The weight the configuration gave it.
    #[must_use]
    pub fn initial_weight(&self) -> u32 {
        self.config.weight
    }

    /// Where connections go now. One whole setting, never parts of two.
    #[must_use]
    pub fn addr(&self) -> Arc<Addr> {
        self.addr.read().clone()
    }

    /// Counts address changes: a connection made at another version leads to an old address.
    #[must_use]
    pub fn addr_version(&self) -> u64 {
        self.addr_version.load(Acquire)
    }

    /// The port of checks if it differs from the server's.
    #[must_use]
    pub fn check_port(&self) -> Option<u16> {
        Some(self.check_port.load(Relaxed)).filter(|port| *port != 0)
    }

    /// Whether health checks are made at present (`enable health`, `disable health`).
    #[must_use]
    pub fn checks_enabled(&self) -> bool {
        self.checks_on.load(Relaxed)
    }

    /// Turns health checks on or off; without effect on a server that has none configured.
    pub fn set_checks_enabled(&self, on: bool) {
        self.checks_on.store(on && self.config.check, Relaxed);
    }

    /// Makes every session that it has end. They see it when they are next woken:
    /// [`Shared::roll_call`](crate::worker::Shared::roll_call).
    pub fn kill_sessions(&self) {
        self.kills.fetch_add(1, Relaxed);
    }

    /// How often its sessions were ended so.
    pub(crate) fn kills(&self) -> u64 {
        self.kills.load(Relaxed)
    }

    /// The connection limit; 0 for none.
    #[must_use]
    pub fn maxconn(&self) -> usize {
        self.maxconn.load(Relaxed)
    }

    /// How many requests hold a slot.
    #[must_use]
    pub fn served(&self) -> usize {
        self.served.load(Relaxed)
    }

    /// Everything reports need, of one moment.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        let core = self.core.lock();
        let down_now = match (core.op, core.last_change) {
            (OpState::Stopped, Some(since)) => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        Status {
            op: core.op,
            admin: core.admin,
            user_weight: core.uweight,
            health: core.health,
            last_check: core.last_check.clone(),
            last_change: core.last_change,
            down_time: core.down_time + down_now,
            downs: core.downs,
            failed_checks: core.failed_checks,
            warming_since: core.warming_since,
        }
    }

    /// Requests that hold a slot or wait for one here.
    pub(crate) fn load(&self) -> usize {
        self.served.load(Relaxed) + self.queued.cur()
    }

    /// Whether a slot is free. May be outdated at once.
    pub(crate) fn has_room(&self) -> bool {
        let limit = self.maxconn.load(Relaxed);
        limit == 0 || self.served.load(Relaxed) < limit
    }

    /// Takes a slot if there is one. Sequentially consistent with the queue's counters, so that
    /// either the taker sees the slot or the releaser sees the waiter.
    pub(crate) fn try_acquire(&self) -> bool {
        let limit = self.maxconn.load(SeqCst);
        let taken = if limit == 0 {
            self.served.fetch_add(1, SeqCst);
            true
        } else {
            self.served.fetch_update(SeqCst, SeqCst, |n| (n < limit).then_some(n + 1)).is_ok()
        };
        if taken {
            self.sessions.enter();
        }
        taken
    }

    /// Gives a slot back. The caller dispatches the queue afterwards.
    pub(crate) fn release(&self) {
        self.sessions.leave();
        let before = self.served.fetch_sub(1, SeqCst);
        debug_assert!(before > 0, "a slot is given back once");
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &format_args!("{}/{}", self.proxy.name, self.config.name))
            .field("op", &self.op_state())
            .field("admin", &self.admin_flags())
            .field("served", &self.served())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
