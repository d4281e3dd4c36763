//! The client connection: what outlives a single exchange on it.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use crate::{
    config::{Bind, Mode, Proxy},
    host::{Addr, BoxIo},
    stick_table::{DataType, Tracking},
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
    /// What `tcp-request connection` and `session` rules track.
    pub tracked: RefCell<Tracking>,
}

/// Serves an accepted connection until it ends. It counts from this call on.
///
/// # Cancel safety
/// Dropping the future closes the client's connection and the server's; nothing is logged then.
/// # Thread affinity
/// Belongs to the worker's thread.
pub fn serve(
    worker: Rc<Worker>,
    frontend: Arc<Proxy>,
    bind: Arc<Bind>,
    io: BoxIo,
) -> impl Future<Output = ()> + use<> {
    let session = Rc::new(Session {
        id: worker.shared.counters.connections.fetch_add(1, Relaxed),
        src: io.peer_addr(),
        dst: io.local_addr(),
        accepted: worker.host.now(),
        vars: RefCell::default(),
        tracked: RefCell::default(),
        frontend,
        bind,
    });
    let mut conn = Conn::new(worker, session, io);
    // What the block captures lives in the future once; arguments of an async fn would live there twice.
    async move {
        if has_session_rules(&conn.session.frontend) && !Box::pin(stream::tcp::admit(&mut conn)).await {
            return;
        }
        conn.admitted();
        count_session(&conn);
        match conn.session.frontend.mode {
            Mode::Http => stream::http::run(&mut conn).await,
            Mode::Tcp | Mode::Spop => Box::pin(stream::tcp::run(&mut conn)).await,
        }
    }
}

/// The session was accepted, which the entries that it tracks count.
fn count_session(conn: &Conn) {
    let tracked = conn.session.tracked.borrow();
    if !tracked.is_empty() {
        tracked.count(&[DataType::SessCnt, DataType::SessRate], 1, conn.now());
    }
}

fn has_session_rules(frontend: &Proxy) -> bool {
    !frontend.rules.tcp_connection.is_empty() || !frontend.rules.tcp_session.is_empty()
}
