//! Just enough HTTP to be a client or a server: whole messages, read from a connection piece by piece.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

use tokio::io::AsyncReadExt as _;

use super::{network::End, time::Sleep};

/// A request or an answer.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its first line.
    pub(crate) start: String,
    headers: Vec<(String, String)>,
    /// Its body, unchunked.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of a request's query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.start.split(' ').nth(1)?.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// An answer's status.
    pub(crate) fn status(&self) -> Option<u16> {
        self.start.split(' ').nth(1)?.parse().ok()
    }

    /// Whether the connection ends after it.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
            || (self.start.starts_with("HTTP/1.0") && self.header("connection") != Some("keep-alive"))
    }

    /// The first line of its body.
    pub(crate) fn mark(&self) -> String {
        let line = self.body.split(|byte| *byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }
}

/// What has come in on a connection and is not yet a message.
#[derive(Default)]
pub(crate) struct Incoming(Vec<u8>);

impl Incoming {
    /// The next message; `None` at the end. `limit` bounds the wait.
    pub(crate) async fn read(&mut self, end: &mut End, limit: Option<Sleep>) -> io::Result<Option<Message>> {
        let mut limit = limit;
        loop {
            if let Some((message, used)) = parse(&self.0)? {
                self.0.drain(..used);
                return Ok(Some(message));
            }
            let mut buf = [0; 8192];
            let count = {
                let mut read = pin!(end.read(&mut buf));
                poll_fn(|cx| {
                    if let Poll::Ready(done) = read.as_mut().poll(cx) {
                        return Poll::Ready(done);
                    }
                    match limit.as_mut().map(|limit| std::pin::Pin::new(limit).poll(cx)) {
                        Some(Poll::Ready(())) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                        _ => Poll::Pending,
                    }
                })
                .await?
            };
            if count == 0 {
                return if self.0.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            self.0.extend_from_slice(&buf[..count]);
        }
    }

    /// Whether bytes are left that no message needed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A whole message at the beginning of `bytes`, and its length.
fn parse(bytes: &[u8]) -> io::Result<Option<(Message, usize)>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let Some(head) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| invalid("a head that is not text"))?;
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut message = Message { start, headers, body: Vec::new() };
    let mut at = head + 4;
    if message.header("transfer-encoding").is_some() {
        loop {
            let Some(line) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
            let size = std::str::from_utf8(&bytes[at..at + line]).unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(|_| invalid("a chunk without a size"))?;
            at += line + 2;
            if bytes.len() < at + size + 2 {
                return Ok(None);
            }
            message.body.extend_from_slice(&bytes[at..at + size]);
            at += size + 2;
            if size == 0 {
                return Ok(Some((message, at)));
            }
        }
    }
    let length = match message.header("content-length") {
        Some(length) => length.parse().map_err(|_| invalid("a length that is no number"))?,
        None => 0,
    };
    if bytes.len() < at + length {
        return Ok(None);
    }
    message.body.extend_from_slice(&bytes[at..at + length]);
    Ok(Some((message, at + length)))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
