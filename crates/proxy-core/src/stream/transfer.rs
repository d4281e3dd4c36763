//! An exchange with a server: the request out, the response back, both at once.

mod clocks;
mod request;
mod response;

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use self::clocks::{Activity, Clocks, Late};
use super::{
    Conn,
    deadline::{earlier, passed},
    exchange::Exchange,
    fault::{Fault, NORMAL},
    relay::relay,
    upstream::{Tries, connect},
};
use crate::{
    filter::Point,
    http::{
        Message,
        h1::{
            connection,
            decode::Decoder,
            encode::Encoder,
            parse::{Head, Length},
        },
    },
    txn::Direction,
};

/// The state of a response on its way back.
pub(super) struct Response {
    pub(super) body: Decoder,
    pub(super) out: Encoder,
    /// Payload at the front of the server's input that the decoder has passed already.
    passed: usize,
    pub(super) done: bool,
}

/// Why no response head came.
enum NoResponse {
    /// The exchange ends.
    Fault(Fault),
    /// A reused connection was closed before any byte of a response.
    Stale,
}

impl From<Fault> for NoResponse {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Exchange {
    /// Sends the request to a server of the backend and its response to the client.
    ///
    /// # Errors
    /// As [`Fault`] says; what was sent to the client by then stands in `answered`.
    pub(crate) async fn forward(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        if !self.filters.is_empty() {
            Box::pin(self.pass_request_head(conn)).await?;
        }
        let keep_server = self.prepare_request(conn);
        let mut tries = Tries::new(&conn.txn.backend);
        let head = loop {
            let upstream = connect(conn, &mut tries).await?;
            self.encode_request(conn, upstream, keep_server);
            if self.filters.want(Point::ServerSession) {
                self.filters.ask(conn, Point::ServerSession).await?;
            }
            if !self.filters.is_empty() {
                Box::pin(self.filters.begin_response(conn)).await?;
            }
            let mut clocks = self.clocks(conn);
            match poll_fn(|cx| self.poll_response(conn, &mut clocks, cx)).await {
                Ok(head) => break head,
                Err(NoResponse::Fault(fault)) => return Err(fault),
                Err(NoResponse::Stale) if self.may_replay() => self.step_back(conn, &mut tries),
                Err(NoResponse::Stale) => return Err(Fault::Status(502, *b"SH")),
            }
        };
        let now = conn.now();
        conn.txn.log.response_done = Some(now);
        let status = conn.txn.res.status();
        let server_version = conn.txn.res.version();
        let tunnel = connection::opens_tunnel(self.method.framing_name(), &self.request, status);
        if status == 101 && !tunnel {
            return Err(Fault::Status(502, *b"PH"));
        }
        self.analyse_response(conn).await?;
        let length = connection::response_length(self.method.framing_name(), status, &head);
        let mut framing = length;
        if !self.filters.is_empty() {
            framing = Box::pin(self.pass_response_head(conn, length)).await?;
        }
        let mut response = self.start_response(conn, &head, (length, framing), tunnel);
        if tunnel {
            return Box::pin(self.tunnel(conn)).await;
        }
        let mut clocks = self.clocks(conn);
        poll_fn(|cx| self.poll_body(conn, &mut response, &mut clocks, cx)).await?;
        self.keep_alive &= self.request_read();
        let reusable = keep_server
            && self.body_sent
            && length != Length::UntilClose
            && response.body.is_done()
            && connection::persists(server_version, &head);
        if let Some(upstream) = self.upstream.take_if(|_| reusable) {
            upstream.into_pool(conn);
        }
        Ok(())
    }

    fn clocks(&self, conn: &Conn) -> Clocks {
        let now = conn.now();
        Clocks {
            client: Activity::new(now, conn.timeouts().client),
            server: Activity::new(now, conn.txn.backend.timeouts.server),
        }
    }

    /// Sends the request and waits for a final response head.
    fn poll_response(
        &mut self,
        conn: &mut Conn,
        clocks: &mut Clocks,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, NoResponse>> {
        self.filters.wake();
        if self.is_killed() {
            return Poll::Ready(Err(Fault::Status(502, *b"KH").into()));
        }
        self.pump_request(conn, cx)?;
        if let Poll::Ready(done) = self.poll_response_head(conn, cx) {
            return Poll::Ready(done);
        }
        if conn.client.out.len() > 0 {
            let _ = conn.poll_flush_client(*b"CH", cx)?;
        }
        if self.body_sent {
            conn.watch_client(false, b'H', cx)?;
        }
        let for_client = self.waits_for_client();
        self.poll_clocks(conn, clocks, (for_client, !for_client), cx).map(|late| {
            Err(NoResponse::Fault(match late {
                Late::Client => Fault::Status(408, *b"cD"),
                Late::Server => Fault::Status(504, *b"sH"),
            }))
        })
    }

    /// Whether somebody has ended the server's sessions.
    fn is_killed(&self) -> bool {
        self.upstream.as_ref().is_some_and(|up| up.slot.is_killed())
    }

    /// Whether the next move of the request is the client's.
    fn waits_for_client(&self) -> bool {
        !self.body_sent
            && !self.filters.hold(Direction::Request)
            && self.upstream.as_ref().is_some_and(|up| up.side.out.is_sent())
    }

    /// Ready with whom it was waited for, when that took too long.
    fn poll_clocks(
        &mut self,
        conn: &mut Conn,
        clocks: &mut Clocks,
        (for_client, for_server): (bool, bool),
        cx: &mut Context<'_>,
    ) -> Poll<Late> {
        let now = conn.now();
        let up = &self.upstream.as_ref().expect("a transfer has a server").side;
        let client =
            clocks.client.until(conn.client.bytes_in + conn.client.bytes_out, now, conn.timeouts().client);
        let server = clocks.server.until(up.bytes_in + up.bytes_out, now, conn.txn.backend.timeouts.server);
        let (client, server) = (client.filter(|_| for_client), server.filter(|_| for_server));
        let expired = conn.deadline.poll(earlier(client, server), cx);
        expired.map(|()| if passed(client, conn.now()) { Late::Client } else { Late::Server })
    }

    /// Moves the response's body to the client, and what is left of the request to the server.
    fn poll_body(
        &mut self,
        conn: &mut Conn,
        response: &mut Response,
        clocks: &mut Clocks,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let mut budget = BYTES_PER_TURN;
        let filtered = self.filters.filter_payload(Direction::Response);
        self.filters.wake();
        if self.is_killed() {
            return Poll::Ready(Err(Fault::Close(*b"KD")));
        }
        loop {
            self.pump_request(conn, cx)?;
            let before = conn.client.bytes_out;
            let out = if filtered {
                self.poll_filtered_out(conn, response, cx)?
            } else {
                self.poll_body_out(conn, response, cx)?
            };
            match out {
                Poll::Ready(()) if response.done => return Poll::Ready(Ok(())),
                Poll::Ready(()) => {
                    if let Poll::Ready(read) = self.poll_body_in(conn, response, cx) {
                        read?;
                        budget = budget.saturating_sub(conn.client.bytes_out - before);
                        if budget == 0 {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        continue;
                    }
                }
                Poll::Pending => {}
            }
            if conn.client.out.is_sent() && self.body_sent && response.passed == 0 {
                conn.watch_client(false, b'D', cx)?;
            }
            let blocked = !conn.client.out.is_sent() || response.passed > 0;
            let awaited = (blocked || self.waits_for_client(), !blocked);
            return self.poll_clocks(conn, clocks, awaited, cx).map(|late| {
                Err(Fault::Close(match late {
                    Late::Client => *b"cD",
                    Late::Server => *b"sD",
                }))
            });
        }
    }

    /// Turns both connections into a tunnel.
    async fn tunnel(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let mut upstream = self.upstream.take().expect("a transfer has a server");
        self.keep_alive = false;
        self.letters = relay(conn, &mut upstream, None).await;
        upstream.side.release(&conn.worker.buffers);
        if self.letters == NORMAL { Ok(()) } else { Err(Fault::Close(self.letters)) }
    }
}

/// Writes the lines that say where the body ends anew.
pub(crate) fn write_framing(message: &mut Message, length: Length) {
    message.del_header(b"content-length");
    message.del_header(b"transfer-encoding");
    // These names and values are valid, and the head has just become shorter.
    let _ = match length {
        Length::Known(n) => message.add_header(b"content-length", itoa::Buffer::new().format(n).as_bytes()),
        Length::Chunked => message.add_header(b"transfer-encoding", b"chunked"),
        Length::None | Length::UntilClose => Ok(()),
    };
}

/// What is kept of a request so that it can be sent again, in bytes.
const KEEP_MAX: usize = 16 * 1024;

/// Bytes to a client before other tasks get their turn.
const BYTES_PER_TURN: u64 = 1 << 20;
