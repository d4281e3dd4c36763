//! An HTTP connection: exchange after exchange.

use std::{
    future::poll_fn,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
    time::Instant,
};

use super::{Conn, counted, deadline::after, exchange, reply};
use crate::{
    backend::counters::bump,
    http::h1::parse::{self, HEADERS_MAX, Head, Limits, Refused},
};

/// What becomes of the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for another request.
    KeepAlive,
    /// It is closed.
    Close,
    /// It is closed once the client has seen the answer, though the client may still be sending.
    Linger,
}

/// Serves requests until the connection ends.
pub(crate) async fn run(conn: &mut Conn) {
    let mut in_a_row = 0;
    loop {
        let arrival = {
            let mut wait = Wait::new();
            poll_fn(|cx| wait.poll(conn, cx)).await
        };
        let next = match arrival {
            Arrival::Head(head) => Box::pin(exchange::run(conn, head)).await,
            Arrival::Bad(status, letters) => Box::pin(refuse(conn, status, letters)).await,
            Arrival::Gone => Next::Close,
        };
        conn.rest();
        match next {
            Next::KeepAlive => {}
            Next::Close => return conn.client.release(&conn.worker.buffers),
            Next::Linger => return Box::pin(conn.linger()).await,
        }
        conn.idle_since = conn.now();
        in_a_row = if conn.client.input.is_empty() { 0 } else { in_a_row + 1 };
        if in_a_row >= PIPELINED_MAX {
            in_a_row = 0;
            yield_now().await;
        }
    }
}

/// How waiting for a request ended.
enum Arrival {
    Head(Head),
    /// Answer with that status (0 for none), log these letters, close.
    Bad(u16, [u8; 2]),
    /// Nothing to say: an idle connection ended.
    Gone,
}

/// Waiting for a whole request head.
struct Wait {
    /// When the first byte of this request came.
    first_byte: Option<Instant>,
    /// Input bytes known not to hold a whole head.
    checked: usize,
}

impl Wait {
    fn new() -> Self {
        Self { first_byte: None, checked: 0 }
    }

    fn poll(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Poll<Arrival> {
        loop {
            if let Some(arrival) = self.take_head(conn) {
                return Poll::Ready(arrival);
            }
            // A worker that stops softly wakes its sessions: the idle ones end at once.
            if self.first_byte.is_none() && conn.stopping() {
                return Poll::Ready(Arrival::Gone);
            }
            match conn.client.poll_fill(&conn.worker.buffers, cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(result) => return Poll::Ready(self.at_end(conn, result.is_err())),
                Poll::Pending => {
                    let limit = self.limit(conn);
                    return conn.deadline.poll(limit, cx).map(|()| self.expired(conn));
                }
            }
        }
    }

    /// Looks for a whole head in the input.
    fn take_head(&mut self, conn: &mut Conn) -> Option<Arrival> {
        if self.first_byte.is_none() {
            let empty = parse::empty_lines(conn.client.input.unread());
            conn.client.input.consume(empty);
        }
        if conn.client.input.is_empty() {
            return None;
        }
        if self.first_byte.is_none() {
            let now = conn.now();
            self.first_byte = Some(now);
            conn.begin(now);
        }
        let input = conn.client.input.unread();
        let fresh = &input[self.checked.min(input.len())..];
        let full = conn.client.input.is_full();
        if memchr::memchr(b'\n', fresh).is_none() && !full {
            self.checked = input.len();
            return None;
        }
        let limits = limits(conn);
        match parse::request(input, &limits, &mut conn.txn.req) {
            Ok(Some(head)) => {
                conn.client.input.consume(head.len);
                Some(Arrival::Head(head))
            }
            Ok(None) if !full => {
                self.checked = input.len();
                None
            }
            Err(Refused::Payload) => Some(Arrival::Bad(413, *b"PR")),
            Ok(None) | Err(_) => Some(Arrival::Bad(400, *b"PR")),
        }
    }

    /// The client has closed, or the connection has failed.
    fn at_end(&self, conn: &mut Conn, failed: bool) -> Arrival {
        let nothing = self.first_byte.is_none() && conn.client.input.is_empty();
        match (nothing, conn.requests == 0) {
            (true, false) => Arrival::Gone,
            (true, true) if conn.session.frontend.options.http_ignore_probes => Arrival::Gone,
            (true, true) => {
                conn.begin(conn.now());
                Arrival::Bad(0, *b"CR")
            }
            (false, _) => {
                if self.first_byte.is_none() {
                    conn.begin(conn.now());
                }
                Arrival::Bad(if failed { 0 } else { 400 }, *b"CR")
            }
        }
    }

    /// The client has waited too long.
    fn expired(&self, conn: &mut Conn) -> Arrival {
        let ignored = conn.session.frontend.options.http_ignore_probes;
        let idle = self.first_byte.is_none() && (conn.requests > 0 || ignored);
        if self.first_byte.is_none() && !idle {
            conn.begin(conn.now());
        }
        if idle { Arrival::Gone } else { Arrival::Bad(408, *b"cR") }
    }

    /// When the client has waited too long with its request.
    fn limit(&self, conn: &Conn) -> Option<Instant> {
        let timeouts = conn.timeouts();
        let request = timeouts.http_request.or(timeouts.client);
        match self.first_byte {
            Some(first) if conn.requests > 0 => after(first, request),
            None if conn.requests > 0 => after(conn.idle_since, timeouts.http_keep_alive.or(request)),
            _ => after(conn.idle_since, request),
        }
    }
}

/// What heads may measure.
pub(crate) fn limits(conn: &Conn) -> Limits {
    let global = &conn.worker.shared.config.global;
    Limits {
        head_max: conn.worker.buffers.size().saturating_sub(global.maxrewrite).max(1),
        headers_max: global.maxhdr.min(HEADERS_MAX),
    }
}

/// Answers what is no request, logs it and closes.
async fn refuse(conn: &mut Conn, status: u16, letters: [u8; 2]) -> Next {
    if status != 0 {
        let page = reply::early_page(conn, status);
        conn.client.out.buf(&conn.worker.buffers).extend_from_slice(&page);
        // A client that cannot take the page is gone anyway.
        let _ = conn.flush_client().await;
    }
    let state = &conn.session.frontend.state.fe;
    bump(&state.requests);
    bump(&state.request_errors);
    state.bytes_in.fetch_add(conn.client.bytes_in, Relaxed);
    state.bytes_out.fetch_add(conn.client.bytes_out, Relaxed);
    if status != 0 {
        state.count_response(status);
    }
    let now = conn.now();
    conn.txn.req.clear();
    let log = &mut conn.txn.log;
    log.status = status;
    log.ended = Some(now);
    log.bytes_in = conn.client.bytes_in;
    log.bytes_out = conn.client.bytes_out;
    log.termination = [letters[0], letters[1], b'-', b'-'];
    counted::end(conn, letters);
    crate::log::log_exchange(&mut conn.txn);
    if status == 0 { Next::Close } else { Next::Linger }
}

/// Lets other tasks run.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Requests served without looking left or right.
const PIPELINED_MAX: u32 = 16;
