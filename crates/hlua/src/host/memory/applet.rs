//! Applets in memory: a request that arrives in pieces, a response that goes out through a window.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

use super::txn::{Headers, MemoryStream, delegate_stream};
use crate::host::{AppletHttp, AppletIo, AppletPart, AppletTcp, HostResult};

/// The bytes of either applet.
#[derive(Default)]
struct Pipe {
    /// Each piece arrives at a later poll.
    incoming: VecDeque<Vec<u8>>,
    arrived: Vec<u8>,
    sent: Vec<u8>,
    /// How much one poll takes; 0 for all.
    window: usize,
    blocked: bool,
}

impl Pipe {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.arrived.is_empty() {
            match self.incoming.pop_front() {
                Some(piece) if piece.is_empty() => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(piece) => self.arrived = piece,
                None => return Poll::Ready(Ok(&[])),
            }
        }
        Poll::Ready(Ok(&self.arrived))
    }

    fn consume(&mut self, len: usize) {
        self.arrived.drain(..len);
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.window == 0 {
            self.sent.extend_from_slice(data);
            return Poll::Ready(Ok(data.len()));
        }
        self.blocked = !self.blocked;
        if self.blocked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = data.len().min(self.window);
        self.sent.extend_from_slice(&data[..len]);
        Poll::Ready(Ok(len))
    }
}

/// An HTTP service's applet.
pub struct MemoryAppletHttp {
    /// The request line, headers, variables, log.
    pub stream: MemoryStream,
    /// The status to answer with.
    pub status: (u16, Vec<u8>),
    /// The response's header lines.
    pub response_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the head was sent.
    pub started: bool,
    pipe: Pipe,
}

impl MemoryAppletHttp {
    /// A request whose body arrives in those pieces; an empty piece is a pause.
    pub fn new(method: &str, uri: &str, headers: &[(&str, &str)], body: &[&str]) -> Box<MemoryAppletHttp> {
        let request_headers: Headers =
            headers.iter().map(|(name, value)| (Vec::from(*name), Vec::from(*value))).collect();
        let stream =
            MemoryStream { method: method.into(), uri: uri.into(), request_headers, ..Default::default() };
        let incoming = body.iter().map(|piece| Vec::from(*piece)).collect();
        Box::new(MemoryAppletHttp {
            stream,
            status: (200, Vec::new()),
            response_headers: Vec::new(),
            started: false,
            pipe: Pipe { incoming, ..Pipe::default() },
        })
    }

    /// Lets only `window` bytes of the response go at a time, every other try.
    pub fn with_window(mut self: Box<Self>, window: usize) -> Box<Self> {
        self.pipe.window = window;
        self
    }

    /// The body sent so far.
    pub fn body(&self) -> &[u8] {
        &self.pipe.sent
    }
}

delegate_stream!(MemoryAppletHttp);

impl AppletIo for MemoryAppletHttp {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.pipe.poll_fill(cx)
    }

    fn consume(&mut self, len: usize) {
        self.pipe.consume(len);
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.pipe.poll_send(cx, data)
    }
}

impl AppletHttp for MemoryAppletHttp {
    fn request(&self, part: AppletPart) -> Option<&[u8]> {
        let mut halves = self.stream.uri.splitn(2, |byte| *byte == b'?');
        let (path, query) = (halves.next(), halves.next());
        match part {
            AppletPart::Method => Some(&self.stream.method),
            AppletPart::Version => Some(b"HTTP/1.1"),
            AppletPart::Path => path,
            AppletPart::QueryString => Some(query.unwrap_or_default()),
        }
    }

    fn length(&self) -> u64 {
        self.pipe.incoming.iter().map(|piece| piece.len() as u64).sum()
    }

    fn headers(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.stream.request_headers {
            visit(name, value);
        }
    }

    fn set_status(&mut self, status: u16, reason: Option<&[u8]>) {
        self.status = (status, reason.unwrap_or_default().to_vec());
    }

    fn add_header(&mut self, name: &[u8], value: &[u8]) -> HostResult<()> {
        self.response_headers.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn start_response(&mut self) -> HostResult<()> {
        self.started = true;
        Ok(())
    }
}

/// A TCP service's applet.
pub struct MemoryAppletTcp {
    /// Variables, log.
    pub stream: MemoryStream,
    pipe: Pipe,
}

impl MemoryAppletTcp {
    /// A client that sends those pieces and closes; an empty piece is a pause.
    pub fn new(input: &[&str]) -> Box<MemoryAppletTcp> {
        let incoming = input.iter().map(|piece| Vec::from(*piece)).collect();
        Box::new(MemoryAppletTcp {
            stream: MemoryStream::default(),
            pipe: Pipe { incoming, ..Pipe::default() },
        })
    }

    /// What was sent so far.
    pub fn sent(&self) -> &[u8] {
        &self.pipe.sent
    }
}

delegate_stream!(MemoryAppletTcp);

impl AppletIo for MemoryAppletTcp {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.pipe.poll_fill(cx)
    }

    fn consume(&mut self, len: usize) {
        self.pipe.consume(len);
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.pipe.poll_send(cx, data)
    }
}

impl AppletTcp for MemoryAppletTcp {}
