//! The client before a measured proxy: keep-alive connections in a closed loop, on one thread.

use std::io::{ErrorKind, Read, Write, stdin, stdout};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv};

use super::server::{find, interrupted};

/// What to do, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the proxy listens.
    #[arg(long)]
    addr: SocketAddr,
    /// How many connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Stop after this many milliseconds.
    #[arg(long, default_value_t = 60_000)]
    millis: u64,
    /// Stop after this many requests.
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// Read what comes instead of asking.
    #[arg(long)]
    bulk: bool,
    /// Ask once on each connection, then hold them all until standard input ends.
    #[arg(long)]
    idle: bool,
    /// With `--idle`: ask for what is never answered, and wait for no answer.
    #[arg(long, requires = "idle")]
    park: bool,
}

const REQUEST: &[u8] = b"GET /bench/page HTTP/1.1\r\nhost: bench.example\r\nuser-agent: bench\r\naccept: */*\r\nx-bench: value\r\n\r\n";
const PARK: &[u8] = b"GET /park HTTP/1.1\r\nhost: bench.example\r\nuser-agent: bench\r\naccept: */*\r\nx-bench: value\r\n\r\n";

/// Runs, and prints how many requests were answered or bytes read.
pub(crate) fn run(options: &Options) -> Result<()> {
    let done = if options.bulk {
        drink(options)?
    } else if options.idle {
        return hold(options);
    } else {
        ask(options)?
    };
    println!("{done}");
    Ok(())
}

struct Connection {
    stream: TcpStream,
    /// The front of an answer that is not whole yet.
    partial: Vec<u8>,
}

/// The closed loop: every connection has one request under way.
fn ask(options: &Options) -> Result<u64> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut connections = connect(options, &epoll)?;
    let deadline = Instant::now() + Duration::from_millis(options.millis);
    let mut sent = 0;
    for connection in connections.iter_mut().take(usize::try_from(options.requests).unwrap_or(usize::MAX)) {
        connection.stream.write_all(REQUEST)?;
        sent += 1;
    }
    let mut answered = 0;
    let mut events = [EpollEvent::empty(); 64];
    let mut buffer = vec![0; 65536];
    while answered < options.requests && Instant::now() < deadline {
        let ready = epoll.wait(&mut events, EpollTimeout::from(100_u8)).or_else(interrupted)?;
        for event in &events[..ready] {
            let connection = &mut connections[event.data() as usize];
            if !connection.answered(&mut buffer)? {
                continue;
            }
            answered += 1;
            if sent < options.requests {
                connection.stream.write_all(REQUEST)?;
                sent += 1;
            }
        }
    }
    Ok(answered)
}

impl Connection {
    /// Reads once; true if that completed the answer.
    fn answered(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let n = match self.stream.read(buffer) {
            Ok(0) => bail!("the proxy closed a connection"),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("reading an answer"),
        };
        if self.partial.is_empty() && complete(&buffer[..n])? {
            return Ok(true);
        }
        self.partial.extend_from_slice(&buffer[..n]);
        let whole = complete(&self.partial)?;
        if whole {
            self.partial.clear();
        }
        Ok(whole)
    }
}

/// Whether `bytes` are one whole answer. Anything but a 200 is an error: it must not be measured.
fn complete(bytes: &[u8]) -> Result<bool> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = (&bytes[..end + 2], &bytes[end + 4..]);
    ensure!(head.starts_with(b"HTTP/1.1 200"), "the proxy answered {:?}", String::from_utf8_lossy(head));
    match content_length(head) {
        Some(length) => {
            ensure!(body.len() <= length, "more than one answer to one request");
            Ok(body.len() == length)
        }
        None => Ok(body.ends_with(b"0\r\n\r\n")),
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let lines = head.split(|byte| *byte == b'\n');
    let name = b"content-length:";
    let line = lines
        .into_iter()
        .find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))?;
    str::from_utf8(&line[name.len()..]).ok()?.trim().parse().ok()
}

/// Reads from every connection until the time is over; the bytes are dropped in the kernel.
fn drink(options: &Options) -> Result<u64> {
    use std::os::fd::AsRawFd;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let connections = connect(options, &epoll)?;
    let deadline = Instant::now() + Duration::from_millis(options.millis);
    let mut events = [EpollEvent::empty(); 64];
    let mut buffer = vec![0; 1024 * 1024];
    let mut bytes = 0;
    while Instant::now() < deadline {
        let ready = epoll.wait(&mut events, EpollTimeout::from(100_u8)).or_else(interrupted)?;
        for event in &events[..ready] {
            let stream = &connections[event.data() as usize].stream;
            match recv(stream.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
                Ok(0) => bail!("the proxy closed a connection"),
                Ok(n) => bytes += n as u64,
                Err(nix::Error::EAGAIN) => {}
                Err(error) => return Err(error).context("reading bulk"),
            }
        }
    }
    Ok(bytes)
}

/// Connections that have all had one answer and now stay idle, or wait for theirs.
fn hold(options: &Options) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut connections = connect(options, &epoll)?;
    let mut buffer = vec![0; 65536];
    for connection in &mut connections {
        connection.stream.set_nonblocking(false)?;
        connection.stream.write_all(if options.park { PARK } else { REQUEST })?;
        while !options.park && !connection.answered(&mut buffer)? {}
    }
    if options.park {
        // Nothing tells when the last request has been read.
        thread::sleep(Duration::from_millis(300));
    }
    println!("{}", connections.len());
    stdout().flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn connect(options: &Options, epoll: &Epoll) -> Result<Vec<Connection>> {
    let connection = |index: usize| {
        let stream =
            TcpStream::connect(options.addr).with_context(|| format!("connecting to {}", options.addr))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        Ok(Connection { stream, partial: Vec::new() })
    };
    (0..options.connections).map(connection).collect()
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn an_answer_is_complete_at_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        for cut in 0..answer.len() {
            assert!(!complete(&answer[..cut]).unwrap(), "at {cut}");
        }
        assert!(complete(answer).unwrap());
        assert!(
            complete(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").unwrap()
        );
        assert!(complete(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(complete(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore").is_err());
    }
}
