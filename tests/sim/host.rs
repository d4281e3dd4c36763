//! What the proxy gets instead of a worker's clock, sockets and log.

use std::{
    cell::RefCell,
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use proxy_core::{
    config::{LogTarget, SourceAddr},
    host::{Addr, BoxIo, BoxTask, ConnectFuture, Host, Timer},
    log::Level,
};
use scheduler::Handle;

use super::{network::Network, random::Random, time::Time, trace::Trace};

/// The host of one simulated worker.
pub(crate) struct SimHost {
    pub(crate) time: Time,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) handle: Handle,
    pub(crate) random: RefCell<Random>,
}

impl Host for SimHost {
    fn now(&self) -> Instant {
        self.time.now()
    }

    fn wall(&self) -> Duration {
        self.time.wall()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(SimTimer(self.handle.timer()))
    }

    fn random(&self) -> u64 {
        self.random.borrow_mut().next()
    }

    fn connect(&self, to: &Addr, _source: Option<&SourceAddr>) -> ConnectFuture {
        let Addr::Ip(to) = *to else {
            return Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())));
        };
        let connecting = self.network.clone().connect(to);
        Box::pin(async move { connecting.await.map(BoxIo::from) })
    }

    fn spawn(&self, name: &'static str, task: BoxTask) {
        self.handle.spawn(name, task);
    }

    fn log(&self, _target: &LogTarget, level: Level, line: &[u8]) {
        self.trace.say("log", format_args!("{level:?} {}", String::from_utf8_lossy(line)));
    }
}

struct SimTimer(scheduler::Timer);

impl Timer for SimTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.0.set(deadline);
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_expired(cx)
    }
}
