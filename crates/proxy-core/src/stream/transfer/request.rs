//! The request's way to the server.

use std::task::{Context, Poll};

use super::{KEEP_MAX, write_framing};
use crate::{
    channel::BufferPool,
    config::HttpReuse,
    http::h1::{
        connection,
        encode::{self, Encoder},
    },
    stream::{
        Conn,
        exchange::Exchange,
        fault::Fault,
        upstream::{Tries, Upstream},
    },
    txn::Direction,
};

impl Exchange {
    /// Makes the request head fit for a server; whether its connection is to be kept.
    pub(super) fn prepare_request(&mut self, conn: &mut Conn) -> bool {
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
    pub(super) fn encode_request(&mut self, conn: &mut Conn, mut upstream: Upstream, keep_server: bool) {
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
    pub(super) fn step_back(&mut self, conn: &Conn, tries: &mut Tries) {
        let Some(mut last) = self.upstream.take() else { return };
        let mut sent = std::mem::take(&mut last.side.out);
        sent.rewind();
        self.replay = Some(Box::new(sent));
        last.side.release(&conn.worker.buffers);
        tries.renew(last.slot);
    }

    /// Whether all that was sent to the server is still at hand and may be sent twice.
    pub(super) fn may_replay(&self) -> bool {
        self.method.may_repeat() && self.upstream.as_ref().is_some_and(|up| up.side.out.keep)
    }

    /// Moves as much of the request as will go without waiting.
    pub(super) fn pump_request(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Result<(), Fault> {
        let filtered = self.filters.filter_payload(Direction::Request);
        loop {
            let more = if filtered {
                self.encode_filtered_body(conn, cx)?
            } else {
                self.encode_body(conn)?;
                false
            };
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
            if more {
                continue;
            }
            if filtered && self.hold_request(conn) {
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
