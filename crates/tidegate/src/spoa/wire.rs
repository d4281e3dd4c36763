//! One connection to an agent under test, without manners: it sends any bytes and tells what came back.
//!
//! Blocking, with a limit on every wait. It is no [`HaproxyEnd`](spoe::connection::HaproxyEnd), which says
//! nothing wrong; here wrong things are said on purpose.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use spoe::frame::{
    AgentHello, Capabilities, DecodeErrorKind, Disconnect, Flags, Frame, FrameId, FrameType, Header, Status,
    StreamId, TypedData, Version, header, varint,
};

use super::address::Address;
use crate::clock;

/// A frame that came, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    /// Bytes after the length prefix.
    pub(super) length: usize,
}

/// What came next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A whole frame.
    Frame(Owned),
    /// The agent closed or reset the connection.
    End,
    /// Nothing whole within the time allowed.
    Silence,
    /// Bytes that are no frame.
    Garbage(String),
}

/// What a greeting agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) frame_size_bytes_max: u32,
    pub(super) capabilities: Capabilities,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The connection.
pub(super) struct Wire {
    stream: Stream,
    input: Vec<u8>,
    patience: Duration,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, or not within `patience`.
    pub(super) fn connect(to: &Address, patience: Duration) -> io::Result<Self> {
        let stream = match to {
            Address::Tcp(addr) => {
                let stream = TcpStream::connect_timeout(addr, patience)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(patience))?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(patience))?;
                Stream::Unix(stream)
            }
        };
        Ok(Self { stream, input: Vec::new(), patience })
    }

    /// Sends bytes. That the agent has gone shows when its answer is awaited.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        // An agent that refuses what it has seen may close before it has read the rest.
        let _ = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        };
    }

    /// Sends each byte by itself.
    pub(super) fn send_slowly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]);
            std::thread::yield_now();
        }
    }

    /// Waits for what comes next; at most as long as was said when connecting.
    pub(super) fn next(&mut self) -> Said {
        self.next_within(self.patience)
    }

    /// The same with a limit of its own.
    pub(super) fn next_within(&mut self, patience: Duration) -> Said {
        let deadline = clock::instant() + patience;
        loop {
            match Frame::split(&self.input, u32::MAX) {
                Ok(Some((frame, used))) => {
                    let payload = frame.payload.to_vec();
                    let length = used - header::LENGTH_BYTES;
                    let owned = Owned { header: frame.header, payload, length };
                    self.input.drain(..used);
                    return Said::Frame(owned);
                }
                Ok(None) => {}
                Err(error) => return Said::Garbage(error.to_string()),
            }
            let left = deadline.saturating_duration_since(clock::instant());
            if left.is_zero() {
                return Said::Silence;
            }
            match self.read(left) {
                Ok(0) => return Said::End,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Said::End,
            }
        }
    }

    fn read(&mut self, within: Duration) -> io::Result<usize> {
        let mut buffer = [0; 65536];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(within))?;
                stream.read(&mut buffer)
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(within))?;
                stream.read(&mut buffer)
            }
        }?;
        self.input.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    /// Takes the agent's greeting, and holds it against `offered`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn greeting(&mut self, offered: u32, can: Capabilities) -> Result<Terms, String> {
        let frame = match self.next() {
            Said::Frame(frame) if frame.header.kind == FrameType::AgentHello => frame,
            other => return Err(format!("expected AGENT-HELLO, but {}", other.in_words())),
        };
        if frame.header != Header::control(FrameType::AgentHello) {
            return Err(format!("AGENT-HELLO must have FIN alone and both ids 0, not {:?}", frame.header));
        }
        let hello = AgentHello::decode(&frame.payload).map_err(|error| format!("AGENT-HELLO: {error}"))?;
        if hello.version != Version::V2_0 {
            let Version { major, minor } = hello.version;
            return Err(format!("AGENT-HELLO: version {major}.{minor}, but 2.0 was offered"));
        }
        match hello.max_frame_size {
            None => Err("AGENT-HELLO has no max-frame-size".to_owned()),
            Some(size) if size > offered => {
                Err(format!("AGENT-HELLO: max-frame-size {size} is above the {offered} offered"))
            }
            Some(size) => {
                let fragments = hello.capabilities & Capabilities::FRAGMENTATION;
                Ok(Terms { frame_size_bytes_max: size, capabilities: (hello.capabilities & can) | fragments })
            }
        }
    }
}

impl Said {
    /// As the end of a sentence: "… but the agent closed the connection".
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Frame(frame) => format!("the agent sent {}", frame.in_words()),
            Self::End => "the agent closed the connection".to_owned(),
            Self::Silence => "the agent was silent".to_owned(),
            Self::Garbage(what) => format!("the agent sent no frame: {what}"),
        }
    }
}

impl Owned {
    fn in_words(&self) -> String {
        let Header { kind, stream, frame, .. } = self.header;
        match kind {
            FrameType::AgentDisconnect => match self.status() {
                Ok(status) => format!("AGENT-DISCONNECT {} ({})", status.0, status.text()),
                Err(what) => what,
            },
            FrameType::AgentHello => "AGENT-HELLO".to_owned(),
            FrameType::Ack => format!("ACK {}/{}", stream.0, frame.0),
            other => format!("a frame of type {}", other.to_byte()),
        }
    }

    /// The status of an AGENT-DISCONNECT.
    ///
    /// # Errors
    /// It has none, or is malformed otherwise.
    pub(super) fn status(&self) -> Result<Status, String> {
        if self.header != Header::control(FrameType::AgentDisconnect) {
            return Err(format!(
                "AGENT-DISCONNECT must have FIN alone and both ids 0, not {:?}",
                self.header
            ));
        }
        let disconnect = Disconnect::decode(&self.payload);
        disconnect.map(|said| said.status).map_err(|error| match error.kind {
            DecodeErrorKind::NoStatusCode => "AGENT-DISCONNECT without status-code".to_owned(),
            _ => format!("AGENT-DISCONNECT: {error}"),
        })
    }
}

/// A frame with whatever is to be in it.
pub(super) fn frame(kind: FrameType, flags: Flags, ids: (u64, u64), payload: &[u8]) -> Vec<u8> {
    let head = Header::of(kind, flags, StreamId(ids.0), FrameId(ids.1));
    let mut out = Vec::new();
    Frame { header: head, payload }.encode(&mut out);
    out
}

/// A NOTIFY.
pub(super) fn notify(ids: (u64, u64), payload: &[u8]) -> Vec<u8> {
    frame(FrameType::Notify, Flags::FIN, ids, payload)
}

/// A HAPROXY-HELLO with just these items.
pub(super) fn hello(items: &[(&str, TypedData<'_>)]) -> Vec<u8> {
    control(FrameType::HaproxyHello, items)
}

/// A HAPROXY-DISCONNECT.
pub(super) fn disconnect(status: Status) -> Vec<u8> {
    let items = [("status-code", TypedData::Uint32(status.0)), ("message", status.text().into())];
    control(FrameType::HaproxyDisconnect, &items)
}

fn control(kind: FrameType, items: &[(&str, TypedData<'_>)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in items {
        varint::encode(name.len() as u64, &mut payload);
        payload.extend_from_slice(name.as_bytes());
        value.encode(&mut payload);
    }
    frame(kind, Flags::FIN, (0, 0), &payload)
}
