//! Agents with one fault each.
//!
//! Our own agent does the talking; what it says, or what it hears, is falsified on the way.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use spoe::{
    connection::{AgentEnd, AgentEndConfig, AgentEvent},
    frame::{Capabilities, Flags, Frame, FrameId, FrameType, MessageReader, Status, StreamId},
};

use crate::support::service::Service;

/// What is wrong with an agent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Nothing; and it offers no more than it must.
    Plain,
    /// It speaks a version that nobody offered.
    Version,
    /// Its greeting is not finished.
    HelloWithoutFin,
    /// It answers with the size it likes.
    OwnSize,
    /// All its answers are for the same question.
    SameIds,
    /// It answers everything twice.
    Twice,
    /// Its actions end in the middle.
    CutActions,
    /// It answers what it cannot read, even before it is greeted.
    TakesEverything,
    /// It does not answer DISCONNECT, nor closes.
    IgnoresDisconnect,
    /// It closes without a word where it should say DISCONNECT.
    NoDisconnect,
    /// It answers each fragment.
    AnswersFragments,
}

/// A broken agent.
pub(super) struct Broken(Service);

impl Broken {
    /// Starts one on a port of its own.
    pub(super) fn start(fault: Fault) -> io::Result<Self> {
        // An engine that leaves is no failure of the agent.
        Service::start(move |stream| drop(serve(stream, fault))).map(Self)
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.0.addr()
    }
}

fn serve(mut stream: TcpStream, fault: Fault) -> io::Result<()> {
    if matches!(fault, Fault::TakesEverything | Fault::AnswersFragments) {
        return serve_carelessly(stream, fault);
    }
    let now = Instant::now();
    let capabilities = match fault {
        Fault::Plain => Capabilities::NONE,
        _ => Capabilities::PIPELINING | Capabilities::FRAGMENTATION,
    };
    let mut end = AgentEnd::new(AgentEndConfig { capabilities, ..AgentEndConfig::default() }, now);
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let mut buffer = [0; 65536];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..read]);
        // The fault is told to the engine by a DISCONNECT, which is in the output.
        let used = end.handle_input(now, &input).unwrap_or(input.len());
        input.drain(..used);
        while let Some(event) = end.poll_event() {
            let AgentEvent::Notify { stream, frame, payload } = event else { continue };
            if MessageReader::new(&payload).all(|message| message.is_ok()) {
                end.ack(now, stream, frame, b"\x01\x03\x02\x01x\x02\x05");
            } else {
                end.close(Status::INVALID);
            }
        }
        end.poll_transmit(&mut output);
        stream.write_all(&falsified(&output, fault))?;
        output.clear();
        if end.is_closed() && fault != Fault::IgnoresDisconnect {
            return Ok(());
        }
    }
}

/// The frames as the engine gets them.
fn falsified(mut bytes: &[u8], fault: Fault) -> Vec<u8> {
    let mut out = Vec::new();
    while let Ok(Some((frame, used))) = Frame::split(bytes, u32::MAX) {
        bytes = &bytes[used..];
        let mut header = frame.header;
        let mut payload = frame.payload.to_vec();
        match (fault, header.kind) {
            (Fault::Version, FrameType::AgentHello) => replace(&mut payload, b"2.0", b"3.0"),
            (Fault::HelloWithoutFin, FrameType::AgentHello) => header.flags = Flags::NONE,
            (Fault::OwnSize, FrameType::AgentHello) => set_size(&mut payload),
            (Fault::SameIds, FrameType::Ack) => (header.stream, header.frame) = (StreamId(1), FrameId(1)),
            (Fault::CutActions, FrameType::Ack) => payload.truncate(4),
            (Fault::IgnoresDisconnect | Fault::NoDisconnect, FrameType::AgentDisconnect) => continue,
            _ => {}
        }
        let frame = Frame { header, payload: &payload };
        frame.encode(&mut out);
        if fault == Fault::Twice && header.kind == FrameType::Ack {
            frame.encode(&mut out);
        }
    }
    out
}

fn replace(payload: &mut [u8], from: &[u8], to: &[u8]) {
    let at = payload.windows(from.len()).position(|window| window == from).expect("it is there");
    payload[at..at + to.len()].copy_from_slice(to);
}

/// Sets max-frame-size to 16380, whatever it was.
fn set_size(payload: &mut Vec<u8>) {
    let key = b"max-frame-size\x03";
    let at = payload.windows(key.len()).position(|window| window == key).expect("it is there") + key.len();
    let (_, used) = spoe::frame::varint::decode(&payload[at..]).expect("a number");
    payload.splice(at..at + used, [0xfc, 0xf0, 0x06]);
}

/// An agent that looks at nothing but the frame's type and ids.
fn serve_carelessly(mut stream: TcpStream, fault: Fault) -> io::Result<()> {
    const HELLO: &[u8] =
        b"\x07version\x08\x032.0\x0emax-frame-size\x03\xf0\x01\x0ccapabilities\x08\x18pipelining,fragmentation";
    let mut input = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..read]);
        let mut output = Vec::new();
        while let Ok(Some((frame, used))) = Frame::split(&input, u32::MAX) {
            let answer = match frame.header.kind {
                FrameType::HaproxyHello => Some((FrameType::AgentHello, HELLO)),
                FrameType::HaproxyDisconnect => {
                    Some((FrameType::AgentDisconnect, &b"\x0bstatus-code\x03\x00\x07message\x08\x00"[..]))
                }
                FrameType::Unset if fault == Fault::TakesEverything && !frame.header.flags.fin() => None,
                _ => Some((FrameType::Ack, &b""[..])),
            };
            if let Some((kind, payload)) = answer {
                let mut header = frame.header;
                header.kind = kind;
                header.flags = Flags::FIN;
                Frame { header, payload }.encode(&mut output);
            }
            let last = frame.header.kind == FrameType::HaproxyDisconnect;
            input.drain(..used);
            if last {
                return stream.write_all(&output);
            }
        }
        stream.write_all(&output)?;
    }
}
