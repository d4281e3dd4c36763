//! A client connection and what its task keeps between exchanges.

use std::{
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    deadline::{Deadline, after},
    fault::{Fault, Letters},
    side::Side,
};
use crate::{
    config::{Mode, Timeouts},
    host::BoxIo,
    session::Session,
    txn::{Txn, TxnData},
    worker::Worker,
};

/// The state of one connection's task. Counted as a connection of its frontend while it lives.
pub(crate) struct Conn {
    pub(crate) worker: Rc<Worker>,
    pub(crate) session: Rc<Session>,
    pub(crate) client: Side,
    pub(crate) deadline: Deadline,
    /// Vacant while the connection is idle.
    pub(crate) txn: Txn,
    /// Requests begun on this connection.
    pub(crate) requests: u32,
    /// It counts as a session, too.
    admitted: bool,
    /// When the connection was accepted or the last exchange ended.
    pub(crate) idle_since: Instant,
}

impl Conn {
    pub(crate) fn new(worker: Rc<Worker>, session: Rc<Session>, io: BoxIo) -> Self {
        session.frontend.state.fe_connections.enter();
        Self {
            client: Side::new(io),
            deadline: Deadline::new(worker.host.timer()),
            txn: Txn::vacant(),
            requests: 0,
            admitted: false,
            idle_since: session.accepted,
            worker,
            session,
        }
    }

    /// Counts it as a session from now on.
    pub(crate) fn admitted(&mut self) {
        self.admitted = true;
        self.session.frontend.state.fe_sessions.enter();
    }

    pub(crate) fn now(&self) -> Instant {
        self.worker.host.now()
    }

    /// Whether the process is on its way out: connections are not kept for further requests.
    pub(crate) fn stopping(&self) -> bool {
        self.worker.shared.stopping.load(Relaxed)
    }

    /// The frontend's timeouts.
    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.session.frontend.timeouts
    }

    /// When a client that does nothing from now on is given up.
    pub(crate) fn client_deadline(&self) -> Option<Instant> {
        after(self.now(), self.timeouts().client)
    }

    /// Makes a transaction ready for the exchange that begins now.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.txn.end();
        self.txn = Txn::new(TxnData::begin(&self.worker, &self.session, now));
        let first = self.requests == 0;
        self.txn.id = self.worker.shared.next_stream.fetch_add(1, Relaxed);
        self.txn.log.accepted = Some(self.idle_since);
        self.txn.log.wall =
            self.worker.host.wall().saturating_sub(now.saturating_duration_since(self.idle_since));
        self.txn.log.first_byte = (!first || !self.client.input.is_empty()).then_some(now);
        self.txn.log.termination = *b"----";
        self.client.bytes_in = self.client.input.len() as u64;
        self.client.bytes_out = 0;
    }

    /// Gives up the memory that only exchanges need.
    pub(crate) fn rest(&mut self) {
        self.txn.end();
        self.client.out.release(&self.worker.buffers);
        self.client.input.release_if_empty(&self.worker.buffers);
    }

    /// Whether a client that closes its sending side gives up a request that no server has yet:
    /// `option abortonclose`, the default in HTTP mode.
    pub(crate) fn aborts_on_close(&self) -> bool {
        let backend = &self.txn.backend;
        backend.options.abortonclose.unwrap_or(backend.mode == Mode::Http)
    }

    /// Takes what the client sends while something else is waited for, and sees whether it left.
    ///
    /// # Errors
    /// The connection failed, or `abort_on_close` and the client has closed its sending side.
    pub(crate) fn watch_client(
        &mut self,
        abort_on_close: bool,
        phase: u8,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let pool = &self.worker.buffers;
        while !self.client.eof && !self.client.input.is_full_of_data() {
            if self.client.poll_fill(pool, cx).is_pending() {
                break;
            }
        }
        let left = self.client.failed || (self.client.eof && abort_on_close);
        if left { Err(Fault::Close([b'C', phase])) } else { Ok(()) }
    }

    /// Marks the client's packets if a rule or a filter asked for that.
    pub(crate) fn mark_client(&mut self) {
        if let Some(marks) = self.txn.marks.take() {
            self.client.io.mark_packets(marks);
        }
    }

    /// Sends what waits for the client; ready when all is sent.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn poll_flush_client(
        &mut self,
        letters: Letters,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        self.client.poll_flush_out(&self.worker.buffers, cx).map_err(|_| Fault::Close(letters))
    }

    /// Sends what waits for the client, no longer than `timeout client` without progress.
    ///
    /// # Errors
    /// The client is gone or too slow.
    pub(crate) async fn flush_client(&mut self) -> Result<(), Fault> {
        let mut at = self.client_deadline();
        let mut sent = self.client.bytes_out;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = self.poll_flush_client(*b"CD", cx) {
                return Poll::Ready(done);
            }
            if self.client.bytes_out != sent {
                sent = self.client.bytes_out;
                at = self.client_deadline();
            }
            self.deadline.poll(at, cx).map(|()| Err(Fault::Close(*b"cD")))
        })
        .await
    }

    /// Closes our side, then takes what the client still sends for a moment, so that the answer
    /// is not lost to a reset.
    pub(crate) async fn linger(&mut self) {
        let pool = &self.worker.buffers;
        let until = Some(self.worker.host.now() + LINGER);
        let (client, deadline) = (&mut self.client, &mut self.deadline);
        let mut drained = 0;
        std::future::poll_fn(|cx| {
            if client.poll_shut(cx).is_pending() {
                return deadline.poll(until, cx);
            }
            while !client.eof && drained < LINGER_BYTES {
                client.input.release(pool);
                match client.poll_fill(pool, cx) {
                    Poll::Ready(Ok(n)) => drained += n,
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => return deadline.poll(until, cx),
                }
            }
            Poll::Ready(())
        })
        .await;
        self.client.input.release(&self.worker.buffers);
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let state = &self.session.frontend.state;
        if self.admitted {
            state.fe_sessions.leave();
        }
        state.fe_connections.leave();
    }
}

/// How long a closed connection is read from, so that its last answer arrives.
const LINGER: Duration = Duration::from_secs(1);
/// How much is read then, in bytes.
const LINGER_BYTES: usize = 1 << 20;
