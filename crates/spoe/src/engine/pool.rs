//! The engine's state: exchanges, connections, queue, back-off. Synchronous; side effects are collected and happen later.
//!
//! A NOTIFY goes to the first connection with room, so that few connections carry much and writes batch; if none has room it
//! is queued and, as far as back-off and `maxconnrate` allow, connections are opened for what is queued. A connection whose
//! greeting fails takes down those that waited for it and nobody else, and the next one is tried after a moment.
//!
//! A connection with room lends its output, so that messages are encoded where they leave from.
//!
//! **Invariants:** no NOTIFY is sent on a connection that is not greeted. Every slot that is [`Stage::Sent`] stands in its
//! connection's `in_flight`. `room` holds exactly the connections that take a NOTIFY.
//!
//! Source: SPOE.txt §2.2, §3.5.

pub(super) mod connections;

use std::task::Waker;
use std::time::Instant;

use slab::Slab;

use super::limits::{BackOff, Rate};
use super::room::Room;
use super::slots::{List, Slots, Stage};
use super::{EngineConfig, EngineStats};
use crate::connection::{EngineId, HaproxyEnd, NotifyError, Open, Traffic};
use crate::error::StreamError;
use crate::frame::header::FRAME_BYTES_MIN;
use crate::frame::{FrameId, StreamId};
use crate::host::Notice;

/// One connection of the pool.
pub(super) struct Connection {
    /// Absent until the socket is connected.
    pub(super) end: Option<HaproxyEnd>,
    /// Wakes the task that drives the socket; taken when used, so that a batch wakes it once.
    pub(super) waker: Option<Waker>,
    pub(super) started: Instant,
    greeted: bool,
    ended: bool,
    /// Gets no new NOTIFY: its agent has stalled. Closed when nothing waits on it.
    retired: bool,
    /// Its output is lent to an exchange that encodes.
    lent: bool,
}

/// The output of a connection, lent to an exchange that encodes, with the slot kept for it.
pub(super) struct Loan {
    pub(super) open: Open,
    now: Instant,
    stream: StreamId,
    key: usize,
    index: u32,
}

/// What is to be done once the pool is no longer borrowed.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) wakes: Vec<Waker>,
    pub(super) connects: Vec<usize>,
    pub(super) notices: Vec<Notice>,
}

impl Effects {
    pub(super) fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.connects.is_empty() && self.notices.is_empty()
    }
}

pub(super) struct Pool {
    pub(super) config: EngineConfig,
    pub(super) engine_id: EngineId,
    pub(super) effects: Effects,
    pub(super) connections: Slab<Connection>,
    /// Wakes the task that keeps the deadlines.
    pub(super) keeper: Option<Waker>,
    /// Whether that task has no deadline to wait for, so that the next exchange must wake it.
    keeper_idles: bool,
    pub(super) keeper_runs: bool,
    /// The engine is gone: tasks end.
    pub(super) dead: bool,
    stopping: bool,
    slots: Slots,
    spares: Vec<Vec<u8>>,
    /// The connections that take a NOTIFY now.
    room: Room,
    /// The connection that got the last exchange, where they are spread.
    turn: usize,
    greeting: usize,
    back_off: BackOff,
    connect_rate: Rate,
    error_rate: Rate,
    /// When a connection that was not allowed may be tried again.
    retry_at: Option<Instant>,
    stats: EngineStats,
}

impl Pool {
    pub(super) fn new(config: EngineConfig, engine_id: EngineId) -> Self {
        Self {
            config,
            engine_id,
            effects: Effects::default(),
            connections: Slab::new(),
            keeper: None,
            keeper_idles: false,
            keeper_runs: false,
            dead: false,
            stopping: false,
            slots: Slots::new(),
            spares: Vec::new(),
            room: Room::new(),
            turn: 0,
            greeting: 0,
            back_off: BackOff::default(),
            connect_rate: Rate::default(),
            error_rate: Rate::default(),
            retry_at: None,
            stats: EngineStats::default(),
        }
    }

    /// Lends the output of a connection with room, if there is one.
    #[inline]
    pub(super) fn lend(&mut self, now: Instant, stream: StreamId) -> Option<Loan> {
        if self.stopping {
            return None;
        }
        let key = self.pick()?;
        let index = self.slots.insert(now, stream, Stage::Sent { connection: key, at: now })?;
        let frame = self.slots.frame_id(index);
        let connection = &mut self.connections[key];
        let end = connection.end.as_mut().expect("invariant: connections with room are greeted");
        let open = end.open(stream, frame).expect("invariant: connections with room take a NOTIFY");
        connection.lent = true;
        self.room.set(key, false);
        Some(Loan { open, now, stream, key, index })
    }

    /// Takes a loan back: nothing is sent.
    pub(super) fn give_back(&mut self, loan: Loan) {
        self.slots.remove(loan.index);
        if let Some(end) = self.lender(loan.key) {
            end.give_back(loan.open);
            self.connections[loan.key].lent = false;
            self.refresh(loan.key);
        }
    }

    /// Sends what was encoded into a loan.
    #[inline]
    pub(super) fn send_loan(&mut self, loan: Loan) -> Result<(u32, FrameId), StreamError> {
        let Loan { open, now, stream, key, index } = loan;
        // Whatever the encoder did meanwhile, to the engine even, is borne.
        let sent = match self.lender(key) {
            Some(end) => end.send(now, open),
            None => Err((NotifyError::NotNow, open)),
        };
        match sent {
            Ok(()) => {
                self.stats.processed += 1;
                let connection = &mut self.connections[key];
                connection.lent = false;
                self.effects.wakes.extend(connection.waker.take());
                self.refresh(key);
                if self.config.spread > 1 {
                    self.open_for_spread(now);
                }
                self.started(index);
                Ok((index, self.slots.frame_id(index)))
            }
            Err((error, open)) => {
                let mut payload = open.payload().to_vec();
                self.give_back(Loan { open, now, stream, key, index });
                match error {
                    NotifyError::TooBig => {
                        self.stats.processed += 1;
                        self.count_error(now, StreamError::TooBig);
                        Err(StreamError::TooBig)
                    }
                    NotifyError::NotNow => self.begin(now, stream, &mut payload),
                }
            }
        }
    }

    /// Starts an exchange for which no output was lent: queues `payload`, and leaves another buffer instead.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        stream: StreamId,
        payload: &mut Vec<u8>,
    ) -> Result<(u32, FrameId), StreamError> {
        if self.stopping {
            return Err(StreamError::Interrupted);
        }
        self.stats.processed += 1;
        let begun = self.queue(now, stream, payload);
        let index = begun.inspect_err(|error| self.count_error(now, *error))?;
        self.started(index);
        // What the encoder did may have made room.
        self.send_queued(now);
        Ok((index, self.slots.frame_id(index)))
    }

    /// Counts an exchange that fails before it begins.
    pub(super) fn refuse(&mut self, now: Instant, error: StreamError) {
        self.stats.processed += 1;
        self.count_error(now, error);
    }

    /// Puts an exchange under its deadline.
    #[inline]
    fn started(&mut self, index: u32) {
        if self.config.processing_timeout.is_some() {
            self.slots.link(List::Deadlines, index);
            if std::mem::take(&mut self.keeper_idles) {
                self.effects.wakes.extend(self.keeper.take());
            }
        }
    }

    /// The connection that lent its output, if it is still there.
    fn lender(&mut self, key: usize) -> Option<&mut HaproxyEnd> {
        self.connections.get_mut(key).filter(|connection| connection.lent)?.end.as_mut()
    }

    fn queue(&mut self, now: Instant, stream: StreamId, payload: &mut Vec<u8>) -> Result<u32, StreamError> {
        let too_big = payload.len() + FRAME_BYTES_MIN > self.config.frame_size_bytes_max as usize;
        if too_big && !self.config.send_fragments {
            return Err(StreamError::TooBig);
        }
        let spare = self.spares.pop().unwrap_or_default();
        let stage = Stage::Queued { payload: std::mem::replace(payload, spare), behind: None };
        let index = self.slots.insert(now, stream, stage).ok_or(StreamError::Resources)?;
        self.slots.link(List::Queue, index);
        self.open_for_queue(now);
        if let Stage::Queued { behind, .. } = &mut self.slots.get(index).stage {
            *behind = self.connections.iter().rev().find(|(_, c)| !c.greeted && !c.ended).map(|(key, _)| key);
        }
        Ok(index)
    }

    /// Sends what is queued as far as there is room.
    fn send_queued(&mut self, now: Instant) {
        while let Some(index) = self.slots.head(List::Queue) {
            let Some(key) = self.pick() else { return };
            self.slots.unlink(List::Queue, index);
            let frame = self.slots.frame_id(index);
            let slot = self.slots.get(index);
            let stage = std::mem::replace(&mut slot.stage, Stage::Sent { connection: key, at: now });
            let Stage::Queued { payload, .. } = stage else {
                unreachable!("invariant: a slot in the queue is queued")
            };
            let stream = slot.stream;
            let connection = &mut self.connections[key];
            let end = connection.end.as_mut().expect("invariant: picked connections are greeted");
            let sent = end.notify(now, stream, frame, &payload);
            self.recycle(payload);
            match sent {
                Ok(()) => {
                    let waker = self.connections[key].waker.take();
                    self.effects.wakes.extend(waker);
                }
                Err(error) => self.finish_error(now, index, refused(error)),
            }
            self.refresh(key);
        }
    }

    /// Fails what is over its time, and opens connections that had to wait. Gives when to come again.
    pub(super) fn keep(&mut self, now: Instant) -> Option<Instant> {
        let mut expired = false;
        while let Some((index, deadline)) = self.next_deadline() {
            if deadline > now {
                break;
            }
            self.expire(now, index);
            expired = true;
        }
        if self.slots.list_len(List::Queue) == 0 {
            self.retry_at = None;
        } else if expired || self.retry_at.is_some_and(|at| at <= now) {
            // What expired made room, or showed a connection to be of no use.
            self.send_queued(now);
            self.open_for_queue(now);
        }
        let head = self.next_deadline().map(|(_, deadline)| deadline);
        let next = head.into_iter().chain(self.retry_at).min();
        self.keeper_idles = next.is_none();
        next
    }

    fn next_deadline(&mut self) -> Option<(u32, Instant)> {
        let index = self.slots.head(List::Deadlines)?;
        Some((index, self.slots.get(index).started + self.config.processing_timeout?))
    }

    fn expire(&mut self, now: Instant, index: u32) {
        let frame = self.slots.frame_id(index);
        let slot = self.slots.get(index);
        if let (Stage::Sent { connection, at }, stream) = (&slot.stage, slot.stream) {
            let (connection, at) = (*connection, *at);
            let silent = self.end(connection).last_input() <= at;
            self.forget(now, connection, stream, frame);
            if silent {
                // Not a byte since: whatever is sent there waits in vain. Others get a fresh connection.
                self.connections[connection].retired = true;
                self.refresh(connection);
                self.close_if_idle(now, connection);
            }
        }
        self.finish_error(now, index, StreamError::Timeout);
    }

    /// Gives an exchange up: its slot is free at once.
    pub(super) fn cancel(&mut self, now: Instant, index: u32, frame: FrameId) {
        let stream = self.slots.get(index).stream;
        if self.slots.find(stream, frame) != Some(index) {
            return;
        }
        match self.slots.remove(index) {
            Stage::Done(Ok(payload)) => self.recycle(payload),
            Stage::Queued { payload, .. } => {
                self.stats.abandoned += 1;
                self.recycle(payload);
            }
            Stage::Sent { connection, .. } => {
                self.stats.abandoned += 1;
                self.forget(now, connection, stream, frame);
                if self.slots.list_len(List::Queue) > 0 {
                    self.send_queued(now);
                }
                if self.stopping || self.connections[connection].retired {
                    self.close_if_idle(now, connection);
                }
            }
            Stage::Done(Err(_)) | Stage::Free(_) => {}
        }
        self.debug_assert_valid();
    }

    /// The outcome of an exchange if it is there; otherwise `waker` is woken when it is.
    #[inline]
    pub(super) fn poll(
        &mut self,
        index: u32,
        frame: FrameId,
        waker: &Waker,
    ) -> Option<Result<Vec<u8>, StreamError>> {
        debug_assert_eq!(self.slots.frame_id(index), frame, "invariant: a waiting exchange owns its slot");
        let slot = self.slots.get(index);
        if matches!(slot.stage, Stage::Done(_)) {
            let Stage::Done(outcome) = self.slots.remove(index) else {
                unreachable!("invariant: just seen to be done")
            };
            return Some(outcome);
        }
        match &mut slot.waker {
            Some(old) => old.clone_from(waker),
            None => slot.waker = Some(waker.clone()),
        }
        None
    }

    /// The answer is there.
    #[inline]
    fn finish_answer(&mut self, now: Instant, index: u32, payload: Vec<u8>) {
        self.stats.answered += 1;
        let started = self.slots.get(index).started;
        self.stats.latency.record(now.saturating_duration_since(started));
        self.finish(index, Ok(payload));
    }

    fn finish_error(&mut self, now: Instant, index: u32, error: StreamError) {
        self.count_error(now, error);
        if let Stage::Queued { payload, .. } = &mut self.slots.get(index).stage {
            let payload = std::mem::take(payload);
            self.recycle(payload);
        }
        self.finish(index, Err(error));
    }

    #[inline]
    fn finish(&mut self, index: u32, outcome: Result<Vec<u8>, StreamError>) {
        self.slots.unlink(List::Deadlines, index);
        self.slots.unlink(List::Queue, index);
        let slot = self.slots.get(index);
        slot.stage = Stage::Done(outcome);
        self.effects.wakes.extend(slot.waker.take());
    }

    fn count_error(&mut self, now: Instant, error: StreamError) {
        self.stats.errors += 1;
        self.stats.failures.count(error);
        self.error_rate.count(now);
    }

    /// Whether `maxerrrate` is used up for this second.
    pub(super) fn is_suspended(&mut self, now: Instant) -> bool {
        self.error_rate.exceeds(now, self.config.error_rate_max).is_some()
    }

    /// No new exchanges; connections close as soon as nothing waits on them.
    pub(super) fn stop(&mut self, now: Instant) {
        self.stopping = true;
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.close_if_idle(now, key);
            let waker = self.connections[key].waker.take();
            self.effects.wakes.extend(waker);
        }
    }

    /// Whether a connection that is not greeted yet has lost its purpose.
    pub(super) fn is_unwanted(&self) -> bool {
        self.dead || self.stopping && self.slots.list_len(List::Queue) == 0
    }

    /// The engine is dropped: everything ends.
    pub(super) fn kill(&mut self, now: Instant) {
        self.stop(now);
        self.dead = true;
        for index in self.slots.unfinished() {
            self.finish_error(now, index, StreamError::Interrupted);
        }
        self.effects.wakes.extend(self.keeper.take());
    }

    pub(super) fn stats(&self) -> EngineStats {
        let running = |c: &&Connection| c.greeted && !c.ended;
        let idle = |c: &&Connection| c.end.as_ref().is_some_and(|end| end.in_flight().len() == 0);
        let connections = || self.connections.iter().map(|(_, c)| c);
        let in_flight = |c: &Connection| c.end.as_ref().map_or(0, |end| end.in_flight().len());
        let mut stats = EngineStats {
            connections: self.connections.len(),
            greeting: self.greeting,
            idle: connections().filter(running).filter(idle).count(),
            queued: self.slots.list_len(List::Queue),
            waiting: connections().filter(running).map(in_flight).sum(),
            exchanges: self.slots.len(),
            ..self.stats
        };
        for end in connections().filter_map(|c| c.end.as_ref()) {
            add_traffic(&mut stats, end.traffic());
        }
        stats
    }

    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spares.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
            self.spares.push(buffer);
        }
    }

    pub(super) fn debug_assert_valid(&self) {
        if cfg!(not(debug_assertions)) {
            return;
        }
        debug_assert_eq!(
            self.greeting,
            self.connections.iter().filter(|(_, c)| !c.greeted && !c.ended).count(),
            "invariant: greeting counts the connections not greeted"
        );
        for (key, connection) in &self.connections {
            let able = connection.end.as_ref().is_some_and(HaproxyEnd::can_notify);
            debug_assert_eq!(
                self.room.contains(key),
                able && !connection.retired && !connection.lent,
                "invariant: room holds the connections that take a NOTIFY"
            );
        }
    }
}

/// Counts what a connection has moved.
pub(super) fn add_traffic(stats: &mut EngineStats, traffic: Traffic) {
    stats.frames_sent += traffic.frames_sent;
    stats.frames_received += traffic.frames_received;
    stats.late_acks += traffic.late_acks;
    stats.bytes_sent += traffic.bytes_sent;
    stats.bytes_received += traffic.bytes_received;
}

fn refused(error: NotifyError) -> StreamError {
    match error {
        NotifyError::TooBig => StreamError::TooBig,
        NotifyError::NotNow => StreamError::Unknown,
    }
}

const SPARE_MAX: usize = 64;
const SPARE_BYTES_MAX: usize = 32 << 10;
