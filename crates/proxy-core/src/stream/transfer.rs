//! An exchange with a server: the request out, the response back, both at once.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    Conn,
    deadline::{after, earlier, passed},
    exchange::{Exchange, Method},
    fault::{Fault, NORMAL},
    http::limits,
    relay::relay,
    upstream::{Tries, Upstream, connect},
};
use crate::{
    channel::BufferPool,
    config::HttpReuse,
    filter::Point,
    http::{
        Message, Version,
        h1::{
            connection,
            decode::Decoder,
            encode::{self, Encoder},
            parse::{self, Head, Length},
        },
    },
    txn::Direction,
};

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

/// The state of a response on its way back.
pub(super) struct Response {
    pub(super) body: Decoder,
    pub(super) out: Encoder,
    /// Payload at the front of the server's input that the decoder has passed already.
    passed: usize,
    pub(super) done: bool,
}

/// Who took too long.
enum Late {
    Client,
    Server,
}

/// When one side was active last.
struct Activity {
    bytes: u64,
    until: Option<Instant>,
}

impl Activity {
    fn new(now: Instant, timeout: Option<Duration>) -> Self {
        Self { bytes: 0, until: after(now, timeout) }
    }

    /// The deadline, moved if bytes went since the last look.
    fn until(&mut self, bytes: u64, now: Instant, timeout: Option<Duration>) -> Option<Instant> {
        if bytes != self.bytes {
            self.bytes = bytes;
            self.until = after(now, timeout);
        }
        self.until
    }
}

/// Both sides' activity during a transfer.
struct Clocks {
    client: Activity,
    server: Activity,
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

    /// Makes the request head fit for a server; whether its connection is to be kept.
    fn prepare_request(&mut self, conn: &mut Conn) -> bool {
        let (frontend, backend) = (&conn.txn.frontend.options, &conn.txn.backend.options);
        let keep_server = !(frontend.http_server_close
            || backend.http_server_close
            || frontend.httpclose
            || backend.httpclose
            || backend.http_reuse == HttpReuse::Never);
        if self.request.has_connection {
            connection::strip_hop_tokens(&mut conn.txn.req, self.request.upgrade);
        }
        if conn.txn.req.framing_edited() {
            write_framing(&mut conn.txn.req, self.request.length);
        }
        self.body_out = Encoder::new(self.request.length);
        keep_server
    }

    /// Puts the request head into the new connection's output, or what was sent to the last one.
    fn encode_request(&mut self, conn: &mut Conn, mut upstream: Upstream, keep_server: bool) {
        if let Some(replay) = self.replay.take() {
            upstream.side.out = *replay;
        } else {
            let version = conn.txn.req.version();
            // An upgrade line names `upgrade` itself; `close` beside it would contradict it.
            let token = connection::token_to_server(version, keep_server).filter(|_| !self.request.upgrade);
            encode::head(&conn.txn.req, token, upstream.side.out.buf(&conn.worker.buffers));
            upstream.side.out.keep = upstream.uses > 0;
        }
        self.upstream = Some(upstream);
    }

    /// Gives up a reused connection that was closed, and keeps what was sent on it.
    fn step_back(&mut self, conn: &Conn, tries: &mut Tries) {
        let Some(mut last) = self.upstream.take() else { return };
        let mut sent = std::mem::take(&mut last.side.out);
        sent.rewind();
        self.replay = Some(Box::new(sent));
        last.side.release(&conn.worker.buffers);
        tries.renew(last.slot);
    }

    /// Whether all that was sent to the server is still at hand and may be sent twice.
    fn may_replay(&self) -> bool {
        self.method.may_repeat() && self.upstream.as_ref().is_some_and(|up| up.side.out.keep)
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

    /// Moves as much of the request as will go without waiting.
    fn pump_request(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.filters.filter_payload(Direction::Request) {
            return self.pump_filtered_request(conn, cx);
        }
        loop {
            self.encode_body(conn)?;
            let up = self.upstream.as_mut().expect("a transfer has a server");
            let pool = &conn.worker.buffers;
            if up.deaf {
                return Ok(());
            }
            match up.side.poll_flush_out(pool, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => up.deaf = true,
                Poll::Pending => return Ok(()),
            }
            up.keep_little(pool);
            if self.body_sent || up.deaf {
                return Ok(());
            }
            match conn.client.poll_fill(pool, cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Err(Fault::Close(*b"CD")),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// Moves body bytes from the client's input to the server's output.
    fn encode_body(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let up = self.upstream.as_mut().expect("a transfer has a server");
        let pool = &conn.worker.buffers;
        while !self.body_sent {
            if up.side.out.unsent().len() >= pool.size() {
                return Ok(());
            }
            let buffered = &mut conn.txn.req_chn.buf;
            if !buffered.is_empty() {
                self.body_out.data(buffered.unread(), up.side.out.buf(pool));
                buffered.release(pool);
            }
            let input = &mut conn.client.input;
            let step =
                self.body.step(input.unread(), &mut self.trailers).map_err(|_| Fault::Status(400, *b"PR"))?;
            input.consume(step.skip);
            if step.data > 0 {
                let payload = &input.unread()[..step.data];
                self.body_out.data(payload, up.side.out.buf(pool));
                input.consume(step.data);
            }
            if self.body.is_done() {
                self.body_out.end(&self.trailers, up.side.out.buf(pool));
                self.body_sent = true;
                self.trailers.clear();
            } else if step.skip + step.data == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads until a final response head is whole. Interim ones go straight to the client.
    fn poll_response_head(
        &mut self,
        conn: &mut Conn,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, NoResponse>> {
        let bad = || Err(Fault::Status(502, *b"PH").into());
        loop {
            let up = self.upstream.as_mut().expect("a transfer has a server");
            let pool = &conn.worker.buffers;
            match up.side.poll_fill(pool, cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Err(self.server_closed())),
                Poll::Pending => return Poll::Pending,
            }
            up.side.out.keep = false;
            up.side.out.release_if_sent(pool);
            loop {
                let up = self.upstream.as_mut().expect("a transfer has a server");
                let input = &mut up.side.input;
                match parse::response(input.unread(), &limits(conn), &mut conn.txn.res) {
                    Ok(Some(head)) => {
                        input.consume(head.len);
                        if !matches!(conn.txn.res.status(), 100 | 102..=199) {
                            return Poll::Ready(Ok(head));
                        }
                        self.pass_interim(conn);
                        if conn.client.out.len() > KEEP_MAX {
                            return Poll::Ready(bad());
                        }
                    }
                    Ok(None) if input.is_full() => return Poll::Ready(bad()),
                    Ok(None) => break,
                    Err(_) => return Poll::Ready(bad()),
                }
            }
        }
    }

    fn pass_interim(&mut self, conn: &mut Conn) {
        if self.version == Version::Http11 {
            conn.txn.res.set_version(encode::OUR_VERSION);
            encode::head(&conn.txn.res, None, conn.client.out.buf(&conn.worker.buffers));
        }
        self.continued = true;
        conn.txn.res.clear();
    }

    /// The server closed before its response head was whole.
    fn server_closed(&self) -> NoResponse {
        let up = self.upstream.as_ref().expect("a transfer has a server");
        if up.uses > 0 && up.side.bytes_in == 0 {
            NoResponse::Stale
        } else {
            Fault::Status(502, *b"SH").into()
        }
    }

    /// Puts the response head into the client's output.
    ///
    /// `lengths` are how the body comes, and how a filter wants it to go.
    fn start_response(
        &mut self,
        conn: &mut Conn,
        head: &Head,
        (coming, length): (Length, Length),
        tunnel: bool,
    ) -> Response {
        let framing = self.client_framing(length);
        let res = &mut conn.txn.res;
        let status = res.status();
        let bodiless = matches!(status, 100..=199 | 204);
        if head.has_connection {
            connection::strip_hop_tokens(res, tunnel);
        }
        if (bodiless && (head.has_length || head.length == Length::Chunked))
            || framing != length
            || (res.framing_edited() && self.method != Method::Head && status != 304)
        {
            write_framing(res, if tunnel { Length::None } else { framing });
        }
        self.keep_alive &= framing != Length::UntilClose;
        self.start_answer(conn, tunnel);
        Response { body: Decoder::new(coming), out: Encoder::new(framing), passed: 0, done: false }
    }

    /// Encodes the answer's head that stands in `conn.txn.res`.
    pub(crate) fn start_answer(&mut self, conn: &mut Conn, tunnel: bool) {
        conn.txn.res.set_version(encode::OUR_VERSION);
        self.keep_alive &= !conn.stopping();
        let token = connection::token_to_client(self.version, self.keep_alive).filter(|_| !tunnel);
        encode::head(&conn.txn.res, token, conn.client.out.buf(&conn.worker.buffers));
        conn.txn.log.status = conn.txn.res.status();
        self.answered = true;
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

    /// Sends what the server's input holds; ready when nothing sendable is left.
    fn poll_body_out(
        &mut self,
        conn: &mut Conn,
        response: &mut Response,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Fault> {
        let up = self.upstream.as_mut().expect("a transfer has a server");
        let (pool, client, input) = (&conn.worker.buffers, &mut conn.client, &mut up.side.input);
        loop {
            if response.passed == 0 && !response.done {
                let step = response
                    .body
                    .step(input.unread(), &mut self.trailers)
                    .map_err(|_| Fault::Close(*b"SD"))?;
                input.consume(step.skip);
                response.passed = step.data;
                if response.passed == 0 && response.body.is_done() {
                    response.out.end(&self.trailers, client.out.buf(pool));
                    response.done = true;
                }
            }
            let direct = response.passed > COPY_MAX && response.out.is_identity();
            if response.passed > 0 && !direct && client.out.unsent().len() < pool.size() {
                response.out.data(&input.unread()[..response.passed], client.out.buf(pool));
                input.consume(response.passed);
                response.passed = 0;
                continue;
            }
            let sent = if direct {
                client.poll_send_direct(&input.unread()[..response.passed], pool, cx)
            } else {
                client.poll_flush_out(pool, cx).map_ok(|()| 0)
            };
            match sent {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(_)) => return Err(Fault::Close(*b"CD")),
                Poll::Ready(Ok(n)) => {
                    response.out.passed(n);
                    input.consume(n);
                    response.passed -= n;
                }
            }
            if response.passed == 0 && !direct {
                return Ok(Poll::Ready(()));
            }
        }
    }

    /// Reads more of the response.
    fn poll_body_in(
        &mut self,
        conn: &mut Conn,
        response: &mut Response,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let up = self.upstream.as_mut().expect("a transfer has a server");
        let pool = &conn.worker.buffers;
        if self.filters.filter_payload(Direction::Response)
            && (response.body.is_done()
                || conn.txn.res_chn.is_cut()
                || conn.txn.res_chn.buf.is_full_of_data())
        {
            // Filters hold back what there is.
            return Poll::Pending;
        }
        if up.side.input.is_full_of_data() {
            // A trailer block that does not fit.
            return Poll::Ready(Err(Fault::Close(*b"SD")));
        }
        match up.side.poll_fill(pool, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(())),
            Poll::Ready(Ok(_)) if response.body.ends_with_connection() => {
                response.body = Decoder::default();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) => Poll::Ready(Err(Fault::Close(*b"SD"))),
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

impl Upstream {
    /// Forgets what was sent once it is more than is worth keeping.
    pub(super) fn keep_little(&mut self, pool: &BufferPool) {
        if self.side.out.keep && self.side.out.len() > KEEP_MAX {
            self.side.out.keep = false;
            self.side.out.release_if_sent(pool);
        }
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
/// Payload up to this is copied behind the head instead of sent from where it is, in bytes.
const COPY_MAX: usize = 2048;
/// Bytes to a client before other tasks get their turn.
const BYTES_PER_TURN: u64 = 1 << 20;
