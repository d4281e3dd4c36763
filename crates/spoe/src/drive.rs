//! The loops that move bytes between sans-IO connections and sockets: the engine's connections and its keeper of deadlines.
//!
//! Output is written before input is read, so that what was queued together leaves together; input is read until the socket
//! has no more or the turn's budget is spent.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::engine::Shared;
use crate::frame::Status;
use crate::host::{Io, Timer};

/// What a connection wants next.
pub(crate) struct Next {
    /// Nothing more will be said or heard: close once the output is out.
    pub(crate) closed: bool,
    /// There is more to write than was given.
    pub(crate) more: bool,
    /// When to handle a timeout.
    pub(crate) deadline: Option<Instant>,
}

/// Keeps the deadlines of an engine until that is gone.
pub(crate) async fn keep_deadlines(shared: Rc<Shared>) {
    let mut timer = LazyTimer::new(shared.host.timer());
    poll_fn(move |cx| {
        loop {
            let Ok(next) = shared.keep(cx) else { return Poll::Ready(()) };
            ready!(timer.poll(next, cx));
        }
    })
    .await;
}

/// One connection of an engine, from connecting to its end.
pub(crate) async fn run_connection(shared: Rc<Shared>, key: usize) {
    let mut timer = LazyTimer::new(shared.host.timer());
    let status = match connect(&shared, key, &mut timer).await {
        Ok(io) => {
            shared.on_connected(key);
            let mut socket = Socket::new(io);
            poll_fn(|cx| poll_connection(&shared, key, &mut socket, &mut timer, cx)).await
        }
        Err(status) => status,
    };
    shared.remove(key, status);
}

async fn connect(shared: &Rc<Shared>, key: usize, timer: &mut LazyTimer) -> Result<Box<dyn Io>, Status> {
    let deadline = shared.greeting_deadline(key);
    let mut connecting = pin!(shared.host.connect());
    poll_fn(|cx| {
        if shared.poll_unwanted(key, cx) {
            return Poll::Ready(Err(Status::NORMAL));
        }
        if let Poll::Ready(outcome) = connecting.as_mut().poll(cx) {
            return Poll::Ready(outcome.map_err(|_| Status::IO));
        }
        timer.poll(Some(deadline), cx).map(|()| Err(Status::TIMEOUT))
    })
    .await
}

fn poll_connection(
    shared: &Rc<Shared>,
    key: usize,
    socket: &mut Socket,
    timer: &mut LazyTimer,
    cx: &mut Context<'_>,
) -> Poll<Status> {
    for _ in 0..TURN_READS_MAX {
        let next = shared.poll_output(key, &mut socket.output, cx);
        let written = socket.poll_write(cx);
        if let Poll::Ready(Err(_)) = written {
            // What the agent said last may still be there to read; the end of the stream follows it.
            socket.output.clear();
        }
        if next.closed {
            // What an agent that is gone or silent does not take in is not worth waiting for.
            let _ = Pin::new(&mut socket.io).poll_shutdown(cx);
            return Poll::Ready(Status::IO);
        }
        match socket.poll_read(cx) {
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                shared.on_eof(key);
                return Poll::Ready(Status::IO);
            }
            Poll::Ready(Ok(_)) => {
                let used = shared.on_input(key, socket.input.bytes());
                socket.input.consume(used);
            }
            Poll::Pending if matches!(written, Poll::Ready(Err(_))) => {
                shared.on_eof(key);
                return Poll::Ready(Status::IO);
            }
            // The socket has taken in all it was given of a payload in fragments, so it gets the next piece.
            Poll::Pending if next.more && written.is_ready() => {}
            Poll::Pending => {
                ready!(timer.poll(next.deadline, cx));
                shared.on_timeout(key);
            }
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// A socket with its two buffers.
struct Socket {
    io: Box<dyn Io>,
    output: Vec<u8>,
    /// Bytes of `output` already written.
    written: usize,
    input: Input,
}

impl Socket {
    fn new(io: Box<dyn Io>) -> Self {
        Self { io, output: Vec::new(), written: 0, input: Input::default() }
    }

    /// Ready once all output is written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_write_all(&mut self.io, &mut self.output, &mut self.written, cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.io, cx)
    }
}

/// Writes `output` from `written` on; both are reset once all is out.
pub(crate) fn poll_write_all<T: AsyncWrite + Unpin + ?Sized>(
    io: &mut T,
    output: &mut Vec<u8>,
    written: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *written < output.len() {
        let n = ready!(Pin::new(&mut *io).poll_write(cx, &output[*written..]))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *written += n;
    }
    output.clear();
    *written = 0;
    Poll::Ready(Ok(()))
}

/// Bytes read and not yet used, at the front of a buffer that is initialised once and grows to the largest frame.
#[derive(Default)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, used: usize) {
        self.start += used;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once; gives the number of bytes, 0 at the end of the stream.
    pub(crate) fn poll_fill<T: AsyncRead + Unpin + ?Sized>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.len() - self.end < READ_BYTES_MIN {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.buffer.len() - self.end < READ_BYTES_MIN {
                self.buffer.resize(self.end + READ_BYTES, 0);
            }
        }
        let mut buf = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(io).poll_read(cx, &mut buf))?;
        let n = buf.filled().len();
        self.end += n;
        Poll::Ready(Ok(n))
    }
}

/// A timer that is set again only when it has to fire earlier, or has fired: deadlines that move away cost nothing.
pub(crate) struct LazyTimer<T: Timer + ?Sized = dyn Timer> {
    armed: Option<Instant>,
    timer: Box<T>,
}

impl<T: Timer + ?Sized> LazyTimer<T> {
    pub(crate) const fn new(timer: Box<T>) -> Self {
        Self { armed: None, timer }
    }

    /// Ready when `deadline` may have come; the caller looks at its clock.
    pub(crate) fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.timer.reset(deadline);
            self.armed = Some(deadline);
        }
        ready!(self.timer.poll_elapsed(cx));
        self.armed = None;
        Poll::Ready(())
    }
}

/// Reads of one connection before others get their turn.
const TURN_READS_MAX: usize = 16;
/// A buffer is moved together, then enlarged, when there is less room than this.
const READ_BYTES_MIN: usize = 2 << 10;
const READ_BYTES: usize = 8 << 10;
