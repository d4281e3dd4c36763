//! One try of one request on one connection.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::Poll,
    time::{Duration, Instant},
};

use tokio::io::AsyncWrite as _;

use super::{Client, Failure, Request, idle};
use crate::{
    applet::Reply,
    host::BoxIo,
    http::{
        Message,
        h1::{
            connection::{persists, response_length},
            decode::Decoder,
            encode,
            parse::{self, Head, Limits},
        },
    },
    stream::{
        deadline::{Deadline, after},
        side::Side,
    },
    worker::Worker,
};

/// Runs `future` until it is done or `at` has passed.
async fn until<T>(timer: &mut Deadline, at: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => timer.poll(at, cx).map(|()| None),
    })
    .await
}

/// Waits.
pub(super) async fn sleep(worker: &Worker, timer: &mut Deadline, time: Duration) {
    let at = after(worker.host.now(), Some(time));
    poll_fn(|cx| timer.poll(at, cx)).await;
}

impl Client {
    /// One try: on an idle connection if there is one, else on a new one.
    pub(super) async fn attempt(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        request: &Request,
        timer: &mut Deadline,
    ) -> Result<Reply, Failure> {
        let reused = self.idle.borrow_mut().take(&request.key);
        let stale = reused.is_some();
        let io = match reused {
            Some(io) => io,
            None => self.connect(worker, request, timer).await?,
        };
        let timeout = request.timeout.unwrap_or(self.settings.server_timeout);
        let mut exchange = Exchange { side: Side::new(io), timer, timeout, worker };
        let outcome = exchange.run(request, self.settings.body_max).await;
        let mut side = exchange.side;
        side.release(&worker.buffers);
        match outcome {
            Ok((reply, keep)) => {
                if keep {
                    self.keep(worker, &request.key, side.io);
                }
                Ok(reply)
            }
            Err(Failure::Lost) if side.bytes_in > 0 => Err(Failure::Malformed),
            Err(Failure::Lost) if stale => Err(Failure::Stale),
            Err(failure) => Err(failure),
        }
    }

    async fn connect(
        &self,
        worker: &Worker,
        request: &Request,
        timer: &mut Deadline,
    ) -> Result<BoxIo, Failure> {
        let at = after(worker.host.now(), Some(self.settings.connect_timeout));
        let connected = until(timer, at, self.dial.dial(&request.key.0, request.key.1.as_ref())).await;
        connected.and_then(Result::ok).ok_or(Failure::Connect)
    }

    fn keep(self: &Rc<Self>, worker: &Rc<Worker>, key: &idle::Key, io: BoxIo) {
        let mut idle = self.idle.borrow_mut();
        idle.put(key, io, worker.host.now());
        if !std::mem::replace(&mut idle.purging, true) {
            let purge = purge(Rc::downgrade(self), Rc::downgrade(worker), Deadline::new(worker.host.timer()));
            worker.host.spawn("http client purge", Box::pin(purge));
        }
    }
}

/// Closes old connections from time to time until none is left.
async fn purge(client: Weak<Client>, worker: Weak<Worker>, mut timer: Deadline) {
    loop {
        let Some(now) = worker.upgrade().map(|worker| worker.host.now()) else { return };
        let at = after(now, Some(idle::PURGE_EVERY));
        poll_fn(|cx| timer.poll(at, cx)).await;
        let (Some(client), Some(at)) = (client.upgrade(), at) else { return };
        if !client.idle.borrow_mut().purge(at) {
            return;
        }
    }
}

/// A request under way.
struct Exchange<'a> {
    side: Side,
    timer: &'a mut Deadline,
    timeout: Duration,
    worker: &'a Worker,
}

impl Exchange<'_> {
    /// The response, and whether the connection can be used again.
    async fn run(&mut self, request: &Request, body_max: usize) -> Result<(Reply, bool), Failure> {
        let out = self.side.out.buf(&self.worker.buffers);
        encode::head(&request.head, None, out);
        out.extend_from_slice(&request.body);
        let sent = self.send().await;
        // A server may answer without having read everything, and close.
        if matches!(sent, Err(Failure::Timeout)) {
            return Err(Failure::Timeout);
        }
        let mut message = Message::default();
        let head = self.head(&mut message).await?;
        let length = response_length(request.head.method(), message.status(), &head);
        let mut decoder = Decoder::new(length);
        let body = self.body(&mut decoder, body_max).await?;
        let keep = sent.is_ok()
            && !decoder.ends_with_connection()
            && persists(message.version(), &head)
            && message.status() != 101
            && self.side.input.is_empty();
        let headers = message.headers().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()));
        let reply = Reply {
            status: message.status(),
            reason: Some(message.reason().to_vec()),
            headers: headers.collect(),
            body,
            ..Reply::default()
        };
        Ok((reply, keep))
    }

    /// Sends what waits, no longer than the timeout without progress.
    async fn send(&mut self) -> Result<(), Failure> {
        while !self.side.out.is_sent() {
            let (before, side, pool) = (self.side.bytes_out, &mut self.side, &self.worker.buffers);
            let at = after(self.worker.host.now(), Some(self.timeout));
            let moved = poll_fn(|cx| match side.poll_flush_out(pool, cx) {
                Poll::Pending if side.bytes_out != before => Poll::Ready(Ok(())),
                other => other,
            });
            until(self.timer, at, moved).await.ok_or(Failure::Timeout)??;
        }
        let at = after(self.worker.host.now(), Some(self.timeout));
        let io = &mut self.side.io;
        until(self.timer, at, poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)))
            .await
            .ok_or(Failure::Timeout)??;
        Ok(())
    }

    /// The head of the final response; those of the 100s before it are passed over, except that of an upgrade.
    async fn head(&mut self, message: &mut Message) -> Result<Head, Failure> {
        let limits = Limits {
            head_max: self.worker.buffers.size(),
            headers_max: self.worker.shared.config.global.maxhdr,
        };
        loop {
            let unread = self.side.input.unread();
            match parse::response(unread, &limits, message).map_err(|_| Failure::Malformed)? {
                Some(head) => {
                    self.side.input.consume(head.len);
                    if !matches!(message.status(), 100 | 102..=199) {
                        return Ok(head);
                    }
                }
                None if self.read().await? == 0 => return Err(Failure::Lost),
                None => {}
            }
        }
    }

    async fn body(&mut self, decoder: &mut Decoder, max: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        loop {
            let input = &mut self.side.input;
            let step = decoder.step(input.unread(), &mut trailers).map_err(|_| Failure::Malformed)?;
            if body.len() + step.data > max {
                return Err(Failure::Malformed);
            }
            input.consume(step.skip);
            body.extend_from_slice(&input.unread()[..step.data]);
            input.consume(step.data);
            if decoder.is_done() {
                return Ok(body);
            }
            if step.skip + step.data == 0 && self.read().await? == 0 {
                return if decoder.ends_with_connection() { Ok(body) } else { Err(Failure::Malformed) };
            }
        }
    }

    /// Reads some; 0 at the end.
    async fn read(&mut self) -> Result<usize, Failure> {
        if self.side.input.is_full_of_data() {
            return Err(Failure::Malformed);
        }
        let at = after(self.worker.host.now(), Some(self.timeout));
        let (side, pool) = (&mut self.side, &self.worker.buffers);
        let read = until(self.timer, at, poll_fn(|cx| side.poll_fill(pool, cx))).await;
        Ok(read.ok_or(Failure::Timeout)??)
    }
}
