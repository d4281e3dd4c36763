//! An agent built with our own library, for proxies that are not ours.
//!
//! It gives the answers of the small agent beside it ([`agent`](super::agent)): `first` and `count`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use spoe::Scope;
use spoe::agent::{Listener, Options, Reply, Request, listen};
use tokio::sync::oneshot;

/// The running agent. Dropping it stops it gracefully.
pub(crate) struct Spoa {
    addr: Option<SocketAddr>,
    asked: Arc<AtomicU32>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Spoa {
    /// Starts it on a thread of its own.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let mut spoa = Self::serve(move || tokio::net::TcpListener::from_std(listener))?;
        spoa.addr = Some(addr);
        Ok(spoa)
    }

    /// The same on a unix socket.
    pub(crate) fn start_at(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Self::serve(move || tokio::net::UnixListener::from_std(listener))
    }

    fn serve<L: Listener + 'static>(
        listener: impl FnOnce() -> io::Result<L> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let serving = thread::spawn(move || {
            runtime.block_on(async {
                let listener = listener().expect("a listener that does not block");
                let answer = move |request: Request| {
                    let reply = answer(&request, count.fetch_add(1, Ordering::SeqCst) + 1);
                    async { reply }
                };
                listen(listener, answer, Options::default(), async { drop(stopped.await) }).await;
            });
        });
        Ok(Self { addr: None, asked, stop: Some(stop), serving: Some(serving) })
    }

    /// Where it listens, if that is an address.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr.expect("an agent with an address")
    }

    /// How many questions it was asked.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(request: &Request, count: u32) -> Reply {
    let reply = Reply::new().set(Scope::Transaction, "count", count);
    let first = request.messages().next().and_then(|message| message.args().next());
    match first {
        Some(argument) => reply.set(Scope::Transaction, "first", argument.value),
        None => reply,
    }
}

impl Drop for Spoa {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            serving.join().ok();
        }
    }
}
