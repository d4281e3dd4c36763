//! One end of an exchange: its connection, what came from it, and what goes to it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    channel::{Buffer, BufferPool},
    host::BoxIo,
};

/// A connection with its buffers.
pub(crate) struct Side {
    pub(crate) io: BoxIo,
    /// Received, not used yet.
    pub(crate) input: Buffer,
    /// To be sent.
    pub(crate) out: Out,
    /// The peer has closed its sending side, or the connection has failed.
    pub(crate) eof: bool,
    /// Reading or writing has failed.
    pub(crate) failed: bool,
    /// Our sending side is closed.
    pub(crate) shut: bool,
    /// Reads fill whole buffers: larger ones save system calls. Only relays ask for that.
    pub(crate) bulk: bool,
    /// Bytes received since the count was reset.
    pub(crate) bytes_in: u64,
    /// Bytes sent since the count was reset.
    pub(crate) bytes_out: u64,
}

impl Side {
    pub(crate) fn new(io: BoxIo) -> Self {
        Self {
            io,
            input: Buffer::default(),
            out: Out::default(),
            eof: false,
            failed: false,
            shut: false,
            bulk: false,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Reads once into `input`; the number of bytes, 0 at the end. Holds no buffer while it waits
    /// with nothing received. The input must not be full.
    pub(crate) fn poll_fill(&mut self, pool: &BufferPool, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        if self.bulk {
            self.input.ensure_bulk(pool);
        } else {
            self.input.ensure(pool);
        }
        let result = poll_read_into(&mut self.io, &mut self.input, cx);
        match &result {
            Poll::Pending => self.input.release_if_empty(pool),
            Poll::Ready(Ok(0)) => {
                self.eof = true;
                self.input.release_if_empty(pool);
            }
            Poll::Ready(Ok(n)) => self.bytes_in += *n as u64,
            Poll::Ready(Err(_)) => {
                self.eof = true;
                self.failed = true;
                self.input.release_if_empty(pool);
            }
        }
        result
    }

    /// Sends what is in `out` until it is empty.
    pub(crate) fn poll_flush_out(&mut self, pool: &BufferPool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_sent() {
            match Pin::new(&mut self.io).poll_write(cx, self.out.unsent()) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.out.sent += n;
                    self.bytes_out += n as u64;
                }
                Poll::Ready(result) => return Poll::Ready(Err(self.fail(result))),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.out.release_if_sent(pool);
        Poll::Ready(Ok(()))
    }

    /// Sends `out` and then `direct` in one call; how much of `direct` went.
    pub(crate) fn poll_send_direct(
        &mut self,
        direct: &[u8],
        pool: &BufferPool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let waiting = self.out.unsent().len();
        let result = if waiting == 0 {
            Pin::new(&mut self.io).poll_write(cx, direct)
        } else {
            let slices = [IoSlice::new(self.out.unsent()), IoSlice::new(direct)];
            Pin::new(&mut self.io).poll_write_vectored(cx, &slices)
        };
        match result {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.bytes_out += n as u64;
                self.out.sent += n.min(waiting);
                self.out.release_if_sent(pool);
                Poll::Ready(Ok(n.saturating_sub(waiting)))
            }
            Poll::Ready(result) => Poll::Ready(Err(self.fail(result))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Closes our sending side.
    pub(crate) fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.shut && !self.failed {
            if Pin::new(&mut self.io).poll_shutdown(cx).is_pending() {
                return Poll::Pending;
            }
            self.shut = true;
        }
        Poll::Ready(())
    }

    /// Gives all buffers back.
    pub(crate) fn release(&mut self, pool: &BufferPool) {
        self.input.release(pool);
        self.out.release(pool);
    }

    fn fail(&mut self, result: io::Result<usize>) -> io::Error {
        self.failed = true;
        result.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into())
    }
}

/// Reads once into the buffer's spare room.
pub(crate) fn poll_read_into(
    io: &mut BoxIo,
    into: &mut Buffer,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let spare = into.spare();
    debug_assert!(!spare.is_empty(), "a full buffer is not read into");
    let mut room = ReadBuf::new(spare);
    match Pin::new(io).poll_read(cx, &mut room) {
        Poll::Ready(Ok(())) => {
            let n = room.filled().len();
            into.commit(n);
            Poll::Ready(Ok(n))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}

/// Encoded bytes on their way out.
#[derive(Default)]
pub(crate) struct Out {
    buf: Vec<u8>,
    sent: usize,
    /// Keep what was sent, so that it can be sent again elsewhere.
    pub(crate) keep: bool,
}

impl Out {
    /// Where to append. Takes a vector from the pool if there is none.
    pub(crate) fn buf(&mut self, pool: &BufferPool) -> &mut Vec<u8> {
        if self.buf.capacity() == 0 {
            self.buf = pool.take_out();
        }
        &mut self.buf
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buf[self.sent..]
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent == self.buf.len()
    }

    /// Bytes held, sent ones included if they are kept.
    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    /// Makes it as if nothing had been sent.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }

    pub(crate) fn release_if_sent(&mut self, pool: &BufferPool) {
        if self.is_sent() && !self.keep && self.buf.capacity() != 0 {
            self.release(pool);
        }
    }

    pub(crate) fn release(&mut self, pool: &BufferPool) {
        pool.put_out(std::mem::take(&mut self.buf));
        self.sent = 0;
        self.keep = false;
    }
}
