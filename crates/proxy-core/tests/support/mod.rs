//! A small world for the proxy: virtual time, in-memory connections, hand-built configurations.
//!
//! Everything runs on one paused tokio clock: time moves only while all tasks wait.

#![allow(unreachable_pub, reason = "tests have no crate root to be public from")]
#![allow(dead_code, reason = "each test file uses its part of the support")]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use proxy_core::{
    backend::{
        lb::Balance,
        pool::Pools,
        proxy::ProxyState,
        server::{ProxyIdentity, Server, ServerEvent},
    },
    channel::BufferPool,
    check::CheckSpec,
    config::{
        Bind, Capabilities, Config, LogTarget, Mode, Options, Place, Proxy, RuleSets, ServerConfig,
        SourceAddr, Timeouts,
    },
    host::{Addr, BoxIo, BoxTask, ConnectFuture, Host, Io, ServerObserver, Timer},
    log::{Level, ProcessCounters},
    session,
    worker::{Shared, Worker},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::mpsc,
    task::LocalSet,
};

/// Runs a scenario on one thread with a paused clock.
pub fn scenario<F: Future<Output = ()>>(run: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be built");
    let local = LocalSet::new();
    runtime.block_on(local.run_until(run()));
}

/// What a test says about its proxy: one listen section.
pub struct Setup {
    pub mode: Mode,
    pub options: Options,
    pub timeouts: Timeouts,
    pub rules: RuleSets,
    pub filters: Vec<Arc<dyn proxy_core::filter::FilterMaker>>,
    pub servers: Vec<ServerConfig>,
    pub retries: u32,
    pub redispatch: i32,
}

impl Default for Setup {
    fn default() -> Self {
        let seconds = |n| Some(Duration::from_secs(n));
        Self {
            mode: Mode::Http,
            options: Options::default(),
            timeouts: Timeouts {
                client: seconds(30),
                server: seconds(20),
                connect: seconds(5),
                ..Timeouts::default()
            },
            rules: RuleSets::default(),
            filters: Vec::new(),
            servers: vec![server("s1", 1)],
            retries: 3,
            redispatch: 0,
        }
    }
}

/// A server line; its address is `10.0.0.<n>:80`.
pub fn server(name: &str, n: u8) -> ServerConfig {
    ServerConfig::new(name, Addr::Ip(SocketAddr::from(([10, 0, 0, n], 80))))
}

/// A worker with one proxy, and the network around it.
pub struct World {
    pub worker: Rc<Worker>,
    pub proxy: Arc<Proxy>,
    bind: Arc<Bind>,
    net: Net,
}

/// Servers by address.
#[derive(Clone, Default)]
pub struct Net(Rc<RefCell<BTreeMap<String, mpsc::UnboundedSender<DuplexStream>>>>);

impl World {
    pub fn new(setup: Setup) -> Self {
        let net = Net::default();
        let servers: Vec<Arc<Server>> = (1..)
            .zip(setup.servers)
            .map(|(puid, config)| {
                let proxy = ProxyIdentity { name: "p".into(), uuid: 2, id: 0 };
                Arc::new(Server::new(config, proxy, puid, 0))
            })
            .collect();
        let bind = Arc::new(Bind {
            addr: addr(1, 8080),
            written: "10.0.0.1:8080".into(),
            name: None,
            id: 1,
            place: Place::default(),
            unix_mode: None,
            maxconn: 0,
            backlog: 0,
            nice: 0,
            v6only: false,
            interface: None,
            ssl: false,
            crts: Vec::new(),
            alpn: Vec::new(),
            tls: Default::default(),
        });
        let proxy = Arc::new(Proxy {
            id: 0,
            uuid: 2,
            name: "p".to_owned(),
            place: Place::default(),
            capabilities: Capabilities { frontend: true, backend: true },
            mode: setup.mode,
            binds: vec![bind.clone()],
            servers: servers.clone(),
            balance: Balance::RoundRobin,
            default_backend: OnceLock::new(),
            use_backend: OnceLock::new(),
            timeouts: setup.timeouts,
            retries: setup.retries,
            redispatch: setup.redispatch,
            maxconn: 0,
            fullconn: 0,
            options: setup.options,
            check: CheckSpec::default(),
            rules: setup.rules,
            tcp_request_inspect_delay: None,
            tcp_response_inspect_delay: None,
            filters: setup.filters,
            logs: Vec::new(),
            log_format: None,
            pages: Default::default(),
            monitor: None,
            disabled: false,
            state: ProxyState::default(),
        });
        let mut config = Config { proxies: vec![proxy.clone()], servers, ..Config::default() };
        config.frontends.insert("p".to_owned(), proxy.clone());
        config.backends.insert("p".to_owned(), proxy.clone());
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            observer: Arc::new(Deaf),
            stopping: AtomicBool::new(false),
            next_stream: AtomicU64::new(0),
            counters: ProcessCounters::default(),
            roll_call: Default::default(),
            proc_vars: parking_lot::RwLock::default(),
        });
        let worker = Rc::new(Worker {
            thread: 0,
            host: Box::new(TestHost { net: net.clone() }),
            shared,
            buffers: BufferPool::default(),
            pools: Pools::default(),
            extension: Rc::new(()),
        });
        Self { worker, proxy, bind, net }
    }

    /// A client's connection, being served.
    pub fn connect(&self) -> Peer {
        self.connect_with(64 * 1024)
    }

    /// The same with so many bytes of room on the way in each direction.
    pub fn connect_with(&self, room: usize) -> Peer {
        let (ours, theirs) = tokio::io::duplex(room);
        let io = Box::new(TestIo { io: theirs, peer: addr(99, 4000), local: addr(1, 8080) });
        let served = session::serve(self.worker.clone(), self.proxy.clone(), self.bind.clone(), io);
        let task = tokio::task::spawn_local(served);
        Peer { io: ours, task: Some(task) }
    }

    /// The connections that are made to server `n` from now on.
    pub fn listen(&self, n: u8) -> mpsc::UnboundedReceiver<DuplexStream> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.net.0.borrow_mut().insert(addr(n, 80).to_string(), sender);
        receiver
    }

    /// A server that answers every request by itself.
    pub fn origin<F>(&self, n: u8, answer: F) -> Rc<RefCell<Vec<String>>>
    where
        F: Fn(&str) -> Answer + Clone + 'static,
    {
        let mut incoming = self.listen(n);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = seen.clone();
        tokio::task::spawn_local(async move {
            while let Some(io) = incoming.recv().await {
                let (answer, log) = (answer.clone(), log.clone());
                tokio::task::spawn_local(
                    async move { serve_origin(Peer { io, task: None }, answer, log).await },
                );
            }
        });
        seen
    }
}

/// What an origin does with a request.
pub struct Answer {
    /// Written as it is.
    pub bytes: Vec<u8>,
    /// Close afterwards.
    pub close: bool,
}

impl Answer {
    pub fn keep(bytes: &str) -> Self {
        Self { bytes: bytes.as_bytes().to_vec(), close: false }
    }
    pub fn close(bytes: &str) -> Self {
        Self { bytes: bytes.as_bytes().to_vec(), close: true }
    }
}

/// Reads heads (and bodies with a length), answers each.
async fn serve_origin(mut peer: Peer, answer: impl Fn(&str) -> Answer, log: Rc<RefCell<Vec<String>>>) {
    let mut pending = Vec::new();
    loop {
        let Some(end) = find(&pending, b"\r\n\r\n") else {
            let mut chunk = [0; 4096];
            match peer.io.read(&mut chunk).await {
                Ok(n) if n > 0 => pending.extend_from_slice(&chunk[..n]),
                _ => return,
            }
            continue;
        };
        let head = String::from_utf8_lossy(&pending[..end + 4]).into_owned();
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .unwrap_or(0);
        while pending.len() < end + 4 + length {
            let mut chunk = [0; 4096];
            match peer.io.read(&mut chunk).await {
                Ok(n) if n > 0 => pending.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        let request = String::from_utf8_lossy(&pending[..end + 4 + length]).into_owned();
        pending.drain(..end + 4 + length);
        let reply = answer(&request);
        log.borrow_mut().push(request);
        if peer.io.write_all(&reply.bytes).await.is_err() || reply.close {
            return;
        }
    }
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A test's end of a connection.
pub struct Peer {
    pub io: DuplexStream,
    pub task: Option<tokio::task::JoinHandle<()>>,
}

impl Peer {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.expect("the proxy reads");
    }

    /// Reads until this text has come; everything up to its end.
    pub async fn until(&mut self, text: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(text.as_bytes()) {
            match self.io.read_u8().await {
                Ok(byte) => got.push(byte),
                Err(_) => panic!("closed after {:?}, wanted {text:?}", String::from_utf8_lossy(&got)),
            }
        }
        String::from_utf8_lossy(&got).into_owned()
    }

    /// Reads to the end.
    pub async fn rest(&mut self) -> String {
        let mut got = Vec::new();
        // A reset counts as an end.
        let _ = self.io.read_to_end(&mut got).await;
        String::from_utf8_lossy(&got).into_owned()
    }

    /// Closes our sending side and reads to the end.
    pub async fn finish(mut self) -> String {
        self.io.shutdown().await.expect("a duplex can be shut");
        self.rest().await
    }

    /// Waits until the proxy has ended its task.
    pub async fn served(&mut self) {
        if let Some(task) = self.task.take() {
            task.await.expect("serving does not panic");
        }
    }
}

pub fn addr(n: u8, port: u16) -> Addr {
    Addr::Ip(SocketAddr::from(([10, 0, 0, n], port)))
}

struct Deaf;

impl ServerObserver for Deaf {
    fn on_server_event(&self, _: &Arc<Server>, _: &ServerEvent) {}
}

struct TestHost {
    net: Net,
}

impl Host for TestHost {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
    fn wall(&self) -> Duration {
        Duration::from_secs(1_700_000_000)
    }
    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TestTimer { sleep: None })
    }
    fn random(&self) -> u64 {
        4
    }
    fn connect(&self, to: &Addr, _: Option<&SourceAddr>) -> ConnectFuture {
        let (net, to) = (self.net.clone(), to.clone());
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let sender = net.0.borrow().get(&to.to_string()).cloned();
            let sender = sender.ok_or(io::ErrorKind::ConnectionRefused)?;
            sender.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(TestIo { io: ours, peer: to, local: addr(1, 5000) }) as BoxIo)
        })
    }
    fn spawn(&self, _: &'static str, task: BoxTask) {
        tokio::task::spawn_local(task);
    }
    fn log(&self, _: &LogTarget, _: Level, _: &[u8]) {}
}

struct TestTimer {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Timer for TestTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.sleep = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
    }
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

struct TestIo {
    io: DuplexStream,
    peer: Addr,
    local: Addr,
}

impl Io for TestIo {
    fn peer_addr(&self) -> Option<Addr> {
        Some(self.peer.clone())
    }
    fn local_addr(&self) -> Option<Addr> {
        Some(self.local.clone())
    }
    fn reset_on_drop(&mut self) {}
}

impl AsyncRead for TestIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for TestIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
