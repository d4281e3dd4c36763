//! One thread, one epoll, many connections: what the origin and the agent have in common.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::Result;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

const LISTENER: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    /// What came and was not a whole request yet.
    input: Vec<u8>,
}

/// Serves for ever. `answer` uses up whole requests at the front of its first argument and appends the
/// answers to the second; `false` closes the connection.
pub(super) fn serve(
    listener: &TcpListener,
    mut answer: impl FnMut(&mut Vec<u8>, &mut Vec<u8>) -> bool,
) -> Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = [EpollEvent::empty(); 64];
    let mut buffer = vec![0; 65536];
    let mut output = Vec::new();
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE).or_else(interrupted)?;
        for event in &events[..ready] {
            if event.data() == LISTENER {
                accept(listener, &epoll, &mut connections)?;
                continue;
            }
            let slot = &mut connections[event.data() as usize];
            let Some(connection) = slot else { continue };
            output.clear();
            if !turn(connection, &mut buffer, &mut output, &mut answer) {
                *slot = None;
            }
        }
    }
}

/// One read, its answers, one write; `false` if the connection is over.
fn turn(
    connection: &mut Connection,
    buffer: &mut [u8],
    output: &mut Vec<u8>,
    answer: &mut impl FnMut(&mut Vec<u8>, &mut Vec<u8>) -> bool,
) -> bool {
    match connection.stream.read(buffer) {
        Ok(0) => return false,
        Ok(n) => connection.input.extend_from_slice(&buffer[..n]),
        Err(error) => return error.kind() == ErrorKind::WouldBlock,
    }
    // Answers are smaller than a socket buffer and each waits for the one before: they always fit.
    answer(&mut connection.input, output) && connection.stream.write_all(output).is_ok()
}

fn accept(listener: &TcpListener, epoll: &Epoll, connections: &mut Vec<Option<Connection>>) -> Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let free = connections.iter().position(Option::is_none).unwrap_or(connections.len());
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, free as u64))?;
        let connection = Some(Connection { stream, input: Vec::new() });
        if free == connections.len() { connections.push(connection) } else { connections[free] = connection }
    }
    Ok(())
}

/// A signal is no reason to end.
pub(super) fn interrupted(error: nix::Error) -> nix::Result<usize> {
    if error == nix::Error::EINTR { Ok(0) } else { Err(error) }
}

/// The first place of `wanted` in `bytes`.
pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
