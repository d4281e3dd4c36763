//! The endless check loop of one server.
//!
//! One task a server, on one worker. It sleeps the interval that belongs to the state the last
//! check left behind, connects through the host, and hands the result to the server. Dropping the
//! future at any time is safe: a check under way is forgotten and its connection closed.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Check, CheckResult, Limits};
use crate::{
    backend::{
        secure::secured,
        server::{ChangeContext, OpState, Server},
    },
    config::Proxy,
    host::{Addr, BoxIo, Timer},
    tls::ServerTls,
    worker::Worker,
};

/// Intervals shorter than this are not spread at the start.
const SPREAD_THRESHOLD: Duration = Duration::from_secs(1);
/// How often a server that waits for nothing is looked at, for a slow start to begin.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// Whether [`run`] has anything to do for this server: it is checked, or grows slowly.
#[must_use]
pub fn needs_task(server: &Server) -> bool {
    server.config.check || server.config.slowstart.is_some()
}

/// Checks one server for ever, and moves its slow start on.
///
/// Never ends by itself; the owner drops it when the server goes or the process stops.
///
/// # Thread affinity
/// Bound to the worker.
pub async fn run(worker: Rc<Worker>, server: Arc<Server>, proxy: Arc<Proxy>) {
    let mut timer = worker.host.timer();
    let mut due = worker.host.now() + start_delay(&worker, &server);
    loop {
        sleep_until(&worker, &server, &proxy, &mut *timer, due).await;
        if !server.config.check {
            due = worker.host.now() + IDLE_LOOK;
            continue;
        }
        if server.checks_enabled() && !server.admin_flags().is_maint() {
            let result = check_once(&worker, &server, &proxy, &mut *timer).await;
            server.apply_check(result, &context(&worker, &proxy));
        }
        due = worker.host.now() + interval(&server, worker.host.now());
    }
}

fn context<'a>(worker: &'a Worker, proxy: &'a Arc<Proxy>) -> ChangeContext<'a> {
    ChangeContext { now: worker.host.now(), proxy, observer: &*worker.shared.observer, worker: Some(worker) }
}

/// Spreads first checks evenly over the interval, in the order of the configuration.
fn start_delay(worker: &Worker, server: &Server) -> Duration {
    if !server.config.check || server.config.inter < SPREAD_THRESHOLD {
        return Duration::ZERO;
    }
    let checked: Vec<&Arc<Server>> =
        worker.shared.config.proxies.iter().flat_map(|p| &p.servers).filter(|s| s.config.check).collect();
    let at = checked.iter().position(|s| std::ptr::eq(&raw const ***s, server)).unwrap_or(0);
    let count = u32::try_from(checked.len().max(1)).unwrap_or(u32::MAX);
    server.config.inter / count * u32::try_from(at).unwrap_or(0)
}

/// The interval that belongs to the state: `inter` when settled up, `downinter` when settled down,
/// `fastinter` between.
pub(crate) fn interval(server: &Server, now: Instant) -> Duration {
    let (config, status) = (&server.config, server.status(now));
    let health = status.health;
    let special = match (health.cur, status.op) {
        (cur, _) if cur == health.max() => None,
        (0, OpState::Stopped) => config.downinter,
        _ => config.fastinter,
    };
    special.unwrap_or(config.inter).max(Duration::from_millis(1))
}

/// Sleeps, moving a slow start on meanwhile.
async fn sleep_until(
    worker: &Worker,
    server: &Arc<Server>,
    proxy: &Arc<Proxy>,
    timer: &mut dyn Timer,
    due: Instant,
) {
    loop {
        let step = server.poll_slowstart(&context(worker, proxy));
        timer.set(Some(step.map_or(due, |step| step.min(due))));
        poll_fn(|cx| timer.poll_expired(cx)).await;
        if worker.host.now() >= due {
            return;
        }
    }
}

/// Where checks of a server go.
pub(crate) fn target(server: &Server) -> Addr {
    let config = &server.config;
    match &*server.addr() {
        Addr::Ip(addr) => {
            let mut addr = *addr;
            if let Some(ip) = config.check_addr {
                addr.set_ip(ip);
            }
            if let Some(port) = server.check_port() {
                addr.set_port(port);
            }
            Addr::Ip(addr)
        }
        other => other.clone(),
    }
}

/// Whether checks are encrypted: as traffic is, unless they go elsewhere or a word says so.
fn over_tls(server: &Server, tls: &ServerTls) -> bool {
    let config = &server.config;
    tls.check.unwrap_or(tls.on && config.check_addr.is_none() && config.check_port.is_none())
}

/// The limits of one check: `timeout check` counts from the connection; without it `inter` is for
/// the whole check.
pub(crate) fn limits(server: &Server, proxy: &Proxy, answer_max: usize) -> Limits {
    let (inter, timeouts) = (server.config.inter, &proxy.timeouts);
    let connect = match timeouts.check {
        Some(_) => timeouts.connect.map_or(inter, |connect| connect.min(inter)),
        None => inter,
    };
    Limits { connect, answer: timeouts.check, answer_max }
}

async fn check_once(
    worker: &Rc<Worker>,
    server: &Arc<Server>,
    proxy: &Proxy,
    timer: &mut dyn Timer,
) -> CheckResult {
    let limits = limits(server, proxy, worker.shared.config.global.bufsize);
    let mut check = Check::begin(&proxy.check, limits, worker.host.now());
    let mut connecting = worker.host.connect(&target(server), server.config.source.as_ref());
    if let Some(tls) = server.config.tls.as_ref().filter(|tls| over_tls(server, tls)) {
        connecting = secured(worker, server, connecting, tls.check_sni.as_deref().map(str::as_bytes));
    }
    let mut io = None;
    let connected = poll_fn(|cx| {
        if let Poll::Ready(outcome) = connecting.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        poll_deadline(worker, &mut check, timer, cx).map(|()| None)
    })
    .await;
    match connected {
        Some(Ok(made)) => {
            check.handle_connected(worker.host.now());
            io = Some(made);
        }
        Some(Err(error)) => check.handle_error(worker.host.now(), &error),
        None => {}
    }
    let mut talk = Exchange { io, outgoing: Vec::new(), sent: 0 };
    poll_fn(|cx| talk.poll(worker, &mut check, timer, cx)).await
}

/// Ready once the check has ended for lack of time.
fn poll_deadline(
    worker: &Worker,
    check: &mut Check,
    timer: &mut dyn Timer,
    cx: &mut Context<'_>,
) -> Poll<()> {
    timer.set(check.poll_timeout());
    ready!(timer.poll_expired(cx));
    check.handle_timeout(worker.host.now());
    Poll::Ready(())
}

/// The connection of a check and what is still to be written to it.
struct Exchange {
    io: Option<BoxIo>,
    outgoing: Vec<u8>,
    sent: usize,
}

impl Exchange {
    fn poll(
        &mut self,
        worker: &Worker,
        check: &mut Check,
        timer: &mut dyn Timer,
        cx: &mut Context<'_>,
    ) -> Poll<CheckResult> {
        loop {
            if let Some(result) = check.poll_event() {
                // Closed by reset: a check leaves nothing behind that would linger.
                if let Some(io) = &mut self.io {
                    io.reset_on_drop();
                }
                return Poll::Ready(result);
            }
            if let Some(bytes) = check.poll_transmit() {
                self.outgoing.extend_from_slice(&bytes);
            }
            match self.poll_io(worker, check, cx) {
                Ok(Poll::Ready(())) => continue,
                Ok(Poll::Pending) => {}
                Err(error) => {
                    check.handle_error(worker.host.now(), &error);
                    continue;
                }
            }
            ready!(poll_deadline(worker, check, timer, cx));
        }
    }

    /// Writes, then reads once. Ready: something happened.
    fn poll_io(&mut self, worker: &Worker, check: &mut Check, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let Some(io) = &mut self.io else { return Ok(Poll::Pending) };
        while self.sent < self.outgoing.len() {
            match Pin::new(&mut *io).poll_write(cx, &self.outgoing[self.sent..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => self.sent += n,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        let mut space = [0_u8; 4096];
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(io).poll_read(cx, &mut buf) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Ready(Ok(())) => {}
        }
        let now = worker.host.now();
        if buf.filled().is_empty() {
            check.handle_end(now);
        } else {
            check.handle_input(now, buf.filled());
        }
        Ok(Poll::Ready(()))
    }
}

#[cfg(test)]
mod tests;
