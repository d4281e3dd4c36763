//! A small SPOE agent, written from SPOE.txt alone so that it shares no mistake with ours.
//!
//! It answers every NOTIFY with two variables: `txn.PREFIX.first` is the first argument of the first
//! message as it came, `txn.PREFIX.count` is how many NOTIFYs it has had, from 1.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::service::Service;

/// What the agent does with a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Acknowledges it.
    Well,
    /// Never answers it.
    Silent,
    /// Closes the connection.
    Dies,
    /// Greets new connections with a version that nobody speaks.
    GreetsWrongly,
    /// Greets new connections with bytes that are no frame.
    GreetsGarbage,
    /// Answers with bytes that are no frame.
    AnswersGarbage,
}

/// The agent.
pub(crate) struct Agent {
    service: Service,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    notified: AtomicU64,
}

impl Agent {
    /// Starts one that behaves.
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared { mood: Mutex::new(Mood::Well), notified: AtomicU64::new(0) });
        let serve = shared.clone();
        let service = Service::start(move |stream| {
            // An engine that leaves is no failure of the agent.
            serve.serve(stream).ok();
        })?;
        Ok(Self { service, shared })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.service.addr()
    }

    /// Changes its mood from the next NOTIFY on.
    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Listens again after [`down`](Self::down).
    pub(crate) fn up(&mut self) -> io::Result<()> {
        self.service.up()
    }

    /// Refuses connections and cuts those that are open.
    pub(crate) fn down(&mut self) {
        self.service.down();
    }
}

const HAPROXY_HELLO: u8 = 1;
const HAPROXY_DISCONNECT: u8 = 2;
const NOTIFY: u8 = 3;
const AGENT_HELLO: u8 = 101;
const ACK: u8 = 103;
const SET_VAR: u8 = 1;
const SCOPE_TXN: u8 = 2;
/// Read as a frame it would be 1.2 GB long.
const GARBAGE: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nthis is no agent";

impl Shared {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let frame = read_frame(&mut stream)?;
            let (kind, body) = (frame[0], &frame[5..]);
            match kind {
                HAPROXY_HELLO => {
                    let greeting = match self.mood() {
                        Mood::GreetsWrongly => write_frame(AGENT_HELLO, &[0, 0], &hello(b"1.0")),
                        Mood::GreetsGarbage => GARBAGE.to_vec(),
                        _ => write_frame(AGENT_HELLO, &[0, 0], &hello(b"2.0")),
                    };
                    stream.write_all(&greeting)?;
                    if contains(body, b"healthcheck") {
                        return Ok(());
                    }
                }
                NOTIFY => {
                    let count = self.notified.fetch_add(1, Ordering::SeqCst) + 1;
                    match self.mood() {
                        Mood::Silent => {}
                        Mood::Dies => return Ok(()),
                        Mood::AnswersGarbage => stream.write_all(GARBAGE)?,
                        _ => stream.write_all(&acknowledge(body, count)?)?,
                    }
                }
                HAPROXY_DISCONNECT => return Ok(()),
                other => return Err(malformed(&format!("frame type {other}"))),
            }
        }
    }
}

fn hello(version: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    string(&mut payload, b"version");
    payload.push(8);
    string(&mut payload, version);
    string(&mut payload, b"max-frame-size");
    payload.push(3);
    varint(&mut payload, 16380);
    string(&mut payload, b"capabilities");
    payload.push(8);
    string(&mut payload, b"pipelining");
    payload
}

/// The ACK for the NOTIFY whose ids and payload are `body`.
fn acknowledge(body: &[u8], count: u64) -> io::Result<Vec<u8>> {
    let mut rest = body;
    read_varint(&mut rest)?;
    read_varint(&mut rest)?;
    let ids = &body[..body.len() - rest.len()];
    let mut actions = Vec::new();
    if let Some(first) = first_argument(rest)? {
        set_txn(&mut actions, b"first", first);
    }
    let mut number = vec![5];
    varint(&mut number, count);
    set_txn(&mut actions, b"count", &number);
    Ok(write_frame(ACK, ids, &actions))
}

/// The typed data of the first message's first argument.
fn first_argument(payload: &[u8]) -> io::Result<Option<&[u8]>> {
    let mut rest = payload;
    read_string(&mut rest)?;
    let (count, mut rest) = rest.split_first().ok_or_else(|| malformed("no argument count"))?;
    if *count == 0 {
        return Ok(None);
    }
    read_string(&mut rest)?;
    let start = rest;
    skip_value(&mut rest)?;
    Ok(Some(&start[..start.len() - rest.len()]))
}

fn skip_value(rest: &mut &[u8]) -> io::Result<()> {
    let kind = take(rest, 1)?[0] & 0x0f;
    match kind {
        0 | 1 => {}
        2..=5 => drop(read_varint(rest)?),
        6 => drop(take(rest, 4)?),
        7 => drop(take(rest, 16)?),
        8 | 9 => drop(read_string(rest)?),
        other => return Err(malformed(&format!("data type {other}"))),
    }
    Ok(())
}

fn set_txn(actions: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    actions.extend([SET_VAR, 3, SCOPE_TXN]);
    string(actions, name);
    actions.extend(value);
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(7..=65536).contains(&length) {
        return Err(malformed(&format!("a frame of {length} bytes")));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(kind: u8, ids: &[u8], payload: &[u8]) -> Vec<u8> {
    const FIN: [u8; 4] = [0, 0, 0, 1];
    let length = u32::try_from(1 + FIN.len() + ids.len() + payload.len()).expect("frames of tests are short");
    [&length.to_be_bytes()[..], &[kind], &FIN, ids, payload].concat()
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    varint(out, text.len() as u64);
    out.extend(text);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    if value < 240 {
        return out.push(value as u8);
    }
    out.push(value as u8 | 240);
    value = (value - 240) >> 4;
    while value >= 128 {
        out.push(value as u8 | 128);
        value = (value - 128) >> 7;
    }
    out.push(value as u8);
}

fn read_varint(rest: &mut &[u8]) -> io::Result<u64> {
    let mut value = u64::from(take(rest, 1)?[0]);
    let mut shift = 4;
    if value < 240 {
        return Ok(value);
    }
    loop {
        let byte = take(rest, 1)?[0];
        let more = u64::from(byte).checked_shl(shift).ok_or_else(|| malformed("a long varint"))?;
        value = value.wrapping_add(more);
        shift += 7;
        if byte < 128 {
            return Ok(value);
        }
    }
}

fn read_string<'a>(rest: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let length = read_varint(rest)?;
    take(rest, usize::try_from(length).map_err(|_| malformed("a long string"))?)
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> io::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(n).ok_or_else(|| malformed("a cut frame"))?;
    *rest = left;
    Ok(taken)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}
