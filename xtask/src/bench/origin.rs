//! The origin behind a measured proxy: a small answer to every GET, or bytes without end.

use std::io::{Write, stdout};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use anyhow::Result;
use clap::Args;

use super::aide::end_with_parent;
use super::server::{find, serve};

/// Nothing to choose.
#[derive(Args)]
pub(crate) struct Options {}

/// Serves until the parent lets go. Prints the two ports: HTTP, then bulk.
pub(crate) fn run(_: &Options) -> Result<()> {
    let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let bulk = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{} {}", http.local_addr()?.port(), bulk.local_addr()?.port());
    stdout().flush()?;
    end_with_parent();
    thread::spawn(move || pour(&bulk));
    let page = page("0123456789abcdef".repeat(8).as_bytes());
    serve(&http, move |input, output| {
        while let Some(end) = find(input, b"\r\n\r\n") {
            let head = input.drain(..end + 4);
            if head.as_slice().starts_with(b"GET /echo") {
                output.extend(self::page(head.as_slice()));
            } else {
                output.extend_from_slice(&page);
            }
        }
        true
    })
}

fn page(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nserver: origin\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// To every connection, bytes until it ends.
fn pour(listener: &TcpListener) {
    for mut stream in listener.incoming().flatten() {
        thread::spawn(move || {
            let block = vec![b'x'; 256 * 1024];
            while stream.write_all(&block).is_ok() {}
        });
    }
}
