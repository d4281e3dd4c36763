//! The client connection: what outlives a single exchange on it.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use crate::{
    backend::counters::Gauge,
    config::{Bind, Mode, Proxy},
    host::{Addr, BoxIo},
    stream::{self, Conn},
    vars::Vars,
    worker::Worker,
};

/// One client connection.
pub struct Session {
    /// The process-wide number of the session.
    pub id: u64,
    /// Where it came in.
    pub frontend: Arc<Proxy>,
    /// The `bind` line that accepted it.
    pub bind: Arc<Bind>,
    /// The client's address (`src`).
    pub src: Option<Addr>,
    /// Our address (`dst`).
    pub dst: Option<Addr>,
    /// When it was accepted.
    pub accepted: Instant,
    /// Variables of scope `sess`.
    pub vars: RefCell<Vars>,
}

/// Serves an accepted connection until it ends.
///
/// # Cancel safety
/// Dropping the future closes the client's connection and the server's; nothing is logged then.
/// # Thread affinity
/// Belongs to the worker's thread.
pub async fn serve(worker: Rc<Worker>, frontend: Arc<Proxy>, bind: Arc<Bind>, io: BoxIo) {
    let counters = &worker.shared.counters;
    let session = Rc::new(Session {
        id: counters.connections.fetch_add(1, Relaxed),
        src: io.peer_addr(),
        dst: io.local_addr(),
        accepted: worker.host.now(),
        vars: RefCell::default(),
        frontend,
        bind,
    });
    let frontend = session.frontend.clone();
    let _connection = Counted::new(&frontend.state.fe_connections);
    let mut conn = Conn::new(worker, session, io);
    let admitted = match has_session_rules(&conn.session.frontend) {
        true => Box::pin(stream::tcp::admit(&mut conn)).await,
        false => true,
    };
    if !admitted {
        return;
    }
    let _session = Counted::new(&frontend.state.fe_sessions);
    match conn.session.frontend.mode {
        Mode::Http => stream::http::run(&mut conn).await,
        Mode::Tcp | Mode::Spop => Box::pin(stream::tcp::run(&mut conn)).await,
    }
}

fn has_session_rules(frontend: &Proxy) -> bool {
    !frontend.rules.tcp_connection.is_empty() || !frontend.rules.tcp_session.is_empty()
}

/// Counts one while it lives.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.enter();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
