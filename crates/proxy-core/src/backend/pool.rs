//! Idle server connections of one worker.
//!
//! Last in, first out, so that the warm ones work and the others grow old. Whether one is still
//! open is asked when it is taken; a small task closes what died or grew old meanwhile. No more are
//! kept than the requests at work lately could use: `http-reuse safe` makes a connection for every new
//! client, and most of those would only wait for their end. Source: configuration.txt,
//! `pool-low-conn` and `http-reuse`.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;
use tokio::io::{AsyncRead, ReadBuf};

use super::server::Server;
use crate::{host::BoxIo, worker::Worker};

/// Idle connections by server.
#[derive(Default)]
pub struct Pools {
    /// Keyed by the server's address in memory, which the entry keeps alive.
    servers: RefCell<FxHashMap<usize, PerServer>>,
    purging: Cell<bool>,
}

struct PerServer {
    server: Arc<Server>,
    idle: Vec<Idle>,
    /// The most requests at work at one time since the last purge.
    peak: usize,
    /// The same, over a longer time: how many connections are worth having.
    need: usize,
}

/// A connection that waits for its next request.
struct Idle {
    made: Made,
    since: Instant,
}

/// A connection to a server, with what is known of it.
pub(crate) struct Made {
    pub(crate) io: BoxIo,
    /// Exchanges it has carried.
    pub(crate) uses: u32,
    /// [`Server::addr_version`] when it was made.
    pub(crate) addr_version: u64,
    /// The name it was made for, where names matter.
    pub(crate) name: Option<Rc<[u8]>>,
}

impl Pools {
    /// How many connections are idle.
    #[must_use]
    pub fn idle_count(&self) -> usize {
        self.servers.borrow().values().map(|per| per.idle.len()).sum()
    }

    /// An open connection to that server, made for that name, that has carried at least `uses` exchanges.
    pub(crate) fn take(
        &self,
        server: &Arc<Server>,
        name: Option<&[u8]>,
        uses: u32,
        cx: &mut Context<'_>,
    ) -> Option<Made> {
        let mut servers = self.servers.borrow_mut();
        let idle = &mut servers.get_mut(&key(server))?.idle;
        loop {
            let at = idle.iter().rposition(|idle| idle.made.name.as_deref() == name)?;
            if idle[at].made.uses < uses {
                return None;
            }
            let mut candidate = idle.remove(at);
            if candidate.made.addr_version == server.addr_version() && candidate.is_quiet(cx) {
                return Some(candidate.made);
            }
        }
    }

    /// Keeps a connection whose exchange is over, while it still has its slot. Closes it if the
    /// server's pool is full, or if there are as many as can be needed without it.
    pub(crate) fn put(worker: &Rc<Worker>, server: &Arc<Server>, made: Made) {
        let pools = &worker.pools;
        let mut servers = pools.servers.borrow_mut();
        let per = servers.entry(key(server)).or_insert_with(|| PerServer {
            server: server.clone(),
            idle: Vec::new(),
            peak: 0,
            need: 0,
        });
        if !per.has_room() {
            return;
        }
        per.idle.push(Idle { made, since: worker.host.now() });
        drop(servers);
        if !pools.purging.replace(true) {
            worker.host.spawn("pool purge", Box::pin(purge(Rc::downgrade(worker))));
        }
    }

    /// Closes all connections to a server.
    pub fn forget(&self, server: &Arc<Server>) {
        self.servers.borrow_mut().remove(&key(server));
    }

    /// Closes what is no longer open or has been idle for too long; whether any is left.
    fn purge(&self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut servers = self.servers.borrow_mut();
        servers.retain(|_, per| {
            let usable = per.server.is_usable();
            per.settle();
            per.idle.retain_mut(|idle| {
                usable && now.saturating_duration_since(idle.since) < IDLE_MAX && idle.is_quiet(cx)
            });
            !per.idle.is_empty()
        });
        !servers.is_empty()
    }
}

impl PerServer {
    /// Whether one more idle connection may be of use. The request it has served still counts as at work.
    fn has_room(&mut self) -> bool {
        let at_work = self.server.sessions.cur();
        self.peak = self.peak.max(at_work);
        self.need = self.need.max(at_work);
        let allowed = self.server.config.pool_max_conn.unwrap_or(usize::MAX);
        self.idle.len() < allowed && self.idle.len() + at_work <= self.need
    }

    /// Lets the need follow what was seen since the last time, slowly if it was less.
    fn settle(&mut self) {
        self.need = self.peak.max(usize::midpoint(self.need, self.peak));
        self.peak = self.server.sessions.cur();
    }
}

impl Idle {
    /// Whether it is open and the server has sent nothing unasked.
    fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        Pin::new(&mut self.made.io).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

/// Purges from time to time until nothing is left.
async fn purge(worker: Weak<Worker>) {
    let Some(mut timer) = worker.upgrade().map(|w| w.host.timer()) else { return };
    let mut next = None;
    poll_fn(move |cx| {
        loop {
            let Some(worker) = worker.upgrade() else { return Poll::Ready(()) };
            let now = worker.host.now();
            let at = *next.get_or_insert_with(|| {
                let at = now + PURGE_EVERY;
                timer.set(Some(at));
                at
            });
            if timer.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
            debug_assert!(now >= at, "timers are never early");
            next = None;
            if !worker.pools.purge(now, cx) {
                worker.pools.purging.set(false);
                return Poll::Ready(());
            }
        }
    })
    .await;
}

fn key(server: &Arc<Server>) -> usize {
    Arc::as_ptr(server) as usize
}

/// How often idle connections are looked through.
const PURGE_EVERY: Duration = Duration::from_secs(5);
/// How long a connection may be idle.
const IDLE_MAX: Duration = Duration::from_secs(30);
