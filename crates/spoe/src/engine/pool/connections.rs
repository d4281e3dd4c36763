//! The pool's connections: which takes what, when one is opened, what its words and its end mean to those that wait.
//!
//! Source: SPOE.txt §3.2.3, §3.5; `maxconnrate`: SPOE.txt 1.1 (HAProxy 2.8) §2.2.

use std::time::{Duration, Instant};

use super::{Connection, Pool, add_traffic};
use crate::connection::{HaproxyEnd, HaproxyEndConfig, HaproxyEvent};
use crate::engine::EngineConfig;
use crate::engine::limits::{BACK_OFF_MAX, BackOff};
use crate::engine::room::Room;
use crate::engine::slots::{List, Stage};
use crate::error::StreamError;
use crate::frame::{Capabilities, FrameId, Status, StreamId};
use crate::host::Notice;

impl Pool {
    /// The connection that takes the next NOTIFY: the first that can, so that few carry much, or where exchanges are spread
    /// the next in turn.
    #[inline]
    pub(super) fn pick(&mut self) -> Option<usize> {
        if self.config.spread <= 1 {
            return self.room.first();
        }
        let next = self.room.next_in_turn(self.turn)?;
        self.turn = next;
        Some(next)
    }

    /// Notes whether a connection has room, after whatever may have changed that.
    #[inline]
    pub(in crate::engine) fn refresh(&mut self, key: usize) {
        let connection = &self.connections[key];
        let able = connection.end.as_ref().is_some_and(HaproxyEnd::can_notify);
        self.room.set(key, able && !connection.retired && !connection.lent);
    }

    /// Opens as many connections as the queue needs and the limits allow.
    pub(super) fn open_for_queue(&mut self, now: Instant) {
        let each = if self.config.pipelining { self.config.waiting_frames_max.max(1) } else { 1 };
        self.retry_at = None;
        while self.slots.list_len(List::Queue) > self.greeting * each {
            if let Some(retry_at) = self.open(now) {
                self.retry_at = Some(retry_at);
                self.effects.wakes.extend(self.keeper.take());
                return;
            }
        }
    }

    pub(super) fn open_for_spread(&mut self, now: Instant) {
        if self.connections.len() < self.config.spread {
            self.open(now);
        }
    }

    /// Opens a connection, or tells when that may be tried again.
    fn open(&mut self, now: Instant) -> Option<Instant> {
        if let Some(until) = self.back_off.until.filter(|until| now < *until) {
            return Some(until);
        }
        if self.connections.len() >= CONNECTIONS_MAX {
            return Some(now + BACK_OFF_MAX);
        }
        if let Some(until) = self.connect_rate.exceeds(now, self.config.connect_rate_max) {
            return Some(until);
        }
        self.connect_rate.count(now);
        self.greeting += 1;
        self.stats.connects += 1;
        let connection = Connection {
            end: None,
            waker: None,
            started: now,
            greeted: false,
            ended: false,
            retired: false,
            lent: false,
        };
        let key = self.connections.insert(connection);
        self.effects.connects.push(key);
        None
    }

    /// The socket of a connection is there.
    pub(in crate::engine) fn on_connected(&mut self, now: Instant, key: usize) {
        let config = HaproxyEndConfig {
            frame_size_bytes_max: self.config.frame_size_bytes_max,
            capabilities: self.config.capabilities(),
            send_fragments: self.config.send_fragments,
            engine_id: self.engine_id,
            // The time that connecting took counts.
            hello_timeout: Some(
                (self.connections[key].started + self.config.hello_timeout).saturating_duration_since(now),
            ),
            idle_timeout: self.config.idle_timeout,
            linger: LINGER,
            waiting_frames_max: self.config.waiting_frames_max.max(1),
        };
        self.connections[key].end = Some(HaproxyEnd::new(config, now));
    }

    /// Bytes came; gives how many were used.
    pub(in crate::engine) fn on_input(&mut self, now: Instant, key: usize, bytes: &[u8]) -> usize {
        let end = self.end(key);
        // A breach of the protocol shows as a `Closed` event; nothing behind it is of use.
        let used = end.handle_input(now, bytes).unwrap_or(bytes.len());
        self.drain_events(now, key);
        used
    }

    /// The socket broke or ended.
    pub(in crate::engine) fn on_eof(&mut self, now: Instant, key: usize) {
        self.end(key).handle_eof();
        self.drain_events(now, key);
    }

    /// A deadline of the connection may have passed.
    pub(in crate::engine) fn on_timeout(&mut self, now: Instant, key: usize) {
        self.end(key).handle_timeout(now);
        self.drain_events(now, key);
    }

    /// The connection is over and its task ends.
    pub(in crate::engine) fn remove(&mut self, now: Instant, key: usize, status: Status) {
        self.on_ended(now, key, status);
        let connection = self.connections.remove(key);
        self.room.set(key, false);
        if let Some(end) = connection.end {
            add_traffic(&mut self.stats, end.traffic());
        }
        // Also while stopping: what was accepted is served.
        if !self.dead && self.slots.list_len(List::Queue) > 0 {
            self.open_for_queue(now);
        }
    }

    /// Moves output to `buf`; what that makes room for leaves with it.
    pub(in crate::engine) fn transmit(
        &mut self,
        now: impl FnOnce() -> Instant,
        key: usize,
        buf: &mut Vec<u8>,
    ) {
        let end = self.end(key);
        let full = !end.can_notify();
        end.poll_transmit(buf);
        if full && end.can_notify() {
            self.refresh(key);
            if self.slots.list_len(List::Queue) > 0 {
                self.send_queued(now());
                self.end(key).poll_transmit(buf);
            }
        }
    }

    pub(in crate::engine) fn end(&mut self, key: usize) -> &mut HaproxyEnd {
        self.connections[key].end.as_mut().expect("invariant: driven connections have an end")
    }

    pub(super) fn drain_events(&mut self, now: Instant, key: usize) {
        let mut room = false;
        loop {
            let end = self.connections[key].end.as_mut().expect("invariant: driven connections have an end");
            match end.poll_event() {
                None => break,
                Some(HaproxyEvent::Ack { stream, frame, payload, own }) => {
                    room = true;
                    let waits = self.slots.find(stream, frame);
                    let sent = waits.map(|index| (index, &self.slots.get(index).stage));
                    let Some((index, &Stage::Sent { connection, .. })) = sent else {
                        self.stats.late_acks += 1;
                        continue;
                    };
                    let mut answer = self.spares.pop().unwrap_or_default();
                    answer.clear();
                    answer.extend_from_slice(payload);
                    if !own {
                        self.forget(now, connection, stream, frame);
                    }
                    self.finish_answer(now, index, answer);
                }
                Some(HaproxyEvent::FragmentAborted { stream, frame }) => {
                    room = true;
                    if let Some(index) = self.slots.find(stream, frame) {
                        self.finish_error(now, index, StreamError::FragmentAborted);
                    }
                }
                Some(HaproxyEvent::Ready { .. }) => {
                    room = true;
                    self.connections[key].greeted = true;
                    self.greeting -= 1;
                    self.back_off = BackOff::default();
                    self.effects.notices.push(Notice::Connected);
                }
                Some(HaproxyEvent::Closed { status }) => self.on_ended(now, key, status),
            }
        }
        self.refresh(key);
        if room && self.slots.list_len(List::Queue) > 0 {
            self.send_queued(now);
        }
        if self.stopping || self.connections[key].retired {
            self.close_if_idle(now, key);
        }
    }

    /// Settles what a connection leaves behind, once.
    fn on_ended(&mut self, now: Instant, key: usize, status: Status) {
        let connection = &mut self.connections[key];
        if std::mem::replace(&mut connection.ended, true) {
            return;
        }
        let waiting: Vec<_> = connection.end.iter().flat_map(|end| end.in_flight()).collect();
        // How either side ends a connection that it has no use for.
        let idle = waiting.is_empty()
            && !connection.retired
            && matches!(status, Status::NORMAL | Status::IO | Status::TIMEOUT);
        for (stream, frame) in waiting {
            if let Some(index) = self.slots.find(stream, frame) {
                self.finish_error(now, index, StreamError::lost(status));
            }
        }
        if self.connections[key].greeted {
            self.stats.disconnects += u64::from(!idle);
            self.effects.notices.push(if idle { Notice::IdleClosed } else { Notice::Disconnected(status) });
        } else {
            self.greeting -= 1;
            self.on_greeting_failed(now, key, status);
        }
    }

    /// Fails those that waited for this connection, unless another one can take them.
    fn on_greeting_failed(&mut self, now: Instant, key: usize, status: Status) {
        if self.stopping && self.slots.list_len(List::Queue) == 0 {
            return;
        }
        self.effects.notices.push(Notice::GreetingFailed(status));
        self.stats.greetings_failed += 1;
        self.back_off.step(now);
        let usable = |c: &Connection| c.end.as_ref().is_some_and(HaproxyEnd::is_running) && !c.retired;
        let others = self.connections.iter().any(|(_, c)| usable(c));
        let others_greeting = self.greeting > 0;
        let mut at = self.slots.head(List::Queue);
        while let Some(index) = at {
            at = self.slots.next(List::Queue, index);
            let Stage::Queued { behind, .. } = &mut self.slots.get(index).stage else { continue };
            let was_behind = *behind == Some(key);
            if was_behind {
                *behind = None;
            }
            if !others && (was_behind || !others_greeting) {
                self.finish_error(now, index, StreamError::lost(status));
            }
        }
    }

    pub(super) fn forget(&mut self, now: Instant, key: usize, stream: StreamId, frame: FrameId) {
        let end = self.end(key);
        if !end.forget(now, stream, frame) {
            return;
        }
        // There may be an ABORT to send, or, where that closed the connection, a DISCONNECT; or the idle time begins.
        let (acts, runs) = (end.has_output() || end.poll_timeout().is_some(), end.is_running());
        if acts {
            let waker = self.connections[key].waker.take();
            self.effects.wakes.extend(waker);
        }
        if runs {
            self.refresh(key);
        } else {
            self.drain_events(now, key);
        }
    }

    pub(super) fn close_if_idle(&mut self, now: Instant, key: usize) {
        let status = if self.connections[key].retired { Status::TIMEOUT } else { Status::NORMAL };
        let connection = &mut self.connections[key];
        let Some(end) = &mut connection.end else { return };
        if end.is_running() && end.in_flight().len() == 0 {
            end.close(now, status);
            self.effects.wakes.extend(connection.waker.take());
            self.on_ended(now, key, status);
            self.refresh(key);
        }
    }
}

impl EngineConfig {
    fn capabilities(&self) -> Capabilities {
        let pick = |on: bool, capability| if on { capability } else { Capabilities::NONE };
        pick(self.pipelining, Capabilities::PIPELINING) | pick(self.async_acks, Capabilities::ASYNC)
    }
}

const LINGER: Duration = Duration::from_secs(1);
const CONNECTIONS_MAX: usize = Room::CAPACITY;
