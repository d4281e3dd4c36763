//! The way to a server: choosing one, waiting for a slot, connecting, trying again.

use std::{
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Conn,
    deadline::after,
    fault::{Fault, Letters},
    side::Side,
};
use crate::{
    backend::{
        assign::{Assign, Slot},
        pool::{Made, Pools},
        secure::secured,
        server::Server,
    },
    config::{HttpReuse, Mode, Proxy},
    host::{Addr, BoxIo, ConnectFuture},
    sample::logformat::LogFormat,
    txn::Direction,
};

/// A connection to a server, with the slot it occupies.
pub(crate) struct Upstream {
    pub(crate) side: Side,
    pub(crate) slot: Slot,
    /// Exchanges this connection carried before.
    pub(crate) uses: u32,
    addr_version: u64,
    /// The name that the connection was made for, over TLS.
    name: Option<Rc<[u8]>>,
    /// Sending has failed; an answer may still be there to read.
    pub(crate) deaf: bool,
}

impl Upstream {
    fn new(made: Made, slot: Slot) -> Self {
        let Made { io, uses, addr_version, name } = made;
        Self { side: Side::new(io), slot, uses, addr_version, name, deaf: false }
    }

    /// Keeps the connection for another exchange. Nothing may be left unread or unsent on it.
    pub(crate) fn into_pool(mut self, conn: &Conn) {
        let pool = &conn.worker.buffers;
        let clean =
            self.side.input.is_empty() && self.side.out.is_sent() && !self.side.eof && !self.side.failed;
        self.side.release(pool);
        if clean && !self.deaf {
            let (uses, addr_version) = (self.uses + 1, self.addr_version);
            let made = Made { io: self.side.io, uses, addr_version, name: self.name };
            Pools::put(&conn.worker, self.slot.server(), made);
        }
    }
}

/// The tries that a request has to reach a server.
pub(crate) struct Tries {
    left: u32,
    /// Idle connections are not looked at any more: one has failed.
    fresh_only: bool,
    avoid: Option<Arc<Server>>,
    /// Stay with this server's slot for another try.
    again: Option<Slot>,
}

impl Tries {
    pub(crate) fn new(backend: &Proxy) -> Self {
        Self { left: backend.retries, fresh_only: false, avoid: None, again: None }
    }

    /// A reused connection to the slot's server turned out to be closed: the next one is made anew.
    pub(crate) fn renew(&mut self, slot: Slot) {
        self.fresh_only = true;
        self.again = Some(slot);
    }
}

/// Gets a connection to a server of the backend, as often as `retries` allows.
///
/// # Errors
/// 503: no server, no slot in time, or none could be reached. Or the client left.
pub(crate) async fn connect(conn: &mut Conn, tries: &mut Tries) -> Result<Upstream, Fault> {
    loop {
        let slot = match tries.again.take() {
            Some(slot) => slot,
            None => assign(conn, tries.avoid.take()).await?,
        };
        if !conn.txn.server.as_ref().is_some_and(|server| Arc::ptr_eq(server, slot.server())) {
            conn.txn.server = Some(slot.server().clone());
        }
        let name = name_for(conn, &slot);
        if let Some(idle) = idle(conn, tries, &slot, name.as_deref()).await {
            slot.reused();
            let now = conn.now();
            conn.txn.log.connected = Some(now);
            note_source(conn, &idle.io);
            return Ok(Upstream::new(idle, slot));
        }
        let addr_version = slot.server().addr_version();
        match Box::pin(open(conn, &slot, name.as_deref())).await? {
            Ok(io) => {
                slot.connected();
                let now = conn.now();
                conn.txn.log.connected = Some(now);
                note_source(conn, &io);
                return Ok(Upstream::new(Made { io, uses: 0, addr_version, name }, slot));
            }
            Err(letters) => Box::pin(tries.another(conn, slot, letters)).await?,
        }
    }
}

/// Remembers our end of the server connection, if the log line names it.
fn note_source(conn: &mut Conn, io: &BoxIo) {
    if conn.session.frontend.log_format.as_ref().is_some_and(LogFormat::names_backend_source) {
        conn.txn.log.backend_source = io.local_addr();
    }
}

/// An idle connection to the slot's server, where `http-reuse` lets this request have one.
async fn idle(conn: &mut Conn, tries: &Tries, slot: &Slot, name: Option<&[u8]>) -> Option<Made> {
    let backend = &conn.txn.backend;
    let first = conn.requests <= 1;
    let uses = match backend.options.http_reuse {
        _ if tries.fresh_only || conn.session.frontend.mode != Mode::Http => return None,
        HttpReuse::Never => return None,
        HttpReuse::Safe if first => return None,
        HttpReuse::Aggressive if first => 2,
        HttpReuse::Safe | HttpReuse::Aggressive | HttpReuse::Always => 1,
    };
    poll_fn(|cx| Poll::Ready(conn.worker.pools.take(slot.server(), name, uses, cx))).await
}

/// Chooses a server and waits for a slot of it.
async fn assign(conn: &mut Conn, avoid: Option<Arc<Server>>) -> Result<Slot, Fault> {
    let mut assign = Assign::new(&conn.txn.backend);
    if let Some(server) = &avoid {
        assign = assign.avoiding(server);
    }
    let timeouts = &conn.txn.backend.timeouts;
    let until = after(conn.now(), timeouts.queue.or(timeouts.connect));
    let abort = conn.aborts_on_close();
    let assigned = poll_fn(|cx| {
        match assign.poll(&mut conn.txn, cx) {
            Poll::Ready(Ok(slot)) => return Poll::Ready(Ok(slot)),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Status(503, *b"SC"))),
            Poll::Pending => {}
        }
        poll_interrupt(conn, abort, b'Q', until, (503, *b"sQ"), cx).map(Err)
    })
    .await;
    conn.txn.log.queued_before = assign.queued_before();
    let now = conn.now();
    conn.txn.log.dequeued = Some(now);
    assigned
}

/// The name that a TLS server is told, and that its certificate must be for.
fn name_for(conn: &mut Conn, slot: &Slot) -> Option<Rc<[u8]>> {
    let tls = slot.server().config.tls.as_ref().filter(|tls| tls.on)?;
    if let Some(expr) = &tls.sni {
        let mut name = Vec::new();
        let found = expr.append(&mut conn.txn, Direction::Request, &mut name);
        return (found && !name.is_empty()).then(|| name.into());
    }
    if tls.no_sni_auto || slot.proxy().mode != Mode::Http {
        return None;
    }
    let host = conn.txn.req.header(b"host")?;
    let name = host.split(|byte| *byte == b':').next().filter(|name| !name.is_empty())?;
    Some(name.into())
}

/// Makes a connection. The inner error says why not; another try may help.
async fn open(conn: &mut Conn, slot: &Slot, name: Option<&[u8]>) -> Result<Result<BoxIo, Letters>, Fault> {
    let server = slot.server();
    let addr = target(conn, &server.addr());
    let mut connecting: ConnectFuture = conn.worker.host.connect(&addr, server.config.source.as_ref());
    if server.config.tls.as_ref().is_some_and(|tls| tls.on) {
        connecting = secured(&conn.worker, server, connecting, name);
    }
    let until = after(conn.now(), slot.proxy().timeouts.connect);
    let abort = conn.aborts_on_close();
    let opened = poll_fn(|cx| {
        if let Poll::Ready(done) = connecting.as_mut().poll(cx) {
            return Poll::Ready(Ok(done.map_err(|_| *b"SC")));
        }
        if slot.is_killed() {
            return Poll::Ready(Err(Fault::Status(503, *b"KC")));
        }
        match poll_interrupt(conn, abort, b'C', until, (0, *b"sC"), cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Fault::Status(0, letters)) => Poll::Ready(Ok(Err(letters))),
            Poll::Ready(fault) => Poll::Ready(Err(fault)),
        }
    });
    opened.await
}

impl Tries {
    /// Decides how to go on after a connection could not be made.
    ///
    /// # Errors
    /// No try is left, or the client left.
    async fn another(&mut self, conn: &mut Conn, slot: Slot, letters: Letters) -> Result<(), Fault> {
        if self.left == 0 {
            slot.connect_failed();
            return Err(Fault::Status(503, letters));
        }
        self.left -= 1;
        conn.txn.log.retries += 1;
        let backend = slot.proxy().clone();
        if redispatches(backend.redispatch, backend.retries - self.left, backend.retries) {
            return self.elsewhere(conn, slot);
        }
        slot.retried();
        let pause = backend.timeouts.connect.map_or(TURN_AROUND, |timeout| timeout.min(TURN_AROUND));
        let until = after(conn.now(), Some(pause));
        let abort = conn.aborts_on_close();
        poll_fn(|cx| match poll_interrupt(conn, abort, b'C', until, (0, *b"SC"), cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Fault::Status(0, _)) => Poll::Ready(Ok(())),
            Poll::Ready(fault) => Poll::Ready(Err(fault)),
        })
        .await?;
        if slot.server().is_usable() || backend.redispatch == 0 {
            self.again = Some(slot);
            return Ok(());
        }
        self.elsewhere(conn, slot)
    }

    fn elsewhere(&mut self, conn: &mut Conn, slot: Slot) -> Result<(), Fault> {
        slot.redispatched();
        conn.txn.log.redispatched = true;
        self.avoid = Some(slot.server().clone());
        Ok(())
    }
}

/// Whether the retry of that number, from 1, goes to another server.
fn redispatches(interval: i32, retry: u32, retries: u32) -> bool {
    match interval {
        0 => false,
        1.. => retry.is_multiple_of(interval.unsigned_abs()),
        _ => (retries + 1).checked_sub(interval.unsigned_abs()).is_some_and(|at| at == retry),
    }
}

/// Pending until the client leaves or the deadline passes; then the fault that this means.
fn poll_interrupt(
    conn: &mut Conn,
    abort: bool,
    phase: u8,
    until: Option<std::time::Instant>,
    late: (u16, Letters),
    cx: &mut Context<'_>,
) -> Poll<Fault> {
    if let Err(fault) = conn.watch_client(abort, phase, cx) {
        return Poll::Ready(fault);
    }
    conn.deadline.poll(until, cx).map(|()| Fault::Status(late.0, late.1))
}

/// The server's address; port 0 stands for the port the client connected to.
fn target(conn: &Conn, addr: &Addr) -> Addr {
    match (addr, &conn.session.dst) {
        (Addr::Ip(server), Some(Addr::Ip(dst))) if server.port() == 0 => {
            Addr::Ip(SocketAddr::new(server.ip(), dst.port()))
        }
        _ => addr.clone(),
    }
}

/// Pause before the same server is tried again.
const TURN_AROUND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::redispatches;

    #[test]
    fn the_interval_says_which_retries_go_elsewhere() {
        let which = |interval| (1..=4).filter(|retry| redispatches(interval, *retry, 4)).collect::<Vec<_>>();
        assert_eq!(which(0), []);
        assert_eq!(which(1), [1, 2, 3, 4]);
        assert_eq!(which(2), [2, 4]);
        assert_eq!(which(3), [3]);
        assert_eq!(which(-1), [4]);
        assert_eq!(which(-2), [3]);
        assert_eq!(which(-9), []);
    }
}
