//! Payload that goes through filters: decoded into the direction's channel, shown to each filter, and
//! what all have passed encoded towards the other side.

use std::task::{Context, Poll};

use super::{
    Conn,
    exchange::Exchange,
    fault::{Fault, Letters},
    filters::Filters,
    relay::{Failed, Flow},
    transfer::Response,
    upstream::Upstream,
};
use crate::{
    filter::Point,
    http::{
        Message, Version,
        h1::{encode::Encoder, parse::Length},
        text,
    },
    txn::Direction,
};

impl Exchange {
    /// The filters' last look at the request's head. Where its payload goes through filters, the framing
    /// that the head asks for afterwards is the one it gets.
    ///
    /// # Errors
    /// A filter ends the exchange.
    pub(super) async fn pass_request_head(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        self.filters.ask(conn, Point::Head(Direction::Request)).await?;
        conn.txn.req_chn.head_gone = true;
        if self.filters.begin_payload(Direction::Request) {
            self.request.length = asked_length(&conn.txn.req, self.request.length)?;
            if self.request.length == Length::Chunked {
                conn.txn.req.set_version(Version::Http11);
            }
        }
        Ok(())
    }

    /// The same for a response whose body comes in that length; how it is to go.
    ///
    /// # Errors
    /// A filter ends the exchange.
    pub(super) async fn pass_response_head(
        &mut self,
        conn: &mut Conn,
        length: Length,
    ) -> Result<Length, Fault> {
        conn.txn.res_chn.ended = matches!(length, Length::None | Length::Known(0));
        self.filters.ask(conn, Point::Head(Direction::Response)).await?;
        conn.txn.res_chn.head_gone = true;
        conn.txn.res_chn.settled = false;
        if !self.filters.begin_payload(Direction::Response) || length == Length::None {
            return Ok(length);
        }
        asked_length(&conn.txn.res, length)
    }

    /// Whether filters hold the rest of the request, or its end, back: reading on would not help.
    pub(super) fn hold_request(&self, conn: &Conn) -> bool {
        self.body.is_done() || conn.txn.req_chn.is_cut() || conn.client.input.is_full_of_data()
    }

    /// Moves body bytes from the client's input through the filters to the server's output; whether any
    /// came out of them.
    pub(super) fn encode_filtered_body(
        &mut self,
        conn: &mut Conn,
        cx: &mut Context<'_>,
    ) -> Result<bool, Fault> {
        let mut any = false;
        while !self.body_sent {
            let up = self.upstream.as_mut().expect("a transfer has a server");
            if up.side.out.unsent().len() >= conn.worker.buffers.size() {
                return Ok(any);
            }
            let n = self.filter_request(conn, cx)?;
            let up = self.upstream.as_mut().expect("a transfer has a server");
            let out = up.side.out.buf(&conn.worker.buffers);
            emit(conn.txn.req_chn.buf.unread(), n, &mut self.body_out, out, PR_500)?;
            self.drop_passed(conn, Direction::Request, n);
            if self.request_passed(conn, cx)? {
                let up = self.upstream.as_mut().expect("a transfer has a server");
                let out = up.side.out.buf(&conn.worker.buffers);
                if !self.body_out.end(&self.trailers, out) {
                    return Err(PR_500());
                }
                self.trailers.clear();
                self.body_sent = true;
                return Ok(true);
            }
            if n == 0 {
                return Ok(any);
            }
            any = true;
        }
        Ok(any)
    }

    /// Takes what there is of the request's body and shows it to the filters; how much may go on.
    pub(super) fn filter_request(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Result<usize, Fault> {
        self.take_body(conn)?;
        conn.txn.req_chn.ended = self.body.is_done();
        self.filters.pass(conn, Direction::Request, cx)
    }

    /// Forgets payload that went on.
    pub(super) fn drop_passed(&mut self, conn: &mut Conn, direction: Direction, n: usize) {
        let buf = &mut conn.txn.channel_mut(direction).buf;
        buf.consume(n);
        buf.release_if_empty(&conn.worker.buffers);
        self.filters.sent(direction, n);
    }

    /// Whether all of the request's payload has gone on and no filter holds its end back.
    pub(super) fn request_passed(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Result<bool, Fault> {
        self.passed(conn, Direction::Request, cx)
    }

    fn passed(&mut self, conn: &mut Conn, direction: Direction, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let channel = conn.txn.channel(direction);
        if !channel.ended() || !channel.buf.is_empty() {
            return Ok(false);
        }
        match self.filters.poll_ask(conn, (direction, Point::End(direction)), cx) {
            Poll::Ready(done) => done.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Sends what the filters let go of the response; ready when more of it has to be read.
    pub(super) fn poll_filtered_out(
        &mut self,
        conn: &mut Conn,
        response: &mut Response,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Fault> {
        loop {
            let mut moved = 0;
            if !response.done && conn.client.out.unsent().len() < conn.worker.buffers.size() {
                moved = self.filter_response(conn, response, cx)?;
            }
            match conn.client.poll_flush_out(&conn.worker.buffers, cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(_)) => return Err(Fault::Close(*b"CD")),
                Poll::Ready(Ok(())) if response.done || moved == 0 => return Ok(Poll::Ready(())),
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    /// Moves body bytes from the server's input through the filters to the client's output.
    fn filter_response(
        &mut self,
        conn: &mut Conn,
        response: &mut Response,
        cx: &mut Context<'_>,
    ) -> Result<usize, Fault> {
        self.take_response(conn, response)?;
        let n = self.filters.pass(conn, Direction::Response, cx)?;
        self.send_passed(conn, n, &mut response.out)?;
        if self.passed(conn, Direction::Response, cx)? {
            let out = conn.client.out.buf(&conn.worker.buffers);
            if !response.out.end(&self.trailers, out) {
                return Err(Fault::Close(*b"PD"));
            }
            response.done = true;
        }
        Ok(n)
    }

    /// Encodes the first bytes of the response's channel for the client.
    fn send_passed(&mut self, conn: &mut Conn, n: usize, encoder: &mut Encoder) -> Result<(), Fault> {
        let out = conn.client.out.buf(&conn.worker.buffers);
        emit(conn.txn.res_chn.buf.unread(), n, encoder, out, || Fault::Close(*b"PD"))?;
        self.drop_passed(conn, Direction::Response, n);
        Ok(())
    }

    /// Decodes from the server's input into the response channel, as far as there is room.
    fn take_response(&mut self, conn: &mut Conn, response: &mut Response) -> Result<(), Fault> {
        let cut = conn.txn.res_chn.is_cut();
        let up = self.upstream.as_mut().expect("a transfer has a server");
        let (input, channel) = (&mut up.side.input, &mut conn.txn.res_chn.buf);
        while !response.body.is_done() && !cut {
            channel.ensure(&conn.worker.buffers);
            let room = channel.capacity() - channel.len();
            let seen = &input.unread()[..input.len().min(room)];
            let step = response.body.step(seen, &mut self.trailers).map_err(|_| Fault::Close(*b"SD"))?;
            input.consume(step.skip);
            channel.push(&input.unread()[..step.data]);
            input.consume(step.data);
            if step.skip + step.data == 0 {
                break;
            }
        }
        conn.txn.res_chn.ended = response.body.is_done();
        Ok(())
    }

    /// Moves a service's output through the filters to the client's; whether all of it is on its way, once
    /// `ended` says that there will be no more.
    pub(super) fn filter_answer(
        &mut self,
        conn: &mut Conn,
        output: &mut Vec<u8>,
        ended: bool,
        encoder: &mut Encoder,
        cx: &mut Context<'_>,
    ) -> Result<bool, Fault> {
        let limit = conn.worker.buffers.size();
        loop {
            let channel = &mut conn.txn.res_chn;
            let taken = if channel.is_cut() {
                output.len()
            } else {
                channel.buf.ensure(&conn.worker.buffers);
                channel.buf.push(output)
            };
            output.drain(..taken);
            channel.ended = ended && output.is_empty();
            let n = self.filters.pass(conn, Direction::Response, cx)?;
            self.send_passed(conn, n, encoder)?;
            if self.passed(conn, Direction::Response, cx)? {
                return Ok(true);
            }
            if n == 0 || conn.client.out.unsent().len() >= limit {
                return Ok(false);
            }
        }
    }
}

/// Moves raw bytes one way through the filters.
pub(super) fn pump(
    conn: &mut Conn,
    upstream: &mut Upstream,
    filters: &mut Filters,
    direction: Direction,
    budget: &mut usize,
    cx: &mut Context<'_>,
) -> Flow {
    loop {
        let pool = &conn.worker.buffers;
        let (from, to, channel) = match direction {
            Direction::Request => (&mut conn.client, &mut upstream.side, &mut conn.txn.req_chn),
            Direction::Response => (&mut upstream.side, &mut conn.client, &mut conn.txn.res_chn),
        };
        match to.poll_flush_out(pool, cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Flow::Failed(Failed::To),
            Poll::Pending => return Flow::Open,
        }
        if !from.input.is_empty() {
            channel.buf.ensure(pool);
            let n = channel.buf.push(from.input.unread());
            from.input.consume(n);
        }
        channel.ended = from.eof && from.input.is_empty();
        let n = match filters.pass(conn, direction, cx) {
            Ok(n) => n,
            Err(fault) => return Flow::Refused(letters(&fault)),
        };
        let pool = &conn.worker.buffers;
        let (from, to, channel) = match direction {
            Direction::Request => (&mut conn.client, &mut upstream.side, &mut conn.txn.req_chn),
            Direction::Response => (&mut upstream.side, &mut conn.client, &mut conn.txn.res_chn),
        };
        if n > 0 {
            to.out.buf(pool).extend_from_slice(&channel.buf.unread()[..n]);
            channel.buf.consume(n);
            filters.sent(direction, n);
            continue;
        }
        if channel.ended() && channel.buf.is_empty() {
            channel.buf.release(pool);
            from.input.release(pool);
            return match to.poll_shut(cx) {
                Poll::Ready(()) => Flow::Ended,
                Poll::Pending => Flow::Open,
            };
        }
        if *budget == 0 || from.eof || from.input.is_full_of_data() || channel.buf.is_full_of_data() {
            return Flow::Open;
        }
        from.bulk = false;
        match from.poll_fill(pool, cx) {
            Poll::Ready(Ok(n)) => *budget = budget.saturating_sub(n),
            Poll::Ready(Err(_)) => return Flow::Failed(Failed::From),
            Poll::Pending => {
                channel.buf.release_if_empty(pool);
                return Flow::Open;
            }
        }
    }
}

/// Encodes the first `n` bytes of the payload. A filter that makes more of a body than its head says has
/// broken the message; where no body goes out at all, nothing does.
fn emit(
    payload: &[u8],
    n: usize,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    broken: impl FnOnce() -> Fault,
) -> Result<(), Fault> {
    let exceeds = encoder.is_identity() && n as u64 > encoder.room();
    if exceeds {
        return Err(broken());
    }
    encoder.data(&payload[..n], out);
    Ok(())
}

/// A filter has broken the request's framing.
const PR_500: fn() -> Fault = || Fault::Status(500, *b"PR");

/// How a body is to be framed after filters have changed its head: as the head says, in chunks where it
/// says nothing.
fn asked_length(message: &Message, coming: Length) -> Result<Length, Fault> {
    if !message.framing_edited() {
        return Ok(coming);
    }
    if message.header_has_token(b"transfer-encoding", b"chunked") {
        return Ok(Length::Chunked);
    }
    let Some(line) = message.header(b"content-length") else { return Ok(Length::Chunked) };
    let digits = std::str::from_utf8(text::trim(line)).ok().and_then(|digits| digits.parse().ok());
    digits.map(Length::Known).ok_or_else(PR_500)
}

fn letters(fault: &Fault) -> Letters {
    match fault {
        Fault::Close(letters) | Fault::Status(_, letters) | Fault::Reply(_, letters) => *letters,
    }
}
