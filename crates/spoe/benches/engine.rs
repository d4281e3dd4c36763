//! What an exchange costs the engine's thread: 32 callers, each asking again as soon as it is answered.
//!
//! The agent is our own, in the same thread over a unix socket pair, so the wall time per exchange is engine and agent and
//! system calls together; `engine alone` feeds ACKs by hand and counts nothing but the engine's state machine and pool.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use spoe::agent::{Options, Reply, Request, TokioClock, serve_connection};
use spoe::frame::{AckWriter, AgentHello, Capabilities, Frame, FrameType, Header, Version, header};
use spoe::host::{Clock, Connecting, Host, Timer};
use spoe::{Engine, EngineConfig, NotifyWriter, Scope, StreamId, TypedData};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

fn main() {
    // For counting instructions under valgrind: only what is ours, and briefly.
    if let Some(rounds) = std::env::var("SPOE_ROUNDS").ok().and_then(|n| n.parse().ok()) {
        return alone(rounds);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        for _ in 0..3 {
            over_sockets().await;
        }
    });
    for _ in 0..3 {
        alone(ROUNDS / 20);
    }
}

const ROUNDS: u64 = 500_000;
const CALLERS: u64 = 32;

fn encode(w: &mut NotifyWriter<'_>) {
    w.message("m")
        .arg("src", TypedData::Ipv4([192, 0, 2, 1].into()))
        .arg("path", "/some/path?of=usual&length=1".into())
        .arg("ua", "curl/8.0 (a browser of some kind)".into());
}

fn config() -> EngineConfig {
    EngineConfig { processing_timeout: Some(Duration::from_secs(1)), ..EngineConfig::default() }
}

async fn over_sockets() {
    let engine = Rc::new(Engine::new(config(), Box::new(TokioHost)));
    let start = TokioClock.now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            let engine = Rc::clone(&engine);
            spawn_local(async move {
                for _ in 0..ROUNDS / CALLERS {
                    let actions = engine.exchange(StreamId(n), &mut encode).await.unwrap();
                    assert_eq!(actions.iter().count(), 1);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let each = TokioClock.now().duration_since(start).as_secs_f64() * 1e9 / ROUNDS as f64;
    println!("{each:8.1} ns  an exchange, engine and agent in one thread, 32 callers");
}

async fn answer(_: Request) -> Reply {
    Reply::new().set(Scope::Transaction, "score", 42i64)
}

struct TokioHost;

impl Host for TokioHost {
    fn now(&self) -> Instant {
        TokioClock.now()
    }

    fn connect(&self) -> Connecting {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(spawn_local(async move {
            let stop = std::future::pending();
            let _ = serve_connection(theirs, &answer, &TokioClock, Options::default(), stop).await;
        }));
        Box::pin(async move { Ok(Box::new(ours) as Box<_>) })
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        drop(spawn_local(task));
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TokioClock.timer())
    }

    fn random(&self) -> u128 {
        1
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench is its own host")]
fn spawn_local<F: Future<Output = ()> + 'static>(task: F) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_local(task)
}

/// The engine with a socket of memory and an executor of two lines: what is left is ours.
fn alone(rounds: u64) {
    let wire = Rc::new(Wire::default());
    let host = BareHost { wire: Rc::clone(&wire), tasks: Rc::default(), now: TokioClock.now() };
    let tasks = Rc::clone(&host.tasks);
    let engine = Engine::new(config(), Box::new(host));
    let waker = Waker::noop();
    let mut cx = Context::from_waker(waker);
    let mut run = || {
        let mut running = std::mem::take(&mut *tasks.borrow_mut());
        running.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
        running.append(&mut tasks.borrow_mut());
        *tasks.borrow_mut() = running;
    };
    // Connect and greet.
    let mut first = Box::pin(engine.exchange(StreamId(0), &mut encode));
    for _ in 0..4 {
        run();
        wire.answer();
    }
    run();
    assert!(first.as_mut().poll(&mut Context::from_waker(waker)).is_ready());
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        let start = TokioClock.now();
        let mut exchanges: [_; 20] =
            std::array::from_fn(|n| engine.exchange(StreamId(n as u64), &mut encode));
        for exchange in &mut exchanges {
            assert!(Pin::new(exchange).poll(&mut Context::from_waker(waker)).is_pending());
        }
        run();
        spent += TokioClock.now().duration_since(start);
        wire.answer();
        let start = TokioClock.now();
        run();
        for exchange in &mut exchanges {
            let Poll::Ready(Ok(actions)) = Pin::new(exchange).poll(&mut Context::from_waker(waker)) else {
                panic!("no answer")
            };
            assert_eq!(actions.iter().count(), 1);
        }
        spent += TokioClock.now().duration_since(start);
    }
    println!("{:8.1} ns  an exchange, engine alone", spent.as_secs_f64() * 1e9 / (rounds * 20) as f64);
}

#[derive(Default)]
struct Wire {
    to_agent: RefCell<Vec<u8>>,
    to_engine: RefCell<Vec<u8>>,
    greeted: Cell<bool>,
}

impl Wire {
    /// Answers whatever was written.
    fn answer(&self) {
        let mut from = self.to_agent.borrow_mut();
        let mut to = self.to_engine.borrow_mut();
        let mut rest = &from[..];
        while let Some((frame, used)) = Frame::split(rest, 16_380).unwrap() {
            rest = &rest[used..];
            if self.greeted.replace(true) {
                let start = header::begin(Header { kind: FrameType::Ack, ..frame.header }, &mut to);
                AckWriter::new(&mut to).set_var(Scope::Transaction, "score", 42i64.into());
                header::end(start, &mut to);
            } else {
                let capabilities = Capabilities::PIPELINING;
                AgentHello { version: Version::V2_0, max_frame_size: Some(16_380), capabilities }
                    .encode(&mut to);
            }
        }
        from.clear();
    }
}

struct WireEnd(Rc<Wire>);

impl AsyncRead for WireEnd {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut bytes = self.0.to_engine.borrow_mut();
        if bytes.is_empty() {
            return Poll::Pending;
        }
        let n = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..n]);
        bytes.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WireEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.to_agent.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type Tasks = Rc<RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>>;

struct BareHost {
    wire: Rc<Wire>,
    tasks: Tasks,
    now: Instant,
}

impl Host for BareHost {
    fn now(&self) -> Instant {
        self.now
    }

    fn connect(&self) -> Connecting {
        let end = WireEnd(Rc::clone(&self.wire));
        Box::pin(async move { Ok(Box::new(end) as Box<_>) })
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        self.tasks.borrow_mut().push(task);
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(NoTimer)
    }

    fn random(&self) -> u128 {
        1
    }
}

struct NoTimer;

impl Timer for NoTimer {
    fn reset(&mut self, _: Instant) {}

    fn poll_elapsed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
