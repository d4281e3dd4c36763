//! proxy-core's host on a real worker: its scheduler, its clock, its sockets, its log.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, Hasher as _},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use proxy_core::{
    backend::server::Server,
    config::{LogAddr, LogTarget, SourceAddr},
    host::{Addr, BoxIo, BoxTask, ConnectFuture, Host, ResolveFuture, Timer},
    log::Level,
};
use scheduler::Handle;

use crate::{
    clock::Turn,
    net::{self, LogSockets},
    server_tls::ServerTlsConfigs,
};

/// Log lines that could not be sent, in the whole process.
pub static DROPPED_LOGS: AtomicU64 = AtomicU64::new(0);

/// The host of one worker.
pub struct WorkerHost {
    turn: Rc<Turn>,
    handle: Handle,
    logs: LogSockets,
    random: Cell<u64>,
    servers: Arc<ServerTlsConfigs>,
}

impl WorkerHost {
    /// Makes the host of this thread's worker.
    #[must_use]
    pub fn new(turn: Rc<Turn>, handle: Handle, servers: Arc<ServerTlsConfigs>) -> Self {
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self { turn, handle, logs: LogSockets::default(), random: Cell::new(seed | 1), servers }
    }
}

impl Host for WorkerHost {
    fn now(&self) -> Instant {
        self.turn.now()
    }

    fn wall(&self) -> Duration {
        self.turn.wall()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(WorkerTimer(self.handle.timer()))
    }

    fn random(&self) -> u64 {
        // xorshift64*, seeded by the system: spreads load, guards nothing.
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn connect(&self, to: &Addr, source: Option<&SourceAddr>) -> ConnectFuture {
        Box::pin(net::connect(to.clone(), source.cloned()))
    }

    fn secure(&self, io: BoxIo, server: &Server, name: Option<&[u8]>) -> ConnectFuture {
        self.servers.secure(io, server, name)
    }

    fn resolve(&self, name: &str) -> ResolveFuture {
        Box::pin(crate::resolver::resolve(name.to_owned()))
    }

    fn spawn(&self, name: &'static str, task: BoxTask) {
        self.handle.spawn(name, task);
    }

    fn log(&self, target: &LogTarget, _level: Level, line: &[u8]) {
        let sent = match &target.to {
            LogAddr::Socket(addr) => self.logs.send(addr, line),
            LogAddr::Stdout => print_line(std::io::stdout().lock(), line),
            LogAddr::Stderr => print_line(std::io::stderr().lock(), line),
        };
        if sent.is_err() {
            DROPPED_LOGS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn print_line(mut stream: impl std::io::Write, line: &[u8]) -> std::io::Result<()> {
    let mut whole = Vec::with_capacity(line.len() + 1);
    whole.extend_from_slice(line);
    whole.push(b'\n');
    stream.write_all(&whole)?;
    stream.flush()
}

struct WorkerTimer(scheduler::Timer);

impl Timer for WorkerTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.0.set(deadline);
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_expired(cx)
    }
}
