//! The agent's end of one connection.
//!
//! Waits for HAPROXY-HELLO, answers it, then gives NOTIFYs to its owner (fragments put together) and takes ACKs. When as many
//! exchanges wait as the configuration allows it uses no more input: the bytes stay in the socket, which holds the proxy back.
//!
//! **Invariants:** each NOTIFY is given out once and can be acknowledged once. `partial` never exceeds the payload limit.
//!
//! Source: SPOE.txt §3.2.3 to §3.2.9; fragments: SPOE.txt 1.1 (HAProxy 2.8) §3.2.6.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::haproxy_end::check_control;
use super::state::{State, Terms, Transmit, drain_output};
use crate::error::{Error, Violation};
use crate::frame::{
    AgentHello, Capabilities, Disconnect, Flags, Frame, FrameId, FrameType, HaproxyHello, Header, Status,
    StreamId, Version, header,
};

/// What the agent's end offers and bears.
#[derive(Clone, Debug)]
pub struct AgentEndConfig {
    /// The largest frame taken and offered, in bytes, length prefix not counted; at least 256.
    pub frame_size_bytes_max: u32,
    /// What is announced. ASYNC is of use only to an owner that answers on sibling connections.
    pub capabilities: Capabilities,
    /// How long the proxy's HELLO is awaited, from construction.
    pub hello_timeout: Option<Duration>,
    /// How long a connection without a waiting exchange is kept.
    pub idle_timeout: Option<Duration>,
    /// How many exchanges may wait for their answer; no more input is used beyond. At least 1.
    pub waiting_frames_max: usize,
    /// The largest payload put together from fragments, in bytes; larger ones are refused with ABORT.
    pub payload_bytes_max: usize,
}

impl Default for AgentEndConfig {
    /// 16380-byte frames, pipelining and fragments, no timeouts, 64 exchanges at once, payloads up to 1 MiB and some.
    fn default() -> Self {
        Self {
            frame_size_bytes_max: 16_380,
            capabilities: Capabilities::PIPELINING | Capabilities::FRAGMENTATION,
            hello_timeout: None,
            idle_timeout: None,
            waiting_frames_max: 64,
            payload_bytes_max: (1 << 20) + (64 << 10),
        }
    }
}

/// What the owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentEvent {
    /// The proxy has greeted; the answer is in the output.
    Hello {
        /// The name of its engine, if it gave one.
        engine_id: Option<Vec<u8>>,
        /// The frame size agreed, in bytes.
        frame_size_bytes_max: u32,
        /// What both ends can do.
        capabilities: Capabilities,
        /// Whether it was a health check: the connection is closed once the answer is out.
        healthcheck: bool,
    },
    /// Messages that want an [`ack`](AgentEnd::ack).
    Notify {
        /// To be repeated in the ACK.
        stream: StreamId,
        /// To be repeated in the ACK.
        frame: FrameId,
        /// A list of messages, for [`MessageReader`](crate::frame::MessageReader); not yet checked.
        payload: Vec<u8>,
    },
    /// The connection ends; answers that are still owed are not wanted.
    Closed {
        /// Why: the proxy's word, or ours.
        status: Status,
    },
}

/// The agent's end. See the module's text.
#[derive(Debug)]
pub struct AgentEnd {
    config: AgentEndConfig,
    state: State,
    waiting: Vec<(StreamId, FrameId)>,
    partial: Option<Partial>,
    out: Vec<u8>,
    events: VecDeque<AgentEvent>,
    last_exchange: Instant,
}

/// A payload of which not all fragments are there.
#[derive(Debug)]
struct Partial {
    stream: StreamId,
    frame: FrameId,
    /// `None` once it was refused: what is left of it is skipped.
    payload: Option<Vec<u8>>,
}

impl AgentEnd {
    /// Begins a connection; the proxy speaks first.
    pub fn new(config: AgentEndConfig, now: Instant) -> Self {
        let deadline = config.hello_timeout.map(|timeout| now + timeout);
        Self {
            config,
            state: State::Greeting { deadline },
            waiting: Vec::new(),
            partial: None,
            out: Vec::new(),
            events: VecDeque::new(),
            last_exchange: now,
        }
    }

    /// Feeds bytes from the proxy's socket.
    ///
    /// Uses whole frames only, and none while [`wants_input`](Self::wants_input) is false; returns how many bytes it used.
    /// Keep the rest and offer it again after an ACK. Afterwards drain [`poll_event`](Self::poll_event), then
    /// [`poll_transmit`](Self::poll_transmit).
    ///
    /// # Errors
    /// [`Error::Haproxy`] if the proxy breaks the protocol; the matching DISCONNECT is queued, [`AgentEvent::Closed`]
    /// follows, and the connection is closed.
    ///
    /// # Source
    /// SPOE.txt §3.2, §3.2.4, §3.2.6, §3.5.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            if matches!(self.state, State::Closed) {
                return Ok(bytes.len());
            }
            if !self.wants_input() {
                return Ok(used);
            }
            let outcome = match Frame::split(&bytes[used..], self.frame_size_bytes_max()) {
                Ok(None) => return Ok(used),
                Ok(Some((frame, len))) => {
                    used += len;
                    self.on_frame(now, &frame)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(violation) = outcome {
                self.fail(violation.status);
                return Err(Error::Haproxy(violation));
            }
        }
    }

    /// The socket ended or broke. HAProxy ends connections so, without DISCONNECT, when it no longer needs them.
    pub fn handle_eof(&mut self) {
        self.on_closed(Status::IO);
        self.out.clear();
    }

    /// Acts on deadlines that have passed; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.fail(Status::TIMEOUT);
        }
    }

    /// The next event, oldest first. Call until `None` after every input, timeout and close.
    pub fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }

    /// Appends what is to be sent to `buf`, or gives `None` if that is nothing. ACKs queued since the last call come together.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        drain_output(&mut self.out, buf)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); ask again after every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Greeting { deadline } => deadline,
            State::Running(_) if self.waiting.is_empty() => {
                self.config.idle_timeout.map(|timeout| self.last_exchange + timeout)
            }
            State::Closing { deadline } => Some(deadline),
            State::Running(_) | State::Closed => None,
        }
    }

    /// Whether more input would be used: as many exchanges wait as may.
    pub fn wants_input(&self) -> bool {
        self.waiting.len() < self.config.waiting_frames_max.max(1)
    }

    /// Answers a NOTIFY with a list of actions (see [`AckWriter`](crate::frame::AckWriter)). Gives false, and sends nothing,
    /// if that NOTIFY does not wait: answered already, or the connection ended.
    ///
    /// A list that does not fit the frame size agreed is not cut: nothing of it is sent, and the proxy gets an empty ACK.
    pub fn ack(&mut self, now: Instant, stream: StreamId, frame: FrameId, actions: &[u8]) -> bool {
        let (State::Running(terms), Some(at)) =
            (self.state, self.waiting.iter().position(|w| *w == (stream, frame)))
        else {
            return false;
        };
        self.waiting.swap_remove(at);
        self.last_exchange = now;
        self.write_ack(terms, stream, frame, actions);
        true
    }

    /// Answers a NOTIFY that came on another connection of the same engine. Gives false, and sends nothing, unless ASYNC was
    /// agreed on this one.
    pub fn ack_for_sibling(&mut self, stream: StreamId, frame: FrameId, actions: &[u8]) -> bool {
        match self.state {
            State::Running(terms) if terms.capabilities.contains(Capabilities::ASYNC) => {
                self.write_ack(terms, stream, frame, actions);
                true
            }
            _ => false,
        }
    }

    fn write_ack(&mut self, terms: Terms, stream: StreamId, frame: FrameId, actions: &[u8]) {
        let head = Header::of(FrameType::Ack, Flags::FIN, stream, frame);
        let fits = head.encoded_len() + actions.len() <= terms.frame_size_bytes_max as usize;
        let start = header::begin(head, &mut self.out);
        if fits {
            self.out.extend_from_slice(actions);
        }
        header::end(start, &mut self.out);
    }

    /// Says DISCONNECT, once. An agent closes right behind it, so nothing more is heard: acknowledge what waits first.
    pub fn close(&mut self, status: Status) {
        self.fail(status);
    }

    /// Whether nothing more will be said or heard, so that the socket may be closed once the output is out.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// How many NOTIFYs wait for their [`ack`](Self::ack).
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn frame_size_bytes_max(&self) -> u32 {
        match self.state {
            State::Running(terms) => terms.frame_size_bytes_max,
            _ => self.config.frame_size_bytes_max,
        }
    }

    fn on_frame(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        match (self.state, frame.header.kind) {
            (State::Running(terms), FrameType::Notify) => self.on_notify(now, terms, frame),
            (State::Running(_), FrameType::Unset) => self.on_fragment(now, frame),
            (State::Greeting { .. }, FrameType::HaproxyHello) => self.on_hello(now, frame),
            (_, FrameType::HaproxyDisconnect) => self.on_disconnect(frame),
            (State::Running(_), FrameType::Unknown(_)) => Ok(()),
            _ => Err(Violation::new(Status::INVALID)),
        }
    }

    fn on_hello(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        check_control(frame.header)?;
        let hello = HaproxyHello::decode(frame.payload)?;
        if !hello.offers(Version::V2_0) {
            return Err(Violation::new(Status::BAD_VERSION));
        }
        let size = hello.max_frame_size.min(self.config.frame_size_bytes_max);
        let fragments = self.config.capabilities & Capabilities::FRAGMENTATION;
        let both = self.config.capabilities & hello.capabilities;
        let terms = Terms { frame_size_bytes_max: size, capabilities: both | fragments };
        AgentHello {
            version: Version::V2_0,
            max_frame_size: Some(size),
            // Fragments go one way only: they are announced even though the proxy never does.
            capabilities: terms.capabilities,
        }
        .encode(&mut self.out);
        self.last_exchange = now;
        self.state = if hello.healthcheck { State::Closed } else { State::Running(terms) };
        self.events.push_back(AgentEvent::Hello {
            engine_id: hello.engine_id.map(<[u8]>::to_vec),
            frame_size_bytes_max: size,
            capabilities: terms.capabilities,
            healthcheck: hello.healthcheck,
        });
        Ok(())
    }

    fn on_notify(&mut self, now: Instant, terms: Terms, frame: &Frame<'_>) -> Result<(), Violation> {
        let Header { flags, stream, frame: id, .. } = frame.header;
        // After a refusal the rest of the fragments need not come.
        if self.partial.take_if(|partial| partial.payload.is_none()).is_none() && self.partial.is_some() {
            return Err(Violation::new(Status::INTERLACED));
        }
        if flags.abort() {
            return Ok(());
        }
        let payload = frame.payload.to_vec();
        if flags.fin() {
            return self.give(now, stream, id, payload);
        }
        if !terms.capabilities.contains(Capabilities::FRAGMENTATION) {
            return Err(Violation::new(Status::FRAGMENTATION_NOT_SUPPORTED));
        }
        self.partial = Some(Partial { stream, frame: id, payload: Some(payload) });
        Ok(())
    }

    fn on_fragment(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        let Header { flags, stream, frame: id, .. } = frame.header;
        let Some(partial) = &mut self.partial else {
            return Err(Violation::new(Status::FRAME_ID_NOT_FOUND));
        };
        if (partial.stream, partial.frame) != (stream, id) {
            return Err(Violation::new(Status::INTERLACED));
        }
        if flags.abort() {
            self.partial = None;
            return Ok(());
        }
        if let Some(payload) = &mut partial.payload {
            if payload.len() + frame.payload.len() <= self.config.payload_bytes_max {
                payload.extend_from_slice(frame.payload);
            } else {
                // Too much to keep: ask the proxy to stop, skip what it has sent already.
                partial.payload = None;
                let head = Header::of(FrameType::Ack, Flags::FIN | Flags::ABORT, stream, id);
                Frame { header: head, payload: &[] }.encode(&mut self.out);
            }
        }
        if flags.fin() {
            let whole = self.partial.take().and_then(|partial| partial.payload);
            if let Some(payload) = whole {
                return self.give(now, stream, id, payload);
            }
        }
        Ok(())
    }

    fn give(
        &mut self,
        now: Instant,
        stream: StreamId,
        frame: FrameId,
        payload: Vec<u8>,
    ) -> Result<(), Violation> {
        if self.waiting.contains(&(stream, frame)) {
            return Err(Violation::new(Status::INVALID));
        }
        self.last_exchange = now;
        self.waiting.push((stream, frame));
        self.events.push_back(AgentEvent::Notify { stream, frame, payload });
        Ok(())
    }

    /// The proxy's DISCONNECT is answered with a normal one.
    fn on_disconnect(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let status = Disconnect::decode(frame.payload).map_or(Status::INVALID, |d| d.status);
        Disconnect::new(Status::NORMAL).encode(FrameType::AgentDisconnect, &mut self.out);
        self.on_closed(status);
        Ok(())
    }

    fn fail(&mut self, status: Status) {
        if !self.is_closed() {
            Disconnect::new(status).encode(FrameType::AgentDisconnect, &mut self.out);
            self.on_closed(status);
        }
    }

    fn on_closed(&mut self, status: Status) {
        if !self.is_closed() {
            self.state = State::Closed;
            self.waiting.clear();
            self.partial = None;
            self.events.push_back(AgentEvent::Closed { status });
        }
    }
}
