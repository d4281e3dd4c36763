//! Services: applets that answer instead of a server.
//!
//! The service and the client meet in an [`AppletIo`]: the stream decodes the request's body into
//! it and frames what the service puts out. The head of the answer waits in the client's output
//! until the service waits, so a service that answers at once costs one write.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{
    Conn,
    exchange::{CONTINUE, Exchange, Method},
    fault::Fault,
    transfer::write_framing,
};
use crate::{
    applet::{AppletIo, Ended, Service, ServiceMaker},
    http::{
        Version,
        h1::{encode::Encoder, parse::Length},
        text,
    },
    txn::{Direction, Txn},
    worker::Worker,
};

/// A service at work.
pub(crate) struct Run {
    service: Box<dyn Service>,
    /// Its `txn` is vacant between polls.
    io: AppletIo,
    ended: Option<Ended>,
    out: Encoder,
    /// When a client that is waited for is given up.
    until: Option<Instant>,
    bytes: u64,
}

/// Why the stream has to look at a service.
enum Step {
    /// It has set the head of its answer.
    Head,
    /// It has ended and all its output is on the way.
    Ended(Ended),
}

impl Run {
    pub(crate) fn new(maker: &Arc<dyn ServiceMaker>, worker: &Worker) -> Self {
        Self {
            service: maker.clone().start(worker),
            io: AppletIo {
                txn: Txn::vacant(),
                input: Vec::new(),
                input_ended: false,
                started: false,
                output: Vec::new(),
                output_limit: worker.buffers.size(),
                client_gone: false,
            },
            ended: None,
            out: Encoder::default(),
            until: None,
            bytes: 0,
        }
    }

    /// Lets the service work once; whether it left output.
    fn turn(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> bool {
        if self.ended.is_none() {
            let mut io = std::mem::replace(&mut self.io, spare_io());
            io.txn = conn.txn.take();
            let (mut io, done) = self.service.poll(io, cx);
            conn.txn = io.txn.take();
            self.io = io;
            if let Poll::Ready(ended) = done {
                self.ended = Some(ended);
            }
        }
        !self.io.output.is_empty()
    }

    /// Pending until the client has taken too long with what is waited for from it.
    fn poll_client_late(&mut self, conn: &mut Conn, awaited: bool, cx: &mut Context<'_>) -> Poll<()> {
        let bytes = conn.client.bytes_in + conn.client.bytes_out;
        if self.until.is_none() || bytes != self.bytes {
            self.bytes = bytes;
            self.until = conn.client_deadline();
        }
        conn.deadline.poll(self.until.filter(|_| awaited), cx)
    }
}

impl Exchange {
    /// Runs an HTTP service on this exchange.
    ///
    /// # Errors
    /// The service failed (500 if nothing was sent yet), or the client is gone or too slow.
    pub(crate) async fn serve_applet(
        &mut self,
        conn: &mut Conn,
        maker: Arc<dyn ServiceMaker>,
    ) -> Result<(), Fault> {
        self.letters = *b"LR";
        if !self.filters.is_empty() {
            Box::pin(self.pass_request_head(conn)).await?;
            Box::pin(self.filters.begin_response(conn)).await?;
        }
        let mut run = Run::new(&maker, &conn.worker);
        conn.txn.service = Some(maker);
        let ended = loop {
            match poll_fn(|cx| self.poll_service(conn, &mut run, cx)).await? {
                Step::Head => self.start_service_answer(conn, &mut run).await?,
                Step::Ended(ended) => break ended,
            }
        };
        if !self.answered {
            return Err(Fault::Status(500, *b"PR"));
        }
        let whole = ended == Ended::Done && run.out.end(b"", conn.client.out.buf(&conn.worker.buffers));
        if !whole {
            conn.flush_client().await?;
            return Err(Fault::Close(*b"PD"));
        }
        self.skip_body(conn);
        self.keep_alive &= self.request_read();
        conn.flush_client().await
    }

    fn poll_service(
        &mut self,
        conn: &mut Conn,
        run: &mut Run,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Step, Fault>> {
        self.filters.wake();
        loop {
            self.feed(conn, run, cx)?;
            let ended_before = run.ended.is_some();
            let has_output = run.turn(conn, cx);
            if !self.answered {
                if run.io.started {
                    return Poll::Ready(Ok(Step::Head));
                }
                if has_output {
                    return Poll::Ready(Err(Fault::Status(500, *b"PR")));
                }
            }
            if self.answered && self.filters.filter_payload(Direction::Response) {
                let ended = run.ended.is_some();
                if !self.filter_answer(conn, &mut run.io.output, ended, &mut run.out, cx)? {
                    if self.poll_filtered_answer(conn, run, has_output, cx)? {
                        continue;
                    }
                    return run.poll_client_late(conn, true, cx).map(|()| Err(Fault::Close(*b"cD")));
                }
            } else if has_output && conn.client.out.unsent().len() < run.io.output_limit {
                run.out.data(&run.io.output, conn.client.out.buf(&conn.worker.buffers));
                run.io.output.clear();
                if run.ended.is_none() && conn.client.out.unsent().len() < run.io.output_limit {
                    continue;
                }
            }
            if let (Some(ended), true) = (run.ended, run.io.output.is_empty()) {
                return Poll::Ready(Ok(Step::Ended(ended)));
            }
            let flushed = conn.client.poll_flush_out(&conn.worker.buffers, cx);
            match flushed {
                Poll::Ready(Ok(())) if !run.io.output.is_empty() || ended_before => continue,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Close(*b"CD"))),
                Poll::Pending => {}
            }
            if flushed.is_ready() && self.wants_continue(run) {
                self.continued = true;
                conn.client.out.buf(&conn.worker.buffers).extend_from_slice(CONTINUE);
                continue;
            }
            let awaited = flushed.is_pending() || (!self.body.is_done() && run.io.input.is_empty());
            if self.poll_more(conn, run, cx)? {
                continue;
            }
            return run.poll_client_late(conn, awaited, cx).map(|()| {
                Err(if self.answered { Fault::Close(*b"cD") } else { Fault::Status(408, *b"cD") })
            });
        }
    }

    /// Sends what the filters let go of an answer that is not over; whether there is more to do at once.
    fn poll_filtered_answer(
        &mut self,
        conn: &mut Conn,
        run: &mut Run,
        has_output: bool,
        cx: &mut Context<'_>,
    ) -> Result<bool, Fault> {
        let full = conn.client.out.unsent().len() >= run.io.output_limit;
        if has_output && !full && run.io.output.is_empty() && run.ended.is_none() {
            return Ok(true);
        }
        match conn.client.poll_flush_out(&conn.worker.buffers, cx) {
            Poll::Ready(Ok(())) if full => return Ok(true),
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(_)) => return Err(Fault::Close(*b"CD")),
        }
        self.poll_more(conn, run, cx)
    }

    /// Whether the client waits to be told to send the body that the service may want.
    fn wants_continue(&self, run: &Run) -> bool {
        !self.continued && !self.answered && !self.body.is_done() && run.io.input.is_empty()
    }

    /// Decodes what the client sent into the service's input.
    fn feed(&mut self, conn: &mut Conn, run: &mut Run, cx: &mut Context<'_>) -> Result<(), Fault> {
        let limit = run.io.output_limit;
        if self.filters.filter_payload(Direction::Request) {
            return self.feed_filtered(conn, run, cx);
        }
        let buffered = &mut conn.txn.req_chn.buf;
        if !buffered.is_empty() {
            run.io.input.extend_from_slice(buffered.unread());
            buffered.release(&conn.worker.buffers);
        }
        while !self.body.is_done() && run.io.input.len() < limit {
            let input = &mut conn.client.input;
            let step =
                self.body.step(input.unread(), &mut self.trailers).map_err(|_| Fault::Status(400, *b"PR"))?;
            input.consume(step.skip);
            run.io.input.extend_from_slice(&input.unread()[..step.data]);
            input.consume(step.data);
            if step.skip + step.data == 0 {
                break;
            }
        }
        run.io.input_ended = self.body.is_done();
        Ok(())
    }

    /// The same through the filters.
    fn feed_filtered(&mut self, conn: &mut Conn, run: &mut Run, cx: &mut Context<'_>) -> Result<(), Fault> {
        while !self.body_sent && run.io.input.len() < run.io.output_limit {
            let n = self.filter_request(conn, cx)?;
            run.io.input.extend_from_slice(&conn.txn.req_chn.buf.unread()[..n]);
            self.drop_passed(conn, Direction::Request, n);
            self.body_sent = self.request_passed(conn, cx)?;
            if n == 0 {
                break;
            }
        }
        run.io.input_ended = self.body_sent;
        Ok(())
    }

    /// Reads more of the request's body, or watches the client; whether the service has news.
    fn poll_more(&mut self, conn: &mut Conn, run: &mut Run, cx: &mut Context<'_>) -> Result<bool, Fault> {
        if self.body.is_done() {
            conn.watch_client(false, b'D', cx)?;
            return Ok(false);
        }
        if run.io.input.len() >= run.io.output_limit || conn.client.input.is_full_of_data() {
            return Ok(false);
        }
        match conn.client.poll_fill(&conn.worker.buffers, cx) {
            Poll::Ready(Ok(n)) if n > 0 => Ok(true),
            Poll::Ready(_) => Err(Fault::Close(*b"CD")),
            Poll::Pending => Ok(false),
        }
    }

    /// Turns the head a service set into the answer's head.
    async fn start_service_answer(&mut self, conn: &mut Conn, run: &mut Run) -> Result<(), Fault> {
        conn.txn.begin_response_scope();
        let status = conn.txn.res.status();
        let bodiless = matches!(status, 100..=199 | 204 | 304);
        let declared = declared_length(conn).ok_or(Fault::Status(500, *b"PR"))?;
        let framing = match declared {
            _ if bodiless => Length::None,
            Some(n) => Length::Known(n),
            None if self.version == Version::Http10 => Length::UntilClose,
            None => Length::Chunked,
        };
        self.after_response(conn).await?;
        let framing = if self.filters.is_empty() {
            framing
        } else {
            let asked = Box::pin(self.pass_response_head(conn, framing)).await?;
            self.client_framing(asked)
        };
        if status != 304 && !says(conn, framing) {
            write_framing(&mut conn.txn.res, framing);
        }
        let silent = bodiless || self.method == Method::Head;
        run.out = Encoder::new(if silent { Length::None } else { framing });
        self.keep_alive &= framing != Length::UntilClose && !has_close(conn);
        crate::http::h1::connection::strip_hop_tokens(&mut conn.txn.res, false);
        let now = conn.now();
        conn.txn.log.response_done = Some(now);
        self.start_answer(conn, false);
        Ok(())
    }
}

/// Runs a TCP service on a connection; whether it ended well.
///
/// # Errors
/// The client is gone or too slow, or the service failed.
pub(crate) async fn serve_tcp(conn: &mut Conn, maker: Arc<dyn ServiceMaker>) -> Result<(), Fault> {
    let mut run = Run::new(&maker, &conn.worker);
    conn.txn.service = Some(maker);
    run.io.input.extend_from_slice(conn.txn.req_chn.buf.unread());
    conn.txn.req_chn.reset(&conn.worker.buffers);
    let ended = poll_fn(|cx| poll_tcp(conn, &mut run, cx)).await?;
    conn.flush_client().await?;
    if ended == Ended::Failed { Err(Fault::Close(*b"PD")) } else { Ok(()) }
}

fn poll_tcp(conn: &mut Conn, run: &mut Run, cx: &mut Context<'_>) -> Poll<Result<Ended, Fault>> {
    loop {
        let input = &mut conn.client.input;
        if run.io.input.len() < run.io.output_limit {
            run.io.input.extend_from_slice(input.unread());
            input.release(&conn.worker.buffers);
        }
        run.io.input_ended = conn.client.eof && input.is_empty();
        let has_output = run.turn(conn, cx);
        if has_output && conn.client.out.unsent().len() < run.io.output_limit {
            conn.client.out.buf(&conn.worker.buffers).extend_from_slice(&run.io.output);
            run.io.output.clear();
            if run.ended.is_none() && conn.client.out.unsent().len() < run.io.output_limit {
                continue;
            }
        }
        if let (Some(ended), true) = (run.ended, run.io.output.is_empty()) {
            return Poll::Ready(Ok(ended));
        }
        let flushed = conn.client.poll_flush_out(&conn.worker.buffers, cx);
        match flushed {
            Poll::Ready(Ok(())) if !run.io.output.is_empty() => continue,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Close(*b"CD"))),
            _ => {}
        }
        if !conn.client.eof && run.io.input.len() < run.io.output_limit {
            match conn.client.poll_fill(&conn.worker.buffers, cx) {
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Close(*b"CD"))),
                Poll::Pending => {}
            }
        }
        let awaited = flushed.is_pending() || (!conn.client.eof && run.io.input.is_empty());
        return run.poll_client_late(conn, awaited, cx).map(|()| Err(Fault::Close(*b"cD")));
    }
}

/// What stands in for an io that is lent out.
fn spare_io() -> AppletIo {
    AppletIo {
        txn: Txn::vacant(),
        input: Vec::new(),
        input_ended: false,
        started: false,
        output: Vec::new(),
        output_limit: 0,
        client_gone: false,
    }
}

/// The length the head declares, if it declares one; `None` for a nonsensical one.
fn declared_length(conn: &Conn) -> Option<Option<u64>> {
    let mut lines = conn.txn.res.header_lines(b"content-length");
    match (lines.next(), lines.next()) {
        (None, _) => Some(None),
        (Some(line), None) => {
            let digits = text::trim(line);
            let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            std::str::from_utf8(digits).ok().filter(|_| valid)?.parse().ok().map(Some)
        }
        _ => None,
    }
}

/// Whether the head already says so, and nothing else about where the body ends.
fn says(conn: &Conn, framing: Length) -> bool {
    let Length::Known(n) = framing else { return false };
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(n).as_bytes();
    let mut lines = conn.txn.res.header_lines(b"content-length");
    (lines.next(), lines.next()) == (Some(digits), None)
        && conn.txn.res.header(b"transfer-encoding").is_none()
}

fn has_close(conn: &Conn) -> bool {
    conn.txn.res.header_has_token(b"connection", b"close")
}
