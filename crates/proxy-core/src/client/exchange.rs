//! One try of one request on one connection.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

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
    stream::deadline::{Deadline, after},
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
        let key = (request.origin.clone(), request.to.clone());
        let reused = self.idle.borrow_mut().take(&key);
        let stale = reused.is_some();
        let io = match reused {
            Some(io) => io,
            None => self.connect(worker, request, timer).await?,
        };
        let timeout = request.timeout.unwrap_or(self.settings.server_timeout);
        let mut exchange = Exchange { io, timer, timeout, worker, input: Vec::new(), answered: false };
        match exchange.run(request, self.settings.body_max).await {
            Ok((reply, keep)) => {
                if keep {
                    self.keep(worker, key, exchange.io);
                }
                Ok(reply)
            }
            Err(Failure::Lost) if stale && !exchange.answered => Err(Failure::Stale),
            Err(Failure::Lost) if exchange.answered => Err(Failure::Malformed),
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
        let connected = until(timer, at, self.dial.dial(&request.origin, request.to.as_ref())).await;
        connected.and_then(Result::ok).ok_or(Failure::Connect)
    }

    fn keep(self: &Rc<Self>, worker: &Rc<Worker>, key: idle::Key, io: BoxIo) {
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
    io: BoxIo,
    timer: &'a mut Deadline,
    timeout: Duration,
    worker: &'a Worker,
    input: Vec<u8>,
    /// Bytes of an answer have come.
    answered: bool,
}

impl Exchange<'_> {
    /// The response, and whether the connection can be used again.
    async fn run(&mut self, request: &Request, body_max: usize) -> Result<(Reply, bool), Failure> {
        let mut out = Vec::new();
        encode::head(&request.head, None, &mut out);
        out.extend_from_slice(&request.body);
        let sent = self.send(&out).await;
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
            && self.input.is_empty();
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

    async fn send(&mut self, out: &[u8]) -> Result<(), Failure> {
        let mut sent = 0;
        while sent < out.len() {
            let at = after(self.worker.host.now(), Some(self.timeout));
            let io = &mut self.io;
            let written =
                until(self.timer, at, poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, &out[sent..])));
            match written.await.ok_or(Failure::Timeout)?? {
                0 => return Err(Failure::Lost),
                n => sent += n,
            }
        }
        let at = after(self.worker.host.now(), Some(self.timeout));
        let io = &mut self.io;
        until(self.timer, at, poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)))
            .await
            .ok_or(Failure::Timeout)??;
        Ok(())
    }

    /// The head of the final response; those of the 100s before it are passed over, except that of an upgrade.
    async fn head(&mut self, message: &mut Message) -> Result<Head, Failure> {
        let global = &self.worker.shared.config.global;
        let limits = Limits { head_max: global.bufsize, headers_max: global.maxhdr };
        loop {
            match parse::response(&self.input, &limits, message).map_err(|_| Failure::Malformed)? {
                Some(head) => {
                    self.input.drain(..head.len);
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
            let step = decoder.step(&self.input, &mut trailers).map_err(|_| Failure::Malformed)?;
            let data = step.skip..step.skip + step.data;
            if body.len() + data.len() > max {
                return Err(Failure::Malformed);
            }
            body.extend_from_slice(&self.input[data.clone()]);
            self.input.drain(..data.end);
            if decoder.is_done() {
                return Ok(body);
            }
            if data.end == 0 && self.read().await? == 0 {
                return if decoder.ends_with_connection() { Ok(body) } else { Err(Failure::Malformed) };
            }
        }
    }

    /// Reads some; 0 at the end.
    async fn read(&mut self) -> Result<usize, Failure> {
        let at = after(self.worker.host.now(), Some(self.timeout));
        let (io, input) = (&mut self.io, &mut self.input);
        let read = until(self.timer, at, poll_fn(|cx| poll_read(io, input, cx))).await;
        let n = read.ok_or(Failure::Timeout)??;
        self.answered |= n > 0;
        Ok(n)
    }
}

/// Appends what has come.
fn poll_read(io: &mut BoxIo, input: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let had = input.len();
    input.resize(had + READ_BYTES, 0);
    let mut buf = ReadBuf::new(&mut input[had..]);
    let read = Pin::new(io).poll_read(cx, &mut buf);
    let got = if read.is_ready() { buf.filled().len() } else { 0 };
    input.truncate(had + got);
    read.map_ok(|()| got)
}

/// Room made for one read, in bytes.
const READ_BYTES: usize = 16 * 1024;
