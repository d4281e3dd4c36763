//! The demonstration's origin servers: small HTTP/1.1 servers, one of which fails every few seconds.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The longest request head that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One origin.
pub(super) struct Origin {
    name: &'static str,
    healthy: AtomicBool,
    served: AtomicU64,
}

impl Origin {
    /// Listens on a free port and serves until the runtime ends.
    ///
    /// # Errors
    /// No port is free.
    pub(super) async fn start(name: &'static str) -> io::Result<(Arc<Self>, SocketAddr)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let origin = Arc::new(Self { name, healthy: AtomicBool::new(true), served: AtomicU64::new(0) });
        super::spawn(origin.clone().listen(listener));
        Ok((origin, addr))
    }

    /// Fails for `down`, recovers for `up`, over and over.
    pub(super) async fn flap(self: Arc<Self>, up: Duration, down: Duration) {
        loop {
            super::pause(up).await;
            self.healthy.store(false, Ordering::Relaxed);
            super::pause(down).await;
            self.healthy.store(true, Ordering::Relaxed);
        }
    }

    async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let origin = self.clone();
                super::spawn(async move {
                    // A client that leaves in the middle is no news here.
                    let _ = origin.serve(stream).await;
                });
            }
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut pending = Vec::new();
        while let Some(head) = read_head(&mut stream, &mut pending).await? {
            let line = head.split("\r\n").next().unwrap_or_default();
            let path = line.split(' ').nth(1).unwrap_or("/");
            stream.write_all(self.answer(path, &head).as_bytes()).await?;
        }
        Ok(())
    }

    fn answer(&self, path: &str, head: &str) -> String {
        let healthy = self.healthy.load(Ordering::Relaxed);
        let (status, body) = match (path, healthy) {
            (_, false) => ("503 Service Unavailable", "out of order\n".to_owned()),
            ("/health", true) => ("200 OK", "fine\n".to_owned()),
            (_, true) => {
                let number = self.served.fetch_add(1, Ordering::Relaxed) + 1;
                let greeting = header(head, "x-greeting").unwrap_or("nobody greeted me");
                ("200 OK", format!("origin {}, request {number} for {path}; {greeting}\n", self.name))
            }
        };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nx-origin: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.name,
            body.len()
        )
    }
}

/// The value of a header, by its lower-case name.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

async fn read_head(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = pending.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = pending.split_off(end + 4);
            let head = std::mem::replace(pending, rest);
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        if pending.len() > HEAD_BYTES_MAX || stream.read_buf(pending).await? == 0 {
            return Ok(None);
        }
    }
}
