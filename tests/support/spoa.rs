//! An agent built with our own library, for proxies that are not ours.
//!
//! It gives the answers of the small agent beside it ([`agent`](super::agent)): `first` and `count`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use spoe::Scope;
use spoe::agent::{Options, Reply, Request, listen};
use tokio::sync::oneshot;

/// The running agent. Dropping it stops it gracefully.
pub(crate) struct Spoa {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Spoa {
    /// Starts it on a thread of its own.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = thread::spawn(move || {
            runtime.block_on(async {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("a listener that does not block");
                let count = Arc::new(AtomicU32::new(0));
                let answer = move |request: Request| {
                    let reply = answer(&request, count.fetch_add(1, Ordering::SeqCst) + 1);
                    async { reply }
                };
                listen(listener, answer, Options::default(), async { drop(stopped.await) }).await;
            });
        });
        Ok(Self { addr, stop: Some(stop), serving: Some(serving) })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
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
