//! A small SPOE agent, written from SPOE.txt alone so that it shares no mistake with ours.
//!
//! It answers every NOTIFY with two variables: `txn.PREFIX.first` is the first argument of the first
//! message as it came, `txn.PREFIX.count` is how many NOTIFYs it has had, from 1. It keeps a line of all it
//! hears ([`Agent::heard`]), and obeys the argument `do` of a first message ([`orders`](super::orders)).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::lines::Lines;
use super::orders::{self, Order};
use super::service::Service;

/// What the agent does with a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Acknowledges it.
    Well,
    /// Never answers it.
    Silent,
    /// Keeps its answers, and gives them on that connection before the first that it gives in another mood.
    Late,
    /// Does not greet new connections.
    Mute,
    /// Closes the connection.
    Dies,
    /// Greets new connections with a version that nobody speaks.
    GreetsWrongly,
    /// Greets new connections with bytes that are no frame.
    GreetsGarbage,
    /// Answers with bytes that are no frame.
    AnswersGarbage,
    /// Announces no capability to new connections.
    Plain,
    /// Announces to new connections that it takes fragments.
    Fragments,
}

/// The agent.
pub(crate) struct Agent {
    service: Service,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    notified: AtomicU64,
    heard: Lines,
}

impl Agent {
    /// Starts one that behaves.
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Well),
            notified: AtomicU64::new(0),
            heard: Lines::default(),
        });
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

    /// What engines said, a line each: `hello KEY=VALUE…`, `notify STREAM/FRAME MESSAGE(NAME=VALUE,…)…`,
    /// `disconnect KEY=VALUE…`.
    pub(crate) fn heard(&self) -> &Lines {
        &self.shared.heard
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

const FRAME_BYTES_MAX: u64 = 16_380;
const UNSET: u8 = 0;
const HAPROXY_HELLO: u8 = 1;
const HAPROXY_DISCONNECT: u8 = 2;
const NOTIFY: u8 = 3;
const AGENT_HELLO: u8 = 101;
const AGENT_DISCONNECT: u8 = 102;
const ACK: u8 = 103;
const FIN_BIT: u8 = 1;
const SET_VAR: u8 = 1;
const SCOPE_TXN: u8 = 2;
const UINT32: u8 = 3;
const UINT64: u8 = 5;
const STRING: u8 = 8;
/// Read as a frame it would be 1.2 GB long.
const GARBAGE: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nthis is no agent";

impl Shared {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut partial = Vec::new();
        let mut kept = Vec::new();
        loop {
            let frame = read_frame(&mut stream)?;
            let (kind, last, body) = (frame[0], frame[4] & FIN_BIT != 0, &frame[5..]);
            match kind {
                HAPROXY_HELLO => {
                    self.heard.push(format!("hello {}", pairs(&body[2..])?));
                    if self.mood() == Mood::Mute {
                        continue;
                    }
                    stream.write_all(&self.greeting(offered_size(&body[2..])?))?;
                    if contains(body, b"healthcheck") {
                        return Ok(());
                    }
                }
                NOTIFY if !last => partial = body.to_vec(),
                UNSET => {
                    let mut rest = body;
                    ids(&mut rest)?;
                    partial.extend(rest);
                    if last && !self.notified(&mut stream, &mut kept, &std::mem::take(&mut partial))? {
                        return Ok(());
                    }
                }
                NOTIFY => {
                    if !self.notified(&mut stream, &mut kept, body)? {
                        return Ok(());
                    }
                }
                HAPROXY_DISCONNECT => {
                    self.heard.push(format!("disconnect {}", pairs(&body[2..])?));
                    return Ok(());
                }
                other => return Err(malformed(&format!("frame type {other}"))),
            }
        }
    }

    fn greeting(&self, size: u64) -> Vec<u8> {
        let (version, capabilities): (&[u8], &[u8]) = match self.mood() {
            Mood::GreetsGarbage => return GARBAGE.to_vec(),
            Mood::GreetsWrongly => (b"1.0", b"pipelining"),
            Mood::Plain => (b"2.0", b""),
            Mood::Fragments => (b"2.0", b"pipelining,fragmentation"),
            _ => (b"2.0", b"pipelining"),
        };
        write_frame(AGENT_HELLO, &[0, 0], &hello(version, size.min(FRAME_BYTES_MAX), capabilities))
    }

    /// Answers a NOTIFY, whole or put together; false ends the connection.
    fn notified(&self, stream: &mut TcpStream, kept: &mut Vec<u8>, body: &[u8]) -> io::Result<bool> {
        let count = self.notified.fetch_add(1, Ordering::SeqCst) + 1;
        let mut payload = body;
        let (stream_id, frame_id) = ids(&mut payload)?;
        let messages = messages(payload)?;
        let all = messages.iter().map(|message| format!(" {message}")).collect::<String>();
        self.heard.push(format!("notify {stream_id}/{frame_id}{all}"));
        match self.mood() {
            Mood::Silent => {}
            Mood::Late => kept.extend(write_frame(ACK, &body[..body.len() - payload.len()], b"")),
            Mood::Dies => return Ok(false),
            Mood::AnswersGarbage => stream.write_all(GARBAGE)?,
            _ => {
                stream.write_all(&std::mem::take(kept))?;
                let ids = &body[..body.len() - payload.len()];
                let orders = messages.first().map(Heard::orders).transpose()?.unwrap_or_default();
                let mut actions = Vec::new();
                if let Some(first) = messages.first().and_then(|message| message.args.first()) {
                    set_txn(&mut actions, b"first", &first.typed);
                }
                let mut number = vec![UINT64];
                varint(&mut number, count);
                set_txn(&mut actions, b"count", &number);
                for order in orders {
                    match order {
                        Order::Actions(bytes) => actions.extend(bytes),
                        Order::Nothing => actions.clear(),
                        Order::Silence => return Ok(true),
                        Order::Close => return Ok(false),
                        Order::Disconnect(code) => {
                            stream.write_all(&write_frame(AGENT_DISCONNECT, &[0, 0], &disconnect(code)))?;
                            return Ok(false);
                        }
                        Order::Astray => stream.write_all(&write_frame(ACK, &[7, 7], b""))?,
                        Order::Frame(kind, flags) => stream.write_all(&frame(kind, flags, ids, b""))?,
                    }
                }
                stream.write_all(&write_frame(ACK, ids, &actions))?;
            }
        }
        Ok(true)
    }
}

/// One message of a NOTIFY.
struct Heard {
    name: String,
    args: Vec<HeardArg>,
}

struct HeardArg {
    name: String,
    /// As it came.
    typed: Vec<u8>,
    /// For people.
    text: String,
}

impl Heard {
    /// What its argument `do` says.
    fn orders(&self) -> io::Result<Vec<Order>> {
        let text =
            self.args.iter().find(|arg| arg.name == "do" && arg.typed[0] == STRING).map(|arg| &arg.text);
        orders::parse(text.map_or("", String::as_str)).map_err(|what| malformed(&what))
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let args: Vec<_> = self.args.iter().map(|arg| format!("{}={}", arg.name, arg.text)).collect();
        write!(f, "{}({})", self.name, args.join(","))
    }
}

fn messages(mut payload: &[u8]) -> io::Result<Vec<Heard>> {
    let mut messages = Vec::new();
    while !payload.is_empty() {
        let name = latin1(read_string(&mut payload)?);
        let count = take(&mut payload, 1)?[0];
        let args = (0..count).map(|_| {
            let name = latin1(read_string(&mut payload)?);
            let before = payload;
            let text = value(&mut payload)?;
            let typed = before[..before.len() - payload.len()].to_vec();
            Ok(HeardArg { name, typed, text })
        });
        let args = args.collect::<io::Result<_>>()?;
        messages.push(Heard { name, args });
    }
    Ok(messages)
}

/// The frame size that a greeting offers.
fn offered_size(mut payload: &[u8]) -> io::Result<u64> {
    while !payload.is_empty() {
        let key = read_string(&mut payload)?;
        let value = value(&mut payload)?;
        if key == b"max-frame-size" {
            return value.parse().map_err(|_| malformed("a max-frame-size that is no number"));
        }
    }
    Err(malformed("no max-frame-size"))
}

/// A KV list as `KEY=VALUE KEY=VALUE`.
fn pairs(mut payload: &[u8]) -> io::Result<String> {
    let mut all = Vec::new();
    while !payload.is_empty() {
        let key = latin1(read_string(&mut payload)?);
        all.push(format!("{key}={}", value(&mut payload)?));
    }
    Ok(all.join(" "))
}

fn disconnect(code: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    string(&mut payload, b"status-code");
    payload.push(UINT32);
    varint(&mut payload, code);
    string(&mut payload, b"message");
    payload.push(STRING);
    string(&mut payload, b"as ordered");
    payload
}

fn hello(version: &[u8], size: u64, capabilities: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    string(&mut payload, b"version");
    payload.push(8);
    string(&mut payload, version);
    string(&mut payload, b"max-frame-size");
    payload.push(3);
    varint(&mut payload, size);
    string(&mut payload, b"capabilities");
    payload.push(8);
    string(&mut payload, capabilities);
    payload
}

/// Stream-id and frame-id.
fn ids(rest: &mut &[u8]) -> io::Result<(u64, u64)> {
    Ok((read_varint(rest)?, read_varint(rest)?))
}

/// A typed value, as people write it.
fn value(rest: &mut &[u8]) -> io::Result<String> {
    let kind = take(rest, 1)?[0];
    Ok(match kind & 0x0f {
        0 => "null".to_owned(),
        1 => (kind & 0x10 != 0).to_string(),
        2..=5 => (read_varint(rest)? as i64).to_string(),
        6 => {
            let bytes: [u8; 4] = take(rest, 4)?.try_into().expect("invariant: four were taken");
            std::net::Ipv4Addr::from(bytes).to_string()
        }
        7 => {
            let bytes: [u8; 16] = take(rest, 16)?.try_into().expect("invariant: sixteen were taken");
            std::net::Ipv6Addr::from(bytes).to_string()
        }
        8 => latin1(read_string(rest)?),
        9 => read_string(rest)?.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => return Err(malformed(&format!("data type {other}"))),
    })
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
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
    frame(kind, FIN_BIT, ids, payload)
}

fn frame(kind: u8, flags: u8, ids: &[u8], payload: &[u8]) -> Vec<u8> {
    let flags = [0, 0, 0, flags];
    let length =
        u32::try_from(1 + flags.len() + ids.len() + payload.len()).expect("frames of tests are short");
    [&length.to_be_bytes()[..], &[kind], &flags, ids, payload].concat()
}

pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    varint(out, text.len() as u64);
    out.extend(text);
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
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
