//! The SPOE engine's host: a worker's time and tasks, and connections to a backend's servers.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

use proxy_core::{
    backend::{
        assign::{Assign, Slot},
        counters::{Traffic, bump},
    },
    config::Proxy,
    host::BoxIo,
    worker::Worker,
};
use spoe::{
    Status,
    host::{Connecting, Host, Io, Notice, Timer},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The host of one engine on one worker.
pub struct EngineHost {
    // Weak: the worker owns the engine.
    worker: Weak<Worker>,
    backend: Arc<Proxy>,
    agent: String,
}

impl EngineHost {
    /// A host that connects to the servers of `backend` in turn.
    #[must_use]
    pub fn new(worker: &Rc<Worker>, backend: Arc<Proxy>, agent: String) -> Self {
        Self { worker: Rc::downgrade(worker), backend, agent }
    }

    fn worker(&self) -> Rc<Worker> {
        self.worker.upgrade().expect("an engine does not outlive its worker")
    }
}

impl Host for EngineHost {
    fn now(&self) -> Instant {
        self.worker().host.now()
    }

    fn connect(&self) -> Connecting {
        let (worker, backend) = (self.worker(), self.backend.clone());
        Box::pin(async move {
            let mut assign = Assign::new(&backend);
            let slot = poll_fn(|cx| assign.poll_outside(worker.host.now(), cx)).await;
            let slot = slot.map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error))?;
            let server = slot.server();
            let connecting = worker.host.connect(&server.addr(), server.config.source.as_ref());
            match connecting.await {
                Ok(io) => {
                    slot.connected();
                    let io: Box<dyn Io> = Box::new(AgentIo { io, slot });
                    Ok(io)
                }
                Err(error) => {
                    slot.connect_failed();
                    Err(error)
                }
            }
        })
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        self.worker().host.spawn("spoe", task);
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(EngineTimer(self.worker().host.timer()))
    }

    fn random(&self) -> u128 {
        let worker = self.worker();
        (u128::from(worker.host.random()) << 64) | u128::from(worker.host.random())
    }

    fn notice(&self, notice: Notice) {
        let text = match notice {
            Notice::GreetingFailed(status) => format!("SPOE: [{}] greeting failed: {status}", self.agent),
            Notice::Disconnected(status) if status != Status::NORMAL => {
                format!("SPOE: [{}] connection ended: {status}", self.agent)
            }
            _ => return,
        };
        // What an agent says wrongly is what a server's unreadable response is.
        bump(&self.backend.state.be.response_errors);
        let worker = self.worker();
        let level = proxy_core::log::Level::Warning;
        proxy_core::log::send(&worker, &self.backend.logs, level, text.as_bytes());
    }
}

struct EngineTimer(Box<dyn proxy_core::host::Timer>);

impl Timer for EngineTimer {
    fn reset(&mut self, at: Instant) {
        self.0.set(Some(at));
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_expired(cx)
    }
}

/// A connection to an agent with its place on the server, where its bytes are counted.
struct AgentIo {
    io: BoxIo,
    slot: Slot,
}

impl AgentIo {
    fn count(&self, of: fn(&Traffic) -> &AtomicU64, bytes: usize) {
        for traffic in [&self.slot.server().traffic, &self.slot.proxy().state.be] {
            of(traffic).fetch_add(bytes as u64, Relaxed);
        }
    }
}

impl AsyncRead for AgentIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.count(|traffic| &traffic.bytes_out, bytes);
        }
        read
    }
}

impl AsyncWrite for AgentIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = written {
            self.count(|traffic| &traffic.bytes_in, bytes);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
