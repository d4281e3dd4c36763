//! The proxy's end of one connection.
//!
//! Greets first, then takes NOTIFYs from its owner as long as [`can_notify`](HaproxyEnd::can_notify) says so, and gives back
//! ACKs in any order. An exchange that its owner gives up is forgotten at once; an ACK that comes late for it is skipped.
//!
//! A large payload in fragments is written as the output is taken away. While one is, no other NOTIFY is taken: frames of
//! two streams must not mix. If it is given up half-way an ABORT says so, and the rest stays unsaid.
//!
//! **Invariants:** `in_flight` never exceeds the limit agreed. After the first [`HaproxyEvent::Closed`] no other event comes.
//!
//! Source: SPOE.txt §3.2.3 to §3.2.9.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::fragment::Fragments;
use super::state::{EngineId, State, Terms, Traffic, Transmit, drain_output};
use crate::error::{Error, Violation};
use crate::frame::{
    AgentHello, Capabilities, DecodeError, DecodeErrorKind, Disconnect, Flags, Frame, FrameId, FrameType,
    HaproxyHello, Header, Status, StreamId, Version,
    header::{self, LENGTH_BYTES},
};

/// What the proxy's end offers and how long it waits.
#[derive(Clone, Debug)]
pub struct HaproxyEndConfig {
    /// The largest frame taken and offered, in bytes, length prefix not counted; at least 256.
    pub frame_size_bytes_max: u32,
    /// What is announced. FRAGMENTATION is never announced: the proxy takes no fragments.
    pub capabilities: Capabilities,
    /// Whether payloads above the frame size are sent in fragments to agents that take them.
    pub send_fragments: bool,
    /// The name of the engine.
    pub engine_id: EngineId,
    /// From construction to AGENT-HELLO.
    pub hello_timeout: Option<Duration>,
    /// How long a connection without a waiting exchange is kept.
    pub idle_timeout: Option<Duration>,
    /// How long the answer to our DISCONNECT is awaited.
    pub linger: Duration,
    /// How many exchanges may wait at once if pipelining is agreed; at least 1.
    pub waiting_frames_max: usize,
}

/// What the owner should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaproxyEvent<'a> {
    /// The greeting is done; NOTIFYs may be sent.
    Ready {
        /// The frame size agreed, in bytes.
        frame_size_bytes_max: u32,
        /// What both ends can do.
        capabilities: Capabilities,
    },
    /// The answer to an exchange: to one of this connection, or with ASYNC agreed perhaps to one of a sibling.
    Ack {
        /// As given to [`HaproxyEnd::notify`].
        stream: StreamId,
        /// As given to [`HaproxyEnd::notify`].
        frame: FrameId,
        /// A list of actions, for [`ActionReader`](crate::frame::ActionReader).
        payload: &'a [u8],
        /// Whether it was this connection that sent the NOTIFY.
        own: bool,
    },
    /// The agent refused the rest of a fragmented payload.
    FragmentAborted {
        /// As given to [`HaproxyEnd::notify`].
        stream: StreamId,
        /// As given to [`HaproxyEnd::notify`].
        frame: FrameId,
    },
    /// The connection ends; exchanges that wait on it get no answer. Transmit what is left, then close the socket once
    /// [`HaproxyEnd::is_closed`].
    Closed {
        /// Why.
        status: Status,
    },
}

/// Why a NOTIFY was not taken. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Not greeted, closing, or as many exchanges wait as may.
    #[error("connection cannot take a NOTIFY now")]
    NotNow,
    /// The payload does not fit and cannot be fragmented.
    #[error("payload too big")]
    TooBig,
}

/// The proxy's end. See the module's text.
#[derive(Debug)]
pub struct HaproxyEnd {
    config: HaproxyEndConfig,
    state: State,
    in_flight: Vec<InFlight>,
    out: Vec<u8>,
    /// The payload of which not all frames are in the output.
    fragments: Option<Fragments>,
    events: VecDeque<Stored>,
    /// Whether the end was among the events.
    told_closed: bool,
    /// Payloads of queued ACKs; emptied when `events` is.
    arena: Vec<u8>,
    last_exchange: Instant,
    last_input: Instant,
    traffic: Traffic,
}

/// The output of a connection, lent for a NOTIFY to be written into.
#[derive(Debug)]
pub(crate) struct Open {
    /// The output: the payload goes to its end.
    pub(crate) out: Vec<u8>,
    header: Header,
    start: usize,
    payload_at: usize,
}

impl Open {
    /// The payload written so far.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.out[self.payload_at..]
    }
}

#[derive(Debug)]
struct InFlight {
    stream: StreamId,
    frame: FrameId,
    /// Whether it went out in several frames, so that the agent may refuse it half-way.
    fragmented: bool,
}

#[derive(Debug)]
enum Stored {
    Ready(Terms),
    Ack { stream: StreamId, frame: FrameId, payload: Range<usize>, own: bool },
    FragmentAborted { stream: StreamId, frame: FrameId },
    Closed(Status),
}

impl HaproxyEnd {
    /// Begins a connection; the HELLO is ready to be transmitted.
    pub fn new(config: HaproxyEndConfig, now: Instant) -> Self {
        let deadline = config.hello_timeout.map(|timeout| now + timeout);
        let mut out = Vec::new();
        HaproxyHello {
            supported_versions: b"2.0",
            max_frame_size: config.frame_size_bytes_max,
            capabilities: config.capabilities,
            healthcheck: false,
            engine_id: Some(config.engine_id.as_str().as_bytes()),
        }
        .encode(&mut out);
        Self {
            config,
            state: State::Greeting { deadline },
            in_flight: Vec::new(),
            out,
            fragments: None,
            events: VecDeque::new(),
            told_closed: false,
            arena: Vec::new(),
            last_exchange: now,
            last_input: now,
            traffic: Traffic { frames_sent: 1, ..Traffic::default() },
        }
    }

    /// Feeds bytes from the agent's socket.
    ///
    /// Uses whole frames only and returns how many bytes it used; keep the rest. Afterwards drain
    /// [`poll_event`](Self::poll_event), then [`poll_transmit`](Self::poll_transmit). `now` is when the bytes arrived; it may
    /// repeat, never go back.
    ///
    /// # Errors
    /// [`Error::Agent`] if the agent breaks the protocol; the matching DISCONNECT is queued and
    /// [`HaproxyEvent::Closed`] follows.
    ///
    /// # Source
    /// SPOE.txt §3.2, §3.2.5, §3.2.7, §3.5.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, Error> {
        if self.events.is_empty() {
            self.arena.clear();
        }
        self.last_input = now;
        let mut used = 0;
        loop {
            let taken = match self.state {
                State::Closed => return Ok(bytes.len()),
                _ => Frame::split(&bytes[used..], self.frame_size_bytes_max()),
            };
            let outcome = match taken {
                Ok(None) => return Ok(used),
                Ok(Some((frame, len))) => {
                    used += len;
                    self.traffic.frames_received += 1;
                    self.traffic.bytes_received += len as u64;
                    self.on_frame(now, &frame)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(violation) = outcome {
                self.on_violation(now, violation);
                return Err(Error::Agent(violation));
            }
        }
    }

    /// The socket ended or broke: nothing more can be said.
    pub fn handle_eof(&mut self) {
        self.on_closed(Status::IO);
        self.state = State::Closed;
        self.out.clear();
        self.fragments = None;
    }

    /// Acts on deadlines that have passed; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.state {
            State::Running(_) => self.close(now, Status::TIMEOUT),
            // The agent has not said a word of SPOP that we could answer, or owes us the last one.
            State::Greeting { .. } | State::Closing { .. } => {
                self.on_closed(Status::TIMEOUT);
                self.state = State::Closed;
            }
            State::Closed => {}
        }
    }

    /// The next event, oldest first. Call until `None` after every [`handle_input`](Self::handle_input),
    /// [`handle_eof`](Self::handle_eof), [`handle_timeout`](Self::handle_timeout) and [`close`](Self::close).
    #[inline]
    pub fn poll_event(&mut self) -> Option<HaproxyEvent<'_>> {
        Some(match self.events.pop_front()? {
            Stored::Ready(terms) => HaproxyEvent::Ready {
                frame_size_bytes_max: terms.frame_size_bytes_max,
                capabilities: terms.capabilities,
            },
            Stored::Ack { stream, frame, payload, own } => {
                HaproxyEvent::Ack { stream, frame, payload: &self.arena[payload], own }
            }
            Stored::FragmentAborted { stream, frame } => HaproxyEvent::FragmentAborted { stream, frame },
            Stored::Closed(status) => HaproxyEvent::Closed { status },
        })
    }

    /// Appends what is to be sent to `buf`, or gives `None` if that is nothing. NOTIFYs queued since the last call come
    /// together. Of a payload in fragments so much comes that `buf` holds some 64 KiB: call again when that is written, as
    /// long as [`has_output`](Self::has_output). Afterwards a NOTIFY may be [possible](Self::can_notify) that was not.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.write_fragments(buf.len());
        let moved = drain_output(&mut self.out, buf)?;
        self.traffic.bytes_sent += moved.bytes as u64;
        Some(moved)
    }

    /// What was said and heard so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); ask again after every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Greeting { deadline } => deadline,
            State::Running(_) if self.in_flight.is_empty() => {
                self.config.idle_timeout.map(|timeout| self.last_exchange + timeout)
            }
            State::Running(_) | State::Closed => None,
            State::Closing { deadline } => Some(deadline),
        }
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to give.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty() || self.fragments.is_some()
    }

    /// Whether [`notify`](Self::notify) would find room: fewer exchanges wait than may, no payload is half sent, and the
    /// agent takes in what it is sent.
    #[inline]
    pub fn can_notify(&self) -> bool {
        self.in_flight.len() < self.waiting_frames_max()
            && self.fragments.is_none()
            && self.out.len() < OUTPUT_BYTES_MAX
    }

    /// How many exchanges may wait at once: 0 unless greeted and not closing.
    #[inline]
    pub fn waiting_frames_max(&self) -> usize {
        match self.state {
            State::Running(terms) if terms.capabilities.contains(Capabilities::PIPELINING) => {
                self.config.waiting_frames_max
            }
            State::Running(_) => 1,
            _ => 0,
        }
    }

    /// Sends a NOTIFY with this list of messages (see [`NotifyWriter`](crate::frame::NotifyWriter)), in fragments if it must
    /// be. The pair of ids must never have been used on this connection.
    ///
    /// # Errors
    /// See [`NotifyError`]; the connection is as before.
    #[inline]
    pub fn notify(
        &mut self,
        now: Instant,
        stream: StreamId,
        frame: FrameId,
        payload: &[u8],
    ) -> Result<(), NotifyError> {
        let Some(mut open) = self.open(stream, frame) else { return Err(NotifyError::NotNow) };
        open.out.extend_from_slice(payload);
        self.send(now, open).map_err(|(error, open)| {
            self.give_back(open);
            error
        })
    }

    /// Lends the output with a NOTIFY begun in it, for the payload to be written behind. It must come back by
    /// [`send`](Self::send) or [`give_back`](Self::give_back), and until then only [`close`](Self::close) and
    /// [`forget`](Self::forget) may be called.
    #[inline]
    pub(crate) fn open(&mut self, stream: StreamId, frame: FrameId) -> Option<Open> {
        if !self.can_notify() {
            return None;
        }
        let header = Header::of(FrameType::Notify, Flags::FIN, stream, frame);
        let mut out = std::mem::take(&mut self.out);
        let start = header::begin(header, &mut out);
        Some(Open { header, start, payload_at: out.len(), out })
    }

    /// Sends what was written into the lent output, in fragments if it must be.
    ///
    /// # Errors
    /// What was written comes back with the error.
    #[inline]
    pub(crate) fn send(&mut self, now: Instant, mut open: Open) -> Result<(), (NotifyError, Open)> {
        let terms = match self.state {
            State::Running(terms) if self.can_notify() => terms,
            _ => return Err((NotifyError::NotNow, open)),
        };
        let size = open.out.len() - open.start - LENGTH_BYTES;
        let fragmented = size > terms.frame_size_bytes_max as usize;
        let Header { stream, frame, .. } = open.header;
        if fragmented {
            self.send_fragments(open, terms)?;
        } else {
            header::end(open.start, &mut open.out);
            self.restore(open.out);
            self.traffic.frames_sent += 1;
        }
        self.in_flight.push(InFlight { stream, frame, fragmented });
        self.last_exchange = now;
        Ok(())
    }

    /// Takes the lent output back and what was begun in it away.
    pub(crate) fn give_back(&mut self, mut open: Open) {
        open.out.truncate(open.start);
        self.restore(open.out);
    }

    /// Puts the output back, before what was said meanwhile.
    #[inline]
    fn restore(&mut self, out: Vec<u8>) {
        let meanwhile = std::mem::replace(&mut self.out, out);
        if !meanwhile.is_empty() {
            self.out.extend_from_slice(&meanwhile);
        }
    }

    /// Forgets an exchange: its ACK will be skipped. If its payload is half sent an ABORT follows instead of the rest, and no
    /// ACK comes. Otherwise, without pipelining, the connection closes, because the agent must not be asked again before it
    /// has answered. Gives whether it was known.
    pub fn forget(&mut self, now: Instant, stream: StreamId, frame: FrameId) -> bool {
        let known = self.take_in_flight(stream, frame).is_some();
        if known && self.abort_fragments(stream, frame) {
            return true;
        }
        if known && self.waiting_frames_max() == 1 && !self.pipelining() {
            self.close(now, Status::NORMAL);
        }
        known
    }

    /// Says DISCONNECT, once; [`HaproxyEvent::Closed`] follows. Exchanges that wait get no answer.
    pub fn close(&mut self, now: Instant, status: Status) {
        if matches!(self.state, State::Closing { .. } | State::Closed) {
            return;
        }
        self.fragments = None;
        Disconnect::new(status).encode(FrameType::HaproxyDisconnect, &mut self.out);
        self.traffic.frames_sent += 1;
        self.state = State::Closing { deadline: now + self.config.linger };
        self.on_closed(status);
    }

    /// Whether the greeting is done and no DISCONNECT was said.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Whether our DISCONNECT is out, or in the output, and the agent's is awaited.
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. })
    }

    /// Whether nothing more will be said or heard, so that the socket may be closed once the output is out.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// The exchanges that wait, oldest first or nearly so.
    pub fn in_flight(&self) -> impl ExactSizeIterator<Item = (StreamId, FrameId)> + '_ {
        self.in_flight.iter().map(|i| (i.stream, i.frame))
    }

    /// When bytes arrived last (or the connection began).
    pub fn last_input(&self) -> Instant {
        self.last_input
    }

    fn pipelining(&self) -> bool {
        matches!(self.state, State::Running(terms) if terms.capabilities.contains(Capabilities::PIPELINING))
    }

    fn send_fragments(&mut self, open: Open, terms: Terms) -> Result<(), (NotifyError, Open)> {
        if !self.config.send_fragments || !terms.capabilities.contains(Capabilities::FRAGMENTATION) {
            return Err((NotifyError::TooBig, open));
        }
        let payload = open.out[open.payload_at..].to_vec();
        match Fragments::new(open.header, payload, terms.frame_size_bytes_max) {
            Some(fragments) => {
                self.give_back(open);
                self.fragments = Some(fragments);
                self.write_fragments(0);
                Ok(())
            }
            None => Err((NotifyError::TooBig, open)),
        }
    }

    /// Writes fragments until `before` and the output together hold enough.
    fn write_fragments(&mut self, before: usize) {
        while let Some(fragments) = &mut self.fragments {
            if before + self.out.len() >= OUTPUT_BYTES_USUAL {
                return;
            }
            self.traffic.frames_sent += 1;
            if fragments.write(&mut self.out) {
                self.fragments = None;
            }
        }
    }

    /// Gives the rest of a payload up, and says so if some of it was sent. False if there is no rest.
    fn abort_fragments(&mut self, stream: StreamId, frame: FrameId) -> bool {
        let Some(fragments) = self.take_fragments(stream, frame) else { return false };
        if !fragments.is_untouched() {
            fragments.abort(&mut self.out);
            self.traffic.frames_sent += 1;
        }
        true
    }

    /// The payload half sent, if it is this exchange's.
    fn take_fragments(&mut self, stream: StreamId, frame: FrameId) -> Option<Fragments> {
        self.fragments.take_if(|f| f.header().stream == stream && f.header().frame == frame)
    }

    /// What the agent may send: the size agreed, and ours until there is one.
    fn frame_size_bytes_max(&self) -> u32 {
        match self.state {
            State::Running(terms) => terms.frame_size_bytes_max,
            _ => self.config.frame_size_bytes_max,
        }
    }

    #[inline]
    fn on_frame(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        match (self.state, frame.header.kind) {
            (State::Running(terms), FrameType::Ack) => self.on_ack(now, terms, frame),
            (State::Running(_), FrameType::AgentDisconnect) => self.on_disconnect(frame),
            // Unknown kinds are skipped; known ones that only we may send, or a second greeting, are a breach.
            (State::Running(_), FrameType::Unknown(_)) => Ok(()),
            (State::Running(_), _) => Err(Violation::new(Status::INVALID)),
            (State::Greeting { .. }, FrameType::AgentHello) => self.on_hello(now, frame),
            (State::Greeting { .. }, FrameType::AgentDisconnect) => self.on_disconnect(frame),
            (State::Greeting { .. }, _) => Err(Violation::new(Status::INVALID)),
            (State::Closing { .. }, FrameType::AgentDisconnect) => {
                self.state = State::Closed;
                Ok(())
            }
            (State::Closing { .. } | State::Closed, _) => Ok(()),
        }
    }

    fn on_hello(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        check_control(frame.header)?;
        let hello = AgentHello::decode(frame.payload)?;
        if hello.version != Version::V2_0 {
            return Err(Violation::new(Status::BAD_VERSION));
        }
        let own = self.config.frame_size_bytes_max;
        let size = hello.max_frame_size.unwrap_or(own);
        if size > own {
            return Err(DecodeError::new(DecodeErrorKind::BadMaxFrameSize, 0).into());
        }
        let both = self.config.capabilities & hello.capabilities;
        let terms = Terms {
            frame_size_bytes_max: size,
            // Fragments go one way only, so the agent's word is enough.
            capabilities: both | (hello.capabilities & Capabilities::FRAGMENTATION),
        };
        self.state = State::Running(terms);
        self.last_exchange = now;
        self.events.push_back(Stored::Ready(terms));
        Ok(())
    }

    #[inline]
    fn on_ack(&mut self, now: Instant, terms: Terms, ack: &Frame<'_>) -> Result<(), Violation> {
        let Header { flags, stream, frame, .. } = ack.header;
        if !flags.fin() {
            return Err(Violation::new(Status::FRAGMENTATION_NOT_SUPPORTED));
        }
        let own = self.take_in_flight(stream, frame);
        if let Some(own) = &own {
            self.last_exchange = now;
            // HAProxy takes a late refusal for an empty answer; but an agent that gave up has not agreed to anything.
            if flags.abort() && own.fragmented {
                // The rest is not sent: the agent skips what it has of it, and the next frame is another NOTIFY.
                self.take_fragments(stream, frame);
                self.events.push_back(Stored::FragmentAborted { stream, frame });
                return Ok(());
            }
            // Answered before all of it was asked: the rest is not wanted.
            self.abort_fragments(stream, frame);
        } else if !terms.capabilities.contains(Capabilities::ASYNC) {
            // The answer to an exchange that was given up; without pipelining there is none such.
            if !self.pipelining() {
                return Err(Violation::new(Status::FRAME_ID_NOT_FOUND));
            }
            self.traffic.late_acks += 1;
            return Ok(());
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(ack.payload);
        let payload = start..self.arena.len();
        self.events.push_back(Stored::Ack { stream, frame, payload, own: own.is_some() });
        Ok(())
    }

    fn on_disconnect(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let disconnect = Disconnect::decode(frame.payload);
        self.on_closed(disconnect.map_or(Status::INVALID, |d| d.status));
        self.state = State::Closed;
        Ok(())
    }

    fn on_violation(&mut self, now: Instant, violation: Violation) {
        match self.state {
            // Nothing in an unreadable stream can be the answer that is awaited.
            State::Closing { .. } | State::Closed => self.state = State::Closed,
            _ => self.close(now, violation.status),
        }
    }

    fn on_closed(&mut self, status: Status) {
        if !std::mem::replace(&mut self.told_closed, true) {
            self.events.push_back(Stored::Closed(status));
        }
    }

    #[inline]
    fn take_in_flight(&mut self, stream: StreamId, frame: FrameId) -> Option<InFlight> {
        let at = self.in_flight.iter().position(|i| i.frame == frame && i.stream == stream)?;
        Some(self.in_flight.swap_remove(at))
    }
}

/// A HELLO is whole and belongs to no stream.
pub(super) fn check_control(head: Header) -> Result<(), Violation> {
    if !head.flags.fin() {
        return Err(Violation::new(Status::FRAGMENTATION_NOT_SUPPORTED));
    }
    if head.stream != StreamId(0) || head.frame != FrameId(0) {
        return Err(Violation::new(Status::INVALID));
    }
    Ok(())
}

/// What a socket is given at once of a payload in fragments.
const OUTPUT_BYTES_USUAL: usize = 64 << 10;
/// No NOTIFY is taken while so much waits to be transmitted.
const OUTPUT_BYTES_MAX: usize = 256 << 10;
