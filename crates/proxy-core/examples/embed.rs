//! A reverse proxy inside another program: a configuration in memory, a host made of tokio.
//!
//! ```console
//! $ cargo run -p proxy-core --example embed &
//! $ curl -i http://127.0.0.1:8082/hello
//! ```

#![expect(clippy::disallowed_methods, reason = "the example is the host: the real clock, sockets and tasks")]

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use proxy_core::{
    backend::{event::ServerEvent, pool::Pools, server::Server},
    cfgparse::{Parser, Source},
    channel::BufferPool,
    config::{LogTarget, SourceAddr},
    host::{Addr, BoxIo, BoxTask, ConnectFuture, Host, Io, ServerObserver, Timer},
    log::Level,
    registry::Registry,
    session,
    worker::{Shared, Worker},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

const CONFIG: &str = r#"
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s

frontend web
    bind 127.0.0.1:8082
    http-request return status 200 content-type text/plain lf-string "hello from %[path]\n" if { path_beg /hello }
    default_backend app

backend app
    server one 127.0.0.1:8000
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    tokio::task::LocalSet::new().run_until(serve()).await
}

async fn serve() -> io::Result<()> {
    let outcome = Parser::new(Registry::builtin()).source(Source::new("embed.cfg", CONFIG)).parse();
    for diagnostic in &outcome.diagnostics {
        eprintln!("{}", diagnostic.render(std::process::id()));
    }
    let config = Arc::new(outcome.config.ok_or(io::ErrorKind::InvalidInput)?);
    let shared = Shared {
        config: config.clone(),
        observer: Arc::new(Silent),
        stopping: Default::default(),
        next_stream: Default::default(),
        counters: Default::default(),
        roll_call: Default::default(),
        proc_vars: Default::default(),
    };
    let worker = Rc::new(Worker {
        thread: 0,
        host: Box::new(TokioHost),
        shared: Arc::new(shared),
        buffers: BufferPool::new(config.global.bufsize),
        pools: Pools::default(),
        extension: Rc::new(()),
    });
    let frontend = config.frontends["web"].clone();
    let bind = frontend.binds[0].clone();
    let listener = TcpListener::bind(bind.addr.to_string()).await?;
    println!("listening on {}", bind.addr);
    loop {
        let (stream, peer) = listener.accept().await?;
        let io: BoxIo = Box::new(TokioIo { stream, peer });
        tokio::task::spawn_local(session::serve(worker.clone(), frontend.clone(), bind.clone(), io));
    }
}

/// What the proxy needs, from tokio.
struct TokioHost;

impl Host for TokioHost {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TokioTimer(None))
    }

    fn random(&self) -> u64 {
        self.wall().as_nanos() as u64
    }

    fn connect(&self, to: &Addr, _source: Option<&SourceAddr>) -> ConnectFuture {
        let to = to.clone();
        Box::pin(async move {
            let Addr::Ip(peer) = to else { return Err(io::ErrorKind::Unsupported.into()) };
            let io: BoxIo = Box::new(TokioIo { stream: TcpStream::connect(peer).await?, peer });
            Ok(io)
        })
    }

    fn spawn(&self, _name: &'static str, task: BoxTask) {
        tokio::task::spawn_local(task);
    }

    fn log(&self, _target: &LogTarget, _level: Level, line: &[u8]) {
        eprintln!("{}", String::from_utf8_lossy(line));
    }
}

struct TokioTimer(Option<Pin<Box<tokio::time::Sleep>>>);

impl Timer for TokioTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.0 = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}

struct TokioIo {
    stream: TcpStream,
    peer: SocketAddr,
}

impl AsyncRead for TokioIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TokioIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Io for TokioIo {
    fn peer_addr(&self) -> Option<Addr> {
        Some(Addr::Ip(self.peer))
    }

    fn local_addr(&self) -> Option<Addr> {
        self.stream.local_addr().ok().map(Addr::Ip)
    }

    fn reset_on_drop(&mut self) {}
}

/// Nobody is told of servers here.
struct Silent;

impl ServerObserver for Silent {
    fn on_server_event(&self, _server: &Arc<Server>, _event: &ServerEvent) {}
}
