//! What a script can wait for: operations that an execution polls while the coroutine is suspended.
//!
//! An API function that must wait returns the operation; its results become the function's own on resume.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::host::{AppletIo, ConnectError, Connecting, HttpResponse, Lent, LocalFuture, Side, Socket};
use crate::value::Out;
use crate::vm::Worker;

/// What an operation gives: results for the script, or the text of an error to raise.
pub(crate) type Results = Result<Vec<Out>, String>;

/// Something to wait for. What is large is behind a pointer, since each task that sleeps holds one.
pub(crate) enum Op {
    /// `core.yield`, and forced yields: once around the host's scheduler.
    Turn {
        taken: bool,
    },
    Sleep(LocalFuture<()>),
    /// `Queue.pop_wait`: until the queue has something.
    Bell(Arc<Bell>),
    /// `core.wait`
    Wait {
        alarm: Arc<Alarm>,
        limit: Option<LocalFuture<()>>,
        /// Any poll after the first is a wake.
        by_stream: bool,
        polled: bool,
    },
    Connect(Box<Connect>),
    Receive(Box<Receive>),
    Send(Box<Send>),
    Http {
        response: LocalFuture<HttpResponse>,
    },
    AppletLine {
        taken: Vec<u8>,
    },
    AppletReceive(Box<AppletReceive>),
    AppletSend(Box<AppletSend>),
    ChannelData {
        side: Side,
        offset: usize,
        len: Option<usize>,
        line: bool,
    },
    ChannelForward {
        side: Side,
        left: usize,
        done: usize,
    },
    /// `Patref:add_bulk`: some entries a turn.
    Bulk(Box<crate::api::patref::Bulk>),
    ChannelSend(Box<ChannelSend>),
}

/// `Socket:connect`.
pub(crate) struct Connect {
    pub(crate) socket: i64,
    pub(crate) address: String,
    pub(crate) connecting: Connecting,
    pub(crate) deadline: Option<LocalFuture<()>>,
}

/// `Socket:receive`.
pub(crate) struct Receive {
    pub(crate) socket: i64,
    pub(crate) pattern: Pattern,
    pub(crate) prefix: Vec<u8>,
    pub(crate) deadline: Option<LocalFuture<()>>,
}

/// `Socket:send`.
pub(crate) struct Send {
    pub(crate) socket: i64,
    pub(crate) data: Vec<u8>,
    pub(crate) sent: usize,
    pub(crate) deadline: Option<LocalFuture<()>>,
}

/// `receive` of an applet.
pub(crate) struct AppletReceive {
    pub(crate) taken: Vec<u8>,
    pub(crate) max: usize,
    pub(crate) deadline: Option<LocalFuture<()>>,
}

/// `send` of an applet.
pub(crate) struct AppletSend {
    pub(crate) data: Vec<u8>,
    pub(crate) sent: usize,
}

/// `Channel:send`.
pub(crate) struct ChannelSend {
    pub(crate) side: Side,
    pub(crate) data: Vec<u8>,
    pub(crate) sent: usize,
}

/// What `Socket:receive` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Line,
    All,
    Bytes(usize),
}

/// What an operation may use while it is polled.
pub(crate) struct Means<'a, 'b> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) lent: &'a mut Lent,
    pub(crate) cx: &'a mut Context<'b>,
}

impl Op {
    pub(crate) fn poll(&mut self, means: &mut Means<'_, '_>) -> Poll<Results> {
        match self {
            Op::Turn { taken: true } => Poll::Ready(Ok(Vec::new())),
            Op::Turn { taken } => {
                *taken = true;
                means.cx.waker().wake_by_ref();
                Poll::Pending
            }
            Op::Sleep(sleep) => sleep.as_mut().poll(means.cx).map(|()| Ok(Vec::new())),
            Op::Bell(bell) => bell.poll(means.cx).map(|()| Ok(Vec::new())),
            Op::Wait { alarm, limit, by_stream, polled } => {
                let woken = std::mem::replace(polled, true) && *by_stream;
                if woken || alarm.poll(means.cx).is_ready() || is_past(limit.as_mut(), means.cx) {
                    return Poll::Ready(Ok(Vec::new()));
                }
                Poll::Pending
            }
            Op::Connect(connect) => poll_connect(means, connect),
            Op::Receive(receive) => poll_receive(means, receive),
            Op::Send(send) => poll_send(means, send),
            Op::Http { response } => response
                .as_mut()
                .poll(means.cx)
                .map(|response| Ok(vec![crate::api::httpclient::out(response)])),
            Op::AppletLine { taken } => poll_line(means, taken),
            Op::AppletReceive(receive) => poll_applet_receive(means, receive),
            Op::AppletSend(send) => poll_applet_send(means, send),
            Op::ChannelData { side, offset, len, line } => poll_data(means, *side, *offset, *len, *line),
            Op::Bulk(bulk) => bulk.poll(means.cx),
            Op::ChannelForward { side, left, done } => poll_forward(means, *side, left, done),
            Op::ChannelSend(send) => poll_channel_send(means, send),
        }
    }
}

pub(crate) use self::bell::{Alarm, Bell};

mod bell;

// ---- sockets ---------------------------------------------------------------------------------------------------

/// The sockets that one worker's scripts hold, by the number in their objects.
#[derive(Default)]
pub(crate) struct SocketTable {
    entries: FxHashMap<i64, SocketEntry>,
    /// Where all of them read into: what came is copied, nothing is cleared first.
    scratch: Vec<u8>,
}

/// One script socket.
pub(crate) struct SocketEntry {
    pub(crate) state: SocketState,
    pub(crate) timeout: Option<Duration>,
    received: Vec<u8>,
    /// Bytes at the front of `received` that the script has taken.
    used: usize,
}

pub(crate) enum SocketState {
    New,
    Connected(Box<dyn Socket>),
    /// The other end closed; what was received may still be read.
    Ended,
    Closed,
}

impl SocketTable {
    pub(crate) fn insert(&mut self, number: i64) {
        let entry = SocketEntry { state: SocketState::New, timeout: None, received: Vec::new(), used: 0 };
        self.entries.insert(number, entry);
    }

    pub(crate) fn get(&mut self, number: i64) -> Option<&mut SocketEntry> {
        self.entries.get_mut(&number)
    }

    pub(crate) fn remove(&mut self, number: i64) -> bool {
        self.entries.remove(&number).is_some()
    }

    /// Sockets that hold a connection.
    pub(crate) fn open_count(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry.state, SocketState::Connected(_))).count()
    }
}

fn is_past(deadline: Option<&mut LocalFuture<()>>, cx: &mut Context<'_>) -> bool {
    deadline.is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
}

fn failed(text: &str) -> Poll<Results> {
    Poll::Ready(Ok(vec![Out::Nil, Out::text(text)]))
}

fn poll_connect(means: &mut Means<'_, '_>, connect: &mut Connect) -> Poll<Results> {
    let Connect { socket: number, address, connecting, deadline } = connect;
    match connecting.as_mut().poll(means.cx) {
        Poll::Ready(Ok(socket)) => {
            let mut table = means.worker.sockets.borrow_mut();
            let Some(entry) = table.get(*number) else { return failed("Can't connect") };
            entry.state = SocketState::Connected(socket);
            Poll::Ready(Ok(vec![Out::Int(1)]))
        }
        Poll::Ready(Err(ConnectError::Unresolved)) => {
            Poll::Ready(Err(format!("connect: cannot parse destination address '{address}'")))
        }
        Poll::Ready(Err(ConnectError::Failed(_))) => failed("Can't connect"),
        Poll::Pending if is_past(deadline.as_mut(), means.cx) => failed("Can't connect"),
        Poll::Pending => Poll::Pending,
    }
}

fn poll_receive(means: &mut Means<'_, '_>, receive: &mut Receive) -> Poll<Results> {
    const CLOSED: &str = "connection closed.";
    let Receive { socket: number, pattern, prefix, deadline } = receive;
    let pattern = *pattern;
    let SocketTable { entries, scratch } = &mut *means.worker.sockets.borrow_mut();
    let Some(entry) = entries.get_mut(number) else { return failed(CLOSED) };
    scratch.resize(READ_BYTES, 0);
    loop {
        if let Some(found) = entry.take(pattern) {
            prefix.extend_from_slice(&found);
            return Poll::Ready(Ok(vec![Out::Bytes(std::mem::take(prefix))]));
        }
        let SocketState::Connected(socket) = &mut entry.state else {
            let rest = entry.take_rest();
            if rest.is_empty() && !(pattern == Pattern::All && matches!(entry.state, SocketState::Ended)) {
                return failed(CLOSED);
            }
            if pattern == Pattern::All {
                entry.state = SocketState::Closed;
            }
            prefix.extend_from_slice(&rest);
            return Poll::Ready(Ok(vec![Out::Bytes(std::mem::take(prefix))]));
        };
        match socket.poll_read(means.cx, scratch) {
            Poll::Ready(Ok(0) | Err(_)) => entry.state = SocketState::Ended,
            Poll::Ready(Ok(n)) => entry.receive(&scratch[..n.min(READ_BYTES)]),
            Poll::Pending if is_past(deadline.as_mut(), means.cx) => return failed(CLOSED),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Most bytes of one read.
const READ_BYTES: usize = 16 * 1024;

impl SocketEntry {
    /// What the pattern asks for, if it is all there.
    fn take(&mut self, pattern: Pattern) -> Option<Vec<u8>> {
        let unread = &self.received[self.used..];
        match pattern {
            Pattern::Line => {
                let end = unread.iter().position(|byte| *byte == b'\n')?;
                let line = &unread[..end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.use_up(end + 1);
                Some(line)
            }
            Pattern::Bytes(n) => {
                let taken = unread.get(..n)?.to_vec();
                self.use_up(n);
                Some(taken)
            }
            Pattern::All => None,
        }
    }

    /// All that was received and not taken.
    fn take_rest(&mut self) -> Vec<u8> {
        self.received.drain(..std::mem::take(&mut self.used));
        std::mem::take(&mut self.received)
    }

    /// Adds what came behind what was not taken yet.
    fn receive(&mut self, bytes: &[u8]) {
        self.received.drain(..std::mem::take(&mut self.used));
        self.received.extend_from_slice(bytes);
    }

    fn use_up(&mut self, n: usize) {
        self.used += n;
        if self.used == self.received.len() {
            self.take_rest();
        }
    }
}

fn poll_send(means: &mut Means<'_, '_>, send: &mut Send) -> Poll<Results> {
    let Send { socket: number, data, sent, deadline } = send;
    let gone = || Poll::Ready(Ok(vec![Out::Int(-1)]));
    let mut table = means.worker.sockets.borrow_mut();
    let Some(entry) = table.get(*number) else { return gone() };
    while *sent < data.len() {
        let SocketState::Connected(socket) = &mut entry.state else { return gone() };
        match socket.poll_write(means.cx, &data[*sent..]) {
            Poll::Ready(Ok(0) | Err(_)) => {
                entry.state = SocketState::Ended;
                return gone();
            }
            Poll::Ready(Ok(n)) => *sent += n,
            Poll::Pending if is_past(deadline.as_mut(), means.cx) => return gone(),
            Poll::Pending => return Poll::Pending,
        }
    }
    if let SocketState::Connected(socket) = &mut entry.state
        && socket.poll_flush(means.cx).is_pending()
        && !is_past(deadline.as_mut(), means.cx)
    {
        return Poll::Pending;
    }
    Poll::Ready(Ok(vec![Out::Int(data.len() as i64)]))
}

// ---- applets ---------------------------------------------------------------------------------------------------

fn applet(lent: &mut Lent) -> Result<&mut dyn AppletIo, String> {
    match lent {
        Lent::AppletHttp(applet) => Ok(&mut **applet),
        Lent::AppletTcp(applet) => Ok(&mut **applet),
        _ => Err("the applet is gone".to_string()),
    }
}

fn poll_line(means: &mut Means<'_, '_>, taken: &mut Vec<u8>) -> Poll<Results> {
    let applet = applet(means.lent)?;
    while let Ok(data) = ready!(applet.poll_fill(means.cx)) {
        if data.is_empty() {
            break;
        }
        let end = data.iter().position(|byte| *byte == b'\n');
        let len = end.map_or(data.len(), |end| end + 1);
        taken.extend_from_slice(&data[..len]);
        applet.consume(len);
        if end.is_some() {
            break;
        }
    }
    Poll::Ready(Ok(vec![Out::Bytes(std::mem::take(taken))]))
}

fn poll_applet_receive(means: &mut Means<'_, '_>, receive: &mut AppletReceive) -> Poll<Results> {
    let AppletReceive { taken, max, deadline } = receive;
    let max = *max;
    let applet = applet(means.lent)?;
    while taken.len() < max {
        match applet.poll_fill(means.cx) {
            Poll::Ready(Err(_)) => break,
            Poll::Ready(Ok([])) => break,
            Poll::Ready(Ok(data)) => {
                let len = data.len().min(max - taken.len());
                taken.extend_from_slice(&data[..len]);
                applet.consume(len);
            }
            Poll::Pending if is_past(deadline.as_mut(), means.cx) => {
                if taken.is_empty() {
                    return Poll::Ready(Ok(vec![Out::Nil]));
                }
                break;
            }
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(vec![Out::Bytes(std::mem::take(taken))]))
}

fn poll_applet_send(means: &mut Means<'_, '_>, send: &mut AppletSend) -> Poll<Results> {
    let AppletSend { data, sent } = send;
    let applet = applet(means.lent)?;
    while *sent < data.len() {
        match ready!(applet.poll_send(means.cx, &data[*sent..])) {
            Ok(n) => *sent += n,
            Err(_) => return Poll::Ready(Ok(vec![Out::Int(-1)])),
        }
    }
    Poll::Ready(Ok(vec![Out::Int(data.len() as i64)]))
}

// ---- channels --------------------------------------------------------------------------------------------------

fn channel(lent: &mut Lent, side: Side) -> Result<&mut dyn crate::host::Channel, String> {
    let Lent::Txn(txn) = lent else { return Err("the TXN is gone".to_string()) };
    txn.channel(side).ok_or_else(|| "channels: not available on this host".to_string())
}

/// Waits for `offset..offset+len` of the input, or for a whole line from `offset`.
fn poll_data(
    means: &mut Means<'_, '_>,
    side: Side,
    offset: usize,
    len: Option<usize>,
    line: bool,
) -> Poll<Results> {
    let channel = channel(means.lent, side)?;
    loop {
        let open = channel.may_recv() && !channel.is_full();
        if let Some(found) = part(channel.input(), offset, len, line, open) {
            return Poll::Ready(Ok(vec![found]));
        }
        ready!(channel.poll_change(means.cx));
    }
}

/// The asked part of the input; None to wait for more of it.
pub(crate) fn part(input: &[u8], offset: usize, len: Option<usize>, line: bool, open: bool) -> Option<Out> {
    let rest = input.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return if open { None } else { Some(Out::Nil) };
    }
    let limit = len.unwrap_or(rest.len()).min(rest.len());
    let short = len.is_some_and(|len| len > rest.len());
    if line {
        if let Some(end) = rest[..limit].iter().position(|byte| *byte == b'\n') {
            return Some(Out::text(&rest[..=end]));
        }
        return if open && (short || len.is_none()) { None } else { Some(Out::text(&rest[..limit])) };
    }
    if short && open { None } else { Some(Out::text(&rest[..limit])) }
}

fn poll_forward(means: &mut Means<'_, '_>, side: Side, left: &mut usize, done: &mut usize) -> Poll<Results> {
    let channel = channel(means.lent, side)?;
    loop {
        let n = channel.forward(*left).map_err(|error| error.to_string())?;
        *left -= n.min(*left);
        *done += n;
        if *left == 0 || !channel.may_recv() {
            return Poll::Ready(Ok(vec![Out::Int(*done as i64)]));
        }
        ready!(channel.poll_change(means.cx));
    }
}

fn poll_channel_send(means: &mut Means<'_, '_>, send: &mut ChannelSend) -> Poll<Results> {
    let ChannelSend { side, data, sent } = send;
    let channel = channel(means.lent, *side)?;
    loop {
        let n = channel.room().min(data.len() - *sent);
        let refused = |error: crate::host::HostError| error.to_string();
        if n > 0 && channel.splice(0..0, &data[*sent..*sent + n]).map_err(refused)? {
            *sent += channel.forward(n).map_err(refused)?;
        }
        if *sent == data.len() {
            return Poll::Ready(Ok(vec![Out::Int(*sent as i64)]));
        }
        ready!(channel.poll_change(means.cx));
    }
}

/// A deadline `timeout` from now, where the host has timers.
pub(crate) fn deadline(worker: &Worker, timeout: Option<Duration>) -> Option<LocalFuture<()>> {
    let at: Instant = worker.core.now() + timeout?;
    worker.core.sleep_until(at)
}
