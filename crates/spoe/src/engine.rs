//! The proxy's side: exchanges with an agent over a pool of connections.
//!
//! ```text
//!   filter ── exchange(stream, messages) ──▶ Pool ── bytes ──▶ a task per connection ──▶ agent
//!      ◀──────── Actions or StreamError ──────┘ ◀── ACKs ────────────┘
//! ```
//!
//! One engine serves one thread. It appends a NOTIFY to the output of a connection and wakes that connection's task once,
//! however many follow before it runs, so that they leave in one write. A per-exchange timer does not exist: all
//! exchanges have one timeout, so their deadlines form a queue and one task keeps the oldest.
//!
//! Source: SPOE.txt §1, §3.2.3, §3.5.

mod limits;
mod pool;
mod room;
mod slots;
mod stats;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::action::Actions;
use crate::connection::EngineId;
use crate::drive;
use crate::error::StreamError;
use crate::frame::{FrameId, NotifyWriter, Status, StreamId};
use crate::host::Host;
use pool::{Loan, Pool};
pub use stats::{EngineStats, Failures, Latency};

/// How an engine talks to its agent: the `spoe-agent` section, as far as the wire is concerned.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// `max-frame-size`: in bytes, length prefix not counted, at least 256.
    pub frame_size_bytes_max: u32,
    /// `option pipelining`.
    pub pipelining: bool,
    /// `option async`: takes ACKs on any connection of this engine, from agents of HAProxy's 1.7 to 3.0 era.
    pub async_acks: bool,
    /// `option send-frag-payload`: sends larger payloads in fragments to agents that take them.
    pub send_fragments: bool,
    /// `max-waiting-frames`: exchanges that may wait on a connection, at least 1.
    pub waiting_frames_max: usize,
    /// `maxconnrate`: connections opened per second; 0 is no limit.
    pub connect_rate_max: u32,
    /// `maxerrrate`: errors per second above which [`Engine::is_suspended`]; 0 is no limit.
    pub error_rate_max: u32,
    /// `timeout hello`: from the start of a connection to its greeting.
    pub hello_timeout: Duration,
    /// `timeout idle`: how long a connection is kept unused; `None` keeps it until the agent closes.
    pub idle_timeout: Option<Duration>,
    /// `timeout processing`: from the start of an exchange to its answer.
    pub processing_timeout: Option<Duration>,
    /// How many connections to spread exchanges over even if fewer would do: the number of the agent's servers. At least 1.
    pub spread: usize,
}

impl Default for EngineConfig {
    /// HAProxy's defaults for a buffer of 16 KiB, a greeting timeout of two seconds, and one connection if that is enough.
    fn default() -> Self {
        Self {
            frame_size_bytes_max: 16_380,
            pipelining: true,
            async_acks: true,
            send_fragments: true,
            waiting_frames_max: 20,
            connect_rate_max: 0,
            error_rate_max: 0,
            hello_timeout: Duration::from_secs(2),
            idle_timeout: None,
            processing_timeout: None,
            spread: 1,
        }
    }
}

/// One agent's engine on one thread. Dropping it ends its connections and fails what waits.
///
/// # Thread affinity
/// Neither `Send` nor `Sync`: one engine a worker, each with connections and an id of its own.
pub struct Engine {
    shared: Rc<Shared>,
    /// Where messages are encoded that no connection has room for.
    scratch: Cell<Vec<u8>>,
}

impl Engine {
    /// An engine without connections: the first exchange opens one.
    pub fn new(config: EngineConfig, host: Box<dyn Host>) -> Self {
        let engine_id = EngineId::from_random(host.random());
        let pool = RefCell::new(Pool::new(config, engine_id));
        Self { shared: Rc::new(Shared { host, pool }), scratch: Cell::default() }
    }

    /// Asks the agent: `encode` writes the messages, at once.
    ///
    /// If it writes none, nothing is sent and the answer is empty. Otherwise the NOTIFY is on its way, or queued, when this
    /// returns, whether the [`Exchange`] is polled or not. More than 255 arguments in a message fail with
    /// [`StreamError::TooBig`].
    pub fn exchange(&self, stream: StreamId, encode: &mut dyn FnMut(&mut NotifyWriter<'_>)) -> Exchange {
        Exchange(match self.shared.lend(stream) {
            Some(loan) => Self::encode_in_place(loan, encode),
            None => self.encode_for_queue(stream, encode),
        })
    }

    fn encode_in_place(mut loan: LoanGuard<'_>, encode: &mut dyn FnMut(&mut NotifyWriter<'_>)) -> Stage {
        // The output is ours while `encode` runs: it may panic, or call the engine, and nothing is half done.
        let mut writer = NotifyWriter::new(loan.output());
        encode(&mut writer);
        match (writer.overflowed(), writer.is_empty()) {
            (true, _) => {
                let shared = loan.shared;
                drop(loan);
                shared.with(|pool, now| pool.refuse(now, StreamError::TooBig));
                Stage::Over(StreamError::TooBig)
            }
            (false, true) => Stage::Nothing,
            (false, false) => loan.send(),
        }
    }

    fn encode_for_queue(&self, stream: StreamId, encode: &mut dyn FnMut(&mut NotifyWriter<'_>)) -> Stage {
        let mut payload = self.scratch.take();
        payload.clear();
        let mut writer = NotifyWriter::new(&mut payload);
        encode(&mut writer);
        let stage = if writer.overflowed() {
            self.shared.with(|pool, now| pool.refuse(now, StreamError::TooBig));
            Stage::Over(StreamError::TooBig)
        } else if writer.is_empty() {
            Stage::Nothing
        } else {
            let begun = self.shared.with(|pool, now| pool.begin(now, stream, &mut payload));
            self.shared.waiting(begun)
        };
        self.scratch.set(payload);
        stage
    }

    /// Whether `maxerrrate` is used up for this second: then events are skipped, without exchange, error or log.
    pub fn is_suspended(&self) -> bool {
        let mut pool = self.shared.pool.borrow_mut();
        pool.config.error_rate_max > 0 && pool.is_suspended(self.shared.host.now())
    }

    /// Stops softly: new exchanges fail with [`StreamError::Interrupted`], running ones finish, idle connections are closed
    /// with a DISCONNECT now and the others when they become idle. [`EngineStats::connections`] tells when all is done.
    pub fn stop(&self) {
        self.shared.with(|pool, now| pool.stop(now));
    }

    /// What the engine is doing and has done.
    pub fn stats(&self) -> EngineStats {
        self.shared.pool.borrow().stats()
    }

    /// The engine's name, as agents see it.
    pub fn id(&self) -> EngineId {
        self.shared.pool.borrow().engine_id
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.with(|pool, now| pool.kill(now));
    }
}

/// An exchange under way; resolves to the agent's actions or to the error that the stream sees.
///
/// # Yield and cancel safety
/// Dropping it frees all it holds at once; an answer that comes later changes nothing.
#[must_use = "dropping an exchange gives it up"]
pub struct Exchange(Stage);

enum Stage {
    Nothing,
    Over(StreamError),
    Waiting { shared: Rc<Shared>, index: u32, frame: FrameId },
    Taken,
}

impl Future for Exchange {
    type Output = Result<Actions, StreamError>;

    /// # Panics
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Waiting { shared, index, frame } = &self.0 {
            let outcome = shared.pool.borrow_mut().poll(*index, *frame, cx.waker());
            if outcome.is_none() {
                return Poll::Pending;
            }
            let Stage::Waiting { shared, .. } = std::mem::replace(&mut self.0, Stage::Taken) else {
                unreachable!("invariant: just seen to wait")
            };
            let outcome = outcome.expect("invariant: checked above");
            return Poll::Ready(outcome.map(|payload| Actions::answer(payload, shared)));
        }
        match std::mem::replace(&mut self.0, Stage::Taken) {
            Stage::Nothing => Poll::Ready(Ok(Actions::none())),
            Stage::Over(error) => Poll::Ready(Err(error)),
            Stage::Waiting { .. } | Stage::Taken => panic!("exchange polled after it was ready"),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Stage::Waiting { shared, index, frame } = &self.0 {
            shared.with(|pool, now| pool.cancel(now, *index, *frame));
        }
    }
}

/// A loan that goes back, with nothing sent, if the encoder panics or has nothing to say.
struct LoanGuard<'a> {
    shared: &'a Rc<Shared>,
    loan: Option<Loan>,
}

impl LoanGuard<'_> {
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.loan.as_mut().expect("invariant: a loan until sent or dropped").open.out
    }

    fn send(mut self) -> Stage {
        let loan = self.loan.take().expect("invariant: a loan until sent or dropped");
        let begun = self.shared.pool.borrow_mut().send_loan(loan);
        self.shared.flush();
        self.shared.waiting(begun)
    }
}

impl Drop for LoanGuard<'_> {
    fn drop(&mut self) {
        if let Some(loan) = self.loan.take() {
            self.shared.pool.borrow_mut().give_back(loan);
        }
    }
}

/// What the engine, its exchanges and its tasks share.
pub(crate) struct Shared {
    pub(crate) host: Box<dyn Host>,
    pool: RefCell<Pool>,
}

impl Shared {
    /// Works on the pool, then does what that asked for.
    fn with<T>(self: &Rc<Self>, work: impl FnOnce(&mut Pool, std::time::Instant) -> T) -> T {
        let now = self.host.now();
        let mut pool = self.pool.borrow_mut();
        let outcome = work(&mut pool, now);
        pool.debug_assert_valid();
        drop(pool);
        self.flush();
        outcome
    }

    /// Wakes, spawns and tells, with the pool free again. What that leads to is done as well.
    fn flush(self: &Rc<Self>) {
        while !self.pool.borrow().effects.is_empty() {
            let mut effects = std::mem::take(&mut self.pool.borrow_mut().effects);
            effects.wakes.drain(..).for_each(Waker::wake);
            for key in effects.connects.drain(..) {
                self.host.spawn(Box::pin(drive::run_connection(Rc::clone(self), key)));
            }
            for notice in effects.notices.drain(..) {
                self.host.notice(notice);
            }
            // The memory is kept for the next time.
            let mut pool = self.pool.borrow_mut();
            if pool.effects.is_empty() {
                pool.effects = effects;
            }
        }
    }

    #[inline]
    fn lend(self: &Rc<Self>, stream: StreamId) -> Option<LoanGuard<'_>> {
        let now = self.host.now();
        let loan = self.pool.borrow_mut().lend(now, stream)?;
        Some(LoanGuard { shared: self, loan: Some(loan) })
    }

    fn waiting(self: &Rc<Self>, begun: Result<(u32, FrameId), StreamError>) -> Stage {
        match begun {
            Ok((index, frame)) => {
                self.start_keeper();
                Stage::Waiting { shared: Rc::clone(self), index, frame }
            }
            Err(error) => Stage::Over(error),
        }
    }

    fn start_keeper(self: &Rc<Self>) {
        let started = std::mem::replace(&mut self.pool.borrow_mut().keeper_runs, true);
        if !started {
            self.host.spawn(Box::pin(drive::keep_deadlines(Rc::clone(self))));
        }
    }

    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        if let Ok(mut pool) = self.pool.try_borrow_mut() {
            pool.recycle(buffer);
        }
    }

    /// Keeps the deadlines; gives when to come again, or `None` after taking the waker to be woken by. The error is the end.
    pub(crate) fn keep(self: &Rc<Self>, cx: &Context<'_>) -> Result<Option<std::time::Instant>, ()> {
        self.with(|pool, now| {
            if pool.dead {
                return Err(());
            }
            let next = pool.keep(now);
            pool.keeper = Some(cx.waker().clone());
            Ok(next)
        })
    }

    /// When the greeting of this connection must be done.
    pub(crate) fn greeting_deadline(&self, key: usize) -> std::time::Instant {
        let pool = self.pool.borrow();
        pool.connections[key].started + pool.config.hello_timeout
    }

    /// Whether a connection still being made has lost its purpose; otherwise the task is woken when it may have.
    pub(crate) fn poll_unwanted(&self, key: usize, cx: &Context<'_>) -> bool {
        let mut pool = self.pool.borrow_mut();
        pool.connections[key].waker = Some(cx.waker().clone());
        pool.is_unwanted()
    }

    pub(crate) fn on_connected(self: &Rc<Self>, key: usize) {
        self.with(|pool, now| pool.on_connected(now, key));
    }

    pub(crate) fn on_input(self: &Rc<Self>, key: usize, bytes: &[u8]) -> usize {
        self.with(|pool, now| pool.on_input(now, key, bytes))
    }

    pub(crate) fn on_eof(self: &Rc<Self>, key: usize) {
        self.with(|pool, now| pool.on_eof(now, key));
    }

    pub(crate) fn on_timeout(self: &Rc<Self>, key: usize) {
        self.with(|pool, now| pool.on_timeout(now, key));
    }

    pub(crate) fn remove(self: &Rc<Self>, key: usize, status: Status) {
        self.with(|pool, now| pool.remove(now, key, status));
    }

    /// Moves output to `buf` unless much is in it, and takes the waker to be woken by when there is more. Gives what the
    /// driver does next.
    pub(crate) fn poll_output(
        self: &Rc<Self>,
        key: usize,
        buf: &mut Vec<u8>,
        cx: &Context<'_>,
    ) -> drive::Next {
        let mut pool = self.pool.borrow_mut();
        let unwanted = pool.is_unwanted();
        let connection = &mut pool.connections[key];
        match &mut connection.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => connection.waker = Some(cx.waker().clone()),
        }
        if buf.len() < OUTPUT_BYTES_MAX {
            pool.transmit(|| self.host.now(), key, buf);
        }
        let end = pool.end(key);
        // A connection that is not greeted by the time nobody wants it needs no farewell.
        let closed = end.is_closed() || unwanted && end.waiting_frames_max() == 0 && !end.is_closing();
        let next = drive::Next { closed, more: end.has_output(), deadline: end.poll_timeout() };
        drop(pool);
        self.flush();
        next
    }
}

/// Beyond this a socket that does not drain gets nothing more to write.
const OUTPUT_BYTES_MAX: usize = 256 << 10;
