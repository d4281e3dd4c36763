//! An engine's host in one thread: tokio's paused clock, in-memory pipes, and agents that answer at the other end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use spoe::agent::{Handler, Options, serve_connection};
use spoe::frame::{AgentHello, Capabilities, Disconnect, Flags, Frame, FrameType, Header, header};
use spoe::host::{Clock, Connecting, Host, Notice, Timer};
use spoe::{Engine, EngineConfig, FrameId, Status, StreamId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::Sleep;

/// What an agent does with its end of a connection; given the number of the connection.
pub(crate) type AgentFn = Box<dyn Fn(u32, DuplexStream) -> Option<Pin<Box<dyn Future<Output = ()>>>>>;

/// An engine and what its host saw.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) host: Seen,
}

/// What the host counts.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connects: Rc<Cell<u32>>,
    pub(crate) writes: Rc<Cell<u32>>,
    pub(crate) largest_frame_to_agent: Rc<Cell<usize>>,
    pub(crate) tasks: Rc<Cell<u32>>,
    pub(crate) notices: Rc<RefCell<Vec<Notice>>>,
}

impl World {
    pub(crate) fn run<F: Future<Output = ()>>(
        config: EngineConfig,
        agent: AgentFn,
        test: impl FnOnce(World) -> F,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let seen = Seen::default();
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let host = TestHost { seen: seen.clone(), agent };
            let world = World { engine: Engine::new(config, Box::new(host)), host: seen };
            test(world).await;
        });
    }
}

struct TestHost {
    seen: Seen,
    agent: AgentFn,
}

impl Host for TestHost {
    fn now(&self) -> Instant {
        TestClock.now()
    }

    fn connect(&self) -> Connecting {
        let number = self.seen.connects.get();
        self.seen.connects.set(number + 1);
        let (ours, theirs) = duplex(64 << 10);
        let Some(agent) = (self.agent)(number, theirs) else {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        };
        spawn(agent);
        let watched = Watched { io: ours, seen: self.seen.clone(), pending: RefCell::default() };
        Box::pin(async move { Ok(Box::new(watched) as Box<_>) })
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        let tasks = Rc::clone(&self.seen.tasks);
        tasks.set(tasks.get() + 1);
        spawn(Box::pin(async move {
            task.await;
            tasks.set(tasks.get() - 1);
        }));
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TestClock.timer())
    }

    fn random(&self) -> u128 {
        42
    }

    fn notice(&self, notice: Notice) {
        self.seen.notices.borrow_mut().push(notice);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is its own host")]
pub(crate) fn spawn<T: 'static>(task: impl Future<Output = T> + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_local(task)
}

/// Lets paused time pass.
#[expect(clippy::disallowed_methods, reason = "a test is its own host")]
pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Tokio's clock, paused.
#[derive(Clone, Copy)]
pub(crate) struct TestClock;

impl Clock for TestClock {
    type Timer = TestTimer;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn timer(&self) -> TestTimer {
        TestTimer(None)
    }
}

pub(crate) struct TestTimer(Option<Pin<Box<Sleep>>>);

impl Timer for TestTimer {
    fn reset(&mut self, at: Instant) {
        self.0 = Some(Box::pin(tokio::time::sleep_until(at.into())));
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

/// Counts writes and measures the frames in them.
struct Watched {
    io: DuplexStream,
    seen: Seen,
    pending: RefCell<Vec<u8>>,
}

impl Watched {
    fn watch(&self, bytes: &[u8]) {
        self.seen.writes.set(self.seen.writes.get() + 1);
        let mut pending = self.pending.borrow_mut();
        pending.extend_from_slice(bytes);
        while let Some((_, used)) = Frame::split(&pending, u32::MAX).unwrap() {
            let largest = self.seen.largest_frame_to_agent.get().max(used - header::LENGTH_BYTES);
            self.seen.largest_frame_to_agent.set(largest);
            pending.drain(..used);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = written {
            self.watch(&buf[..n]);
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

/// Our own agent at the other end of every connection.
pub(crate) fn agent<H: Handler + Clone + 'static>(handler: H) -> AgentFn {
    Box::new(move |_, io| Some(serve(handler.clone(), io)))
}

/// Our own agent with other than the usual options.
pub(crate) fn agent_with<H: Handler + Clone + 'static>(options: Options, handler: H) -> AgentFn {
    Box::new(move |_, io| {
        let (handler, options) = (handler.clone(), options.clone());
        Some(Box::pin(async move {
            let _ = serve_connection(io, &handler, &TestClock, options, std::future::pending()).await;
        }))
    })
}

/// Our own agent, which counts the requests of each connection.
pub(crate) fn counting_agent<H: Handler + Clone + Sync + 'static>(
    handler: H,
    served: Rc<RefCell<Vec<u32>>>,
) -> AgentFn {
    Box::new(move |number, io| {
        served.borrow_mut().push(0);
        let counted = (handler.clone(), Rc::clone(&served));
        let (mut near, inner) = duplex(64 << 10);
        // Frames pass one by one between the engine's pipe and the agent's.
        let (handler, served) = counted;
        Some(Box::pin(async move {
            drop(spawn(serve(handler, inner)));
            let (mut from_engine, mut to_engine) = tokio::io::split(io);
            let (mut from_agent, mut to_agent) = tokio::io::split(&mut near);
            let forward = async {
                while let Some((header, payload)) = read_frame(&mut from_engine).await {
                    if header.kind == FrameType::Notify {
                        served.borrow_mut()[number as usize] += 1;
                    }
                    let mut out = Vec::new();
                    Frame { header, payload: &payload }.encode(&mut out);
                    to_agent.write_all(&out).await.unwrap();
                }
            };
            tokio::select! {
                () = forward => {}
                _ = tokio::io::copy(&mut from_agent, &mut to_engine) => {}
            }
        }))
    })
}

/// What becomes of what the first connection's agent says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It arrives in pieces of so many bytes.
    Pieces(usize),
    /// After so many bytes the connection closes.
    CloseAfter(usize),
    /// After so many bytes nothing more comes.
    StallAfter(usize),
    /// The byte at this place arrives inverted.
    Corrupt(usize),
}

/// Our own agent, the first connection of which is at fault. Counts what its agent said there.
pub(crate) fn faulty_once<H: Handler + Clone + 'static>(
    handler: H,
    fault: Fault,
    said: Rc<Cell<usize>>,
) -> AgentFn {
    Box::new(move |number, mut io| {
        if number > 0 {
            return Some(serve(handler.clone(), io));
        }
        let (handler, said) = (handler.clone(), Rc::clone(&said));
        let (mut near, inner) = duplex(64 << 10);
        Some(Box::pin(async move {
            drop(spawn(serve(handler, inner)));
            let (mut from_engine, mut to_engine) = tokio::io::split(&mut io);
            let (mut from_agent, mut to_agent) = tokio::io::split(&mut near);
            let spoil = async {
                let mut byte = [0];
                while from_agent.read_exact(&mut byte).await.is_ok() {
                    let at = said.get();
                    said.set(at + 1);
                    match fault {
                        Fault::CloseAfter(n) if at >= n => return,
                        Fault::StallAfter(n) if at >= n => std::future::pending().await,
                        Fault::Corrupt(n) if at == n => byte[0] = !byte[0],
                        Fault::Pieces(n) if at % n == 0 => sleep(Duration::from_micros(1)).await,
                        _ => {}
                    }
                    if to_engine.write_all(&byte).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = spoil => {}
                _ = tokio::io::copy(&mut from_engine, &mut to_agent) => {}
            }
        }))
    })
}

fn serve<H: Handler + 'static>(handler: H, io: DuplexStream) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let _ = serve_connection(io, &handler, &TestClock, Options::default(), std::future::pending()).await;
    })
}

/// What a scripted agent does.
#[derive(Clone, Debug)]
pub(crate) enum Scripted {
    /// Says this once it got the greeting, then listens for ever.
    Say(Vec<u8>),
    /// Closes once it got the greeting.
    Close,
    /// Listens for ever.
    Silence,
    /// Is not there.
    Refuse,
    /// Greets well, and says this once it got a NOTIFY; closes if that is nothing.
    HelloThen(Vec<u8>),
    /// Greets well and listens for ever.
    HelloThenSilence,
}

/// The script on the first connection, our own agent on all others.
pub(crate) fn scripted_once<H: Handler + Clone + 'static>(script: Scripted, handler: H) -> AgentFn {
    Box::new(move |number, io| match number {
        0 => play(script.clone(), io),
        _ => Some(serve(handler.clone(), io)),
    })
}

/// The script on every connection.
pub(crate) fn scripted_always(script: Scripted) -> AgentFn {
    Box::new(move |_, io| play(script.clone(), io))
}

fn play(script: Scripted, mut io: DuplexStream) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
    if matches!(script, Scripted::Refuse) {
        return None;
    }
    Some(Box::pin(async move {
        let hello = read_frame(&mut io).await;
        assert_eq!(hello.unwrap().0.kind, FrameType::HaproxyHello);
        let good = agent_hello("2.0", Some(16_380), "pipelining");
        match script {
            Scripted::Say(bytes) => io.write_all(&bytes).await.unwrap(),
            Scripted::Close => return,
            Scripted::HelloThen(bytes) => {
                io.write_all(&good).await.unwrap();
                read_frame(&mut io).await.unwrap();
                if bytes.is_empty() {
                    return;
                }
                io.write_all(&bytes).await.unwrap();
            }
            Scripted::HelloThenSilence => io.write_all(&good).await.unwrap(),
            Scripted::Silence | Scripted::Refuse => {}
        }
        while read_frame(&mut io).await.is_some() {}
    }))
}

/// Two connections of an agent that answers each exchange on the other connection.
pub(crate) fn crossed_agents() -> AgentFn {
    let (to_first, from_second) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let (to_second, from_first) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let ends = RefCell::new(vec![(to_second, from_second), (to_first, from_first)]);
    Box::new(move |_, io| {
        let (other, mut own) = ends.borrow_mut().remove(0);
        Some(Box::pin(async move {
            let (mut read, mut write) = tokio::io::split(io);
            read_frame(&mut read).await.unwrap();
            write.write_all(&agent_hello("2.0", Some(16_380), "pipelining,async")).await.unwrap();
            loop {
                tokio::select! {
                    frame = read_frame(&mut read) => {
                        let Some((header, _)) = frame else { return };
                        let ack = Header { kind: FrameType::Ack, ..header };
                        let mut out = Vec::new();
                        Frame { header: ack, payload: &[] }.encode(&mut out);
                        let _ = other.send(out);
                    }
                    Some(ack) = own.recv() => write.write_all(&ack).await.unwrap(),
                }
            }
        }))
    })
}

/// An agent that takes fragments, reads nothing for a while after the greeting, then notes each frame with its stream and
/// answers what is whole and not aborted.
pub(crate) fn late_reader(delay: Duration, seen: Rc<RefCell<Vec<(FrameType, Flags, u64)>>>) -> AgentFn {
    Box::new(move |_, mut io| {
        let seen = Rc::clone(&seen);
        Some(Box::pin(async move {
            read_frame(&mut io).await.unwrap();
            io.write_all(&agent_hello("2.0", Some(16_380), "pipelining,fragmentation")).await.unwrap();
            sleep(delay).await;
            while let Some((header, _)) = read_frame(&mut io).await {
                seen.borrow_mut().push((header.kind, header.flags, header.stream.0));
                if header.flags == Flags::FIN && header.kind != FrameType::HaproxyDisconnect {
                    let _ = io.write_all(&ack(header.stream.0, header.frame.0)).await;
                }
            }
        }))
    })
}

/// The next frame, or `None` at the end.
pub(crate) async fn read_frame<T: AsyncRead + Unpin>(io: &mut T) -> Option<(Header, Vec<u8>)> {
    let mut bytes = vec![0; header::LENGTH_BYTES];
    io.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes(bytes[..].try_into().unwrap()) as usize;
    bytes.resize(header::LENGTH_BYTES + length, 0);
    io.read_exact(&mut bytes[header::LENGTH_BYTES..]).await.ok()?;
    let (frame, _) = Frame::split(&bytes, u32::MAX).unwrap().unwrap();
    Some((frame.header, frame.payload.to_vec()))
}

/// An AGENT-HELLO with a version that need not be one.
pub(crate) fn agent_hello(version: &str, max_frame_size: Option<u32>, capabilities: &str) -> Vec<u8> {
    let mut good = Vec::new();
    let capabilities = Capabilities::from_list(capabilities.as_bytes());
    AgentHello { version: spoe::frame::Version::V2_0, max_frame_size, capabilities }.encode(&mut good);
    let mut out = good;
    let at = out.windows(3).position(|w| w == b"2.0").unwrap();
    assert_eq!(version.len(), 3);
    out[at..at + 3].copy_from_slice(version.as_bytes());
    out
}

/// An AGENT-DISCONNECT.
pub(crate) fn disconnect(code: u32) -> Vec<u8> {
    let mut out = Vec::new();
    Disconnect::new(Status(code)).encode(FrameType::AgentDisconnect, &mut out);
    out
}

/// An empty ACK.
pub(crate) fn ack(stream: u64, frame: u64) -> Vec<u8> {
    frame_of(FrameType::Ack, Flags::FIN, stream, frame)
}

/// An ACK that announces fragments.
pub(crate) fn unfinished_ack() -> Vec<u8> {
    frame_of(FrameType::Ack, Flags::NONE, 0, 1)
}

fn frame_of(kind: FrameType, flags: Flags, stream: u64, frame: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Frame { header: Header::of(kind, flags, StreamId(stream), FrameId(frame)), payload: &[] }
        .encode(&mut out);
    out
}
