//! The response's way from the server.

use std::task::{Context, Poll};

use super::{KEEP_MAX, NoResponse, Response, write_framing};
use crate::{
    http::{
        Version,
        h1::{
            connection,
            decode::Decoder,
            encode::{self, Encoder},
            parse::{self, Head, Length},
        },
    },
    stream::{
        Conn,
        exchange::{Exchange, Method},
        fault::Fault,
        http::limits,
    },
    txn::Direction,
};

impl Exchange {
    /// Reads until a final response head is whole. Interim ones go straight to the client.
    pub(super) fn poll_response_head(
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
    pub(super) fn start_response(
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

    /// Sends what the server's input holds; ready when nothing sendable is left.
    pub(super) fn poll_body_out(
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
    pub(super) fn poll_body_in(
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
}

/// Payload up to this is copied behind the head instead of sent from where it is, in bytes.
const COPY_MAX: usize = 2048;
