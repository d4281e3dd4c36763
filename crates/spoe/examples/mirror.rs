//! An agent that repeats requests, bodies included, to a second server: to try a new version on real traffic.
//!
//! ```text
//! cargo run --example mirror --features tokio-net -- 127.0.0.1:12347 127.0.0.1:8081
//! ```
//!
//! Bodies above the frame size come in fragments and are put together, up to 8 MiB; larger ones are refused on the way, and the
//! request is not mirrored. The proxy is answered before the copy is sent, so that it never waits for the second server; with
//! a hundred copies under way the next requests are not mirrored. `examples/README.md` shows the HAProxy configuration.

use std::sync::Arc;
use std::time::Duration;

use spoe::agent::{Options, Reply, Request, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

spoe::message! {
    /// `args method=method path=pathq host=req.hdr(host) type=req.hdr(content-type) body=req.body`
    struct Mirror<'a>("mirror") {
        method: &'a str,
        path: &'a str,
        host: Option<&'a str>,
        content_type: Option<&'a str> = "type",
        body: Option<&'a [u8]>,
    }
}

/// The request as it is sent. What came through a proxy's parser holds no line ends, but others may send messages too.
fn copy(mirror: &Mirror<'_>) -> Option<Vec<u8>> {
    let body = mirror.body.unwrap_or_default();
    let host = mirror.host.unwrap_or("mirror");
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", mirror.method, mirror.path);
    if let Some(content_type) = mirror.content_type {
        head += &format!("content-type: {content_type}\r\n");
    }
    let words = [mirror.method, mirror.path, host, mirror.content_type.unwrap_or_default()];
    if words.iter().any(|word| word.contains(['\r', '\n', '\0'])) {
        return None;
    }
    head += &format!("content-length: {}\r\nx-mirrored: 1\r\nconnection: close\r\n\r\n", body.len());
    Some([head.as_bytes(), body].concat())
}

async fn send(target: &str, request: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(request).await?;
    // Nobody wants the answer, but hanging up in the middle of it would be rude.
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "the example is a program: it may spawn tasks")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: mirror ADDRESS TARGET".into());
    };
    let under_way = Arc::new(Semaphore::new(100));
    let handler = move |request: Request| {
        let copy = request.read::<Mirror<'_>>().ok().and_then(|mirror| copy(&mirror));
        if let (Some(copy), Ok(permit)) = (copy, Arc::clone(&under_way).try_acquire_owned()) {
            let target = target.clone();
            tokio::spawn(async move {
                let sent = tokio::time::timeout(Duration::from_secs(10), send(&target, &copy)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    eprintln!("a request was not mirrored: {sent:?}");
                }
                drop(permit);
            });
        }
        std::future::ready(Reply::new())
    };
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    let options = Options { payload_bytes_max: 8 << 20, ..Options::default() };
    listen(listener, handler, options, std::future::pending()).await;
    Ok(())
}
