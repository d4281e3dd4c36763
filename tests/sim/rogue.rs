//! An agent's connection on which its words are falsified: lengths that lie, frames said twice, silence, a close after
//! any byte.
//!
//! It stands between our agent and the network, so that what is wrong is the wire and nothing else.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use spoe::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{network::End, random::Random};

/// What is wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends after so many bytes.
    Closes(usize),
    /// Nothing is said after so many bytes.
    Stalls(usize),
    /// Each frame is said twice.
    Repeats,
    /// Each byte goes by itself.
    Trickles,
    /// The frame of that number says it is so many bytes longer than it is.
    Longer(usize, u32),
    /// The frame of that number says it has just so many bytes.
    Claims(usize, u32),
}

impl Fault {
    /// One of them.
    pub(crate) fn any(random: &mut Random) -> Self {
        let frame = random.size(0, 6);
        match random.size(0, 6) {
            0 => Self::Closes(random.size(0, 300)),
            1 => Self::Stalls(random.size(0, 300)),
            2 => Self::Repeats,
            3 => Self::Trickles,
            4 => Self::Longer(frame, random.between(1, 400) as u32),
            5 => Self::Claims(frame, random.between(0, 6) as u32),
            _ => Self::Claims(frame, u32::MAX),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A connection with a fault, or with none.
pub(crate) struct Rogue {
    end: End,
    fault: Option<Fault>,
    /// What the agent said and is no whole frame yet.
    said: Vec<u8>,
    frames: usize,
    /// What is to be sent.
    out: Vec<u8>,
    sent: usize,
}

impl Rogue {
    /// The agent's end of a connection.
    pub(crate) fn new(end: End, fault: Option<Fault>) -> Self {
        Self { end, fault, said: Vec::new(), frames: 0, out: Vec::new(), sent: 0 }
    }

    /// Takes the agent's words and puts what becomes of them into `out`.
    fn falsify(&mut self, bytes: &[u8]) {
        self.said.extend_from_slice(bytes);
        while let Ok(Some((_, used))) = Frame::split(&self.said, u32::MAX) {
            let mut frame: Vec<u8> = self.said.drain(..used).collect();
            let truth = u32::try_from(used - LENGTH_BYTES).expect("frames are small");
            let lie = match self.fault {
                Some(Fault::Longer(number, by)) if number == self.frames => truth + by,
                Some(Fault::Claims(number, length)) if number == self.frames => length,
                _ => truth,
            };
            frame[..LENGTH_BYTES].copy_from_slice(&lie.to_be_bytes());
            self.out.extend_from_slice(&frame);
            if self.fault == Some(Fault::Repeats) && self.frames > 0 {
                self.out.extend_from_slice(&frame);
            }
            self.frames += 1;
        }
    }

    /// How many bytes may still be said, ever.
    fn left(&self) -> usize {
        match self.fault {
            Some(Fault::Closes(at) | Fault::Stalls(at)) => at.saturating_sub(self.sent),
            _ => usize::MAX,
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let most = if self.fault == Some(Fault::Trickles) { 1 } else { self.out.len() };
            let most = most.min(self.left());
            if most == 0 {
                if matches!(self.fault, Some(Fault::Closes(_))) {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                self.out.clear();
                break;
            }
            let sent = ready!(Pin::new(&mut self.end).poll_write(cx, &self.out[..most]))?;
            self.out.drain(..sent);
            self.sent += sent;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Rogue {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever says nothing more is polled for reading only.
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.end).poll_read(cx, buf)
    }
}

impl AsyncWrite for Rogue {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.falsify(bytes);
        match self.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What could not go yet goes when the connection is polled next.
            _ => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The last words go first, as far as there is room.
        let _ = self.poll_send(cx);
        Pin::new(&mut self.end).poll_shutdown(cx)
    }
}

const LENGTH_BYTES: usize = spoe::frame::header::LENGTH_BYTES;
