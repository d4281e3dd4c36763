//! Bytes both ways between a client and a server, with half-close: TCP mode, and what follows an
//! upgrade or CONNECT.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::AsyncWrite;

use super::{
    Conn,
    deadline::{after, earlier, passed},
    fault::{Letters, NORMAL},
    filtered,
    filters::Filters,
    side::Side,
    upstream::Upstream,
};
use crate::{channel::BufferPool, config::Timeouts, txn::Direction};

/// Relays until both sides have closed or one has failed or taken too long; how that was. With filters,
/// all bytes go through them.
pub(crate) async fn relay(
    conn: &mut Conn,
    upstream: &mut Upstream,
    mut filters: Option<&mut Filters>,
) -> Letters {
    let mut clocks = Clocks::default();
    let backend = conn.txn.backend.clone();
    poll_fn(|cx| {
        if upstream.slot.is_killed() {
            return Poll::Ready(*b"KD");
        }
        let mut budget = BYTES_PER_TURN;
        let (up, down) = if let Some(filters) = &mut filters {
            filters.wake();
            let mut pump = |direction| filtered::pump(conn, upstream, filters, direction, &mut budget, cx);
            (pump(Direction::Request), pump(Direction::Response))
        } else {
            let pool = &conn.worker.buffers;
            (
                pump(&mut conn.client, &mut upstream.side, pool, &mut budget, cx),
                pump(&mut upstream.side, &mut conn.client, pool, &mut budget, cx),
            )
        };
        match (up, down) {
            (Flow::Failed(Failed::From), _) | (_, Flow::Failed(Failed::To)) => return Poll::Ready(*b"CD"),
            (_, Flow::Failed(Failed::From)) | (Flow::Failed(Failed::To), _) => return Poll::Ready(*b"SD"),
            (Flow::Refused(letters), _) | (_, Flow::Refused(letters)) => return Poll::Ready(letters),
            (Flow::Ended, Flow::Ended) => return Poll::Ready(NORMAL),
            _ if budget == 0 => cx.waker().wake_by_ref(),
            _ => {}
        }
        let now = conn.worker.host.now();
        let (client, server) = (&conn.client, &upstream.side);
        let at = clocks.deadlines(now, client, server, &conn.session.frontend.timeouts, &backend.timeouts);
        if conn.deadline.poll(earlier(at.0, at.1), cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(if passed(at.0, conn.worker.host.now()) { *b"cD" } else { *b"sD" })
    })
    .await
}

/// Moves what the client sends to the server, as far as it goes without waiting.
///
/// # Errors
/// Either side has failed.
pub(crate) fn pump_request(
    client: &mut Side,
    server: &mut Side,
    pool: &BufferPool,
    cx: &mut Context<'_>,
) -> Result<(), Letters> {
    match pump(client, server, pool, &mut BYTES_PER_TURN.clone(), cx) {
        Flow::Failed(Failed::From) => Err(*b"CD"),
        Flow::Failed(Failed::To) => Err(*b"SD"),
        Flow::Refused(letters) => Err(letters),
        Flow::Open | Flow::Ended => Ok(()),
    }
}

/// How one direction stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Waiting for either end.
    Open,
    /// The end was passed on.
    Ended,
    Failed(Failed),
    /// A filter cannot go on.
    Refused(Letters),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    From,
    To,
}

/// Moves bytes one way until an end has to be waited for or the budget is spent.
fn pump(from: &mut Side, to: &mut Side, pool: &BufferPool, budget: &mut usize, cx: &mut Context<'_>) -> Flow {
    loop {
        match to.poll_flush_out(pool, cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Flow::Failed(Failed::To),
            Poll::Pending => return Flow::Open,
        }
        while !from.input.is_empty() {
            match Pin::new(&mut to.io).poll_write(cx, from.input.unread()) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    to.bytes_out += n as u64;
                    from.input.consume(n);
                }
                Poll::Ready(_) => {
                    to.failed = true;
                    return Flow::Failed(Failed::To);
                }
                Poll::Pending => return Flow::Open,
            }
        }
        if from.eof {
            from.input.release(pool);
            return match to.poll_shut(cx) {
                Poll::Ready(()) => Flow::Ended,
                Poll::Pending => Flow::Open,
            };
        }
        if *budget == 0 {
            return Flow::Open;
        }
        match from.poll_fill(pool, cx) {
            Poll::Ready(Ok(n)) => {
                *budget = budget.saturating_sub(n);
                // A read that fills a small buffer begins a bulk transfer, one that would fit it ends it.
                from.bulk = n >= pool.size();
            }
            Poll::Ready(Err(_)) => return Flow::Failed(Failed::From),
            Poll::Pending => return Flow::Open,
        }
    }
}

/// When each side was active last.
#[derive(Default)]
struct Clocks {
    client: (u64, Option<Instant>),
    server: (u64, Option<Instant>),
}

impl Clocks {
    /// Until when each side may do nothing.
    fn deadlines(
        &mut self,
        now: Instant,
        client: &Side,
        server: &Side,
        front: &Timeouts,
        back: &Timeouts,
    ) -> (Option<Instant>, Option<Instant>) {
        let tunnel = back.tunnel.or(front.tunnel);
        let half_closed = client.eof || server.eof;
        let pick = |fin, usual| if half_closed { fin } else { None }.or(tunnel).or(usual);
        let bytes = |side: &Side| side.bytes_in + side.bytes_out;
        let both = bytes(client) + bytes(server);
        // A tunnel counts activity of either side for both.
        let (client_bytes, server_bytes) =
            if tunnel.is_some() { (both, both) } else { (bytes(client), bytes(server)) };
        let touch = |last: &mut (u64, Option<Instant>), bytes| {
            if last.1.is_none() || last.0 != bytes {
                *last = (bytes, Some(now));
            }
            last.1.unwrap_or(now)
        };
        let client_at = touch(&mut self.client, client_bytes);
        let server_at = touch(&mut self.server, server_bytes);
        (
            after(client_at, pick(front.client_fin, front.client)),
            after(server_at, pick(back.server_fin, back.server)),
        )
    }
}

/// Bytes read from either side before other tasks get their turn.
const BYTES_PER_TURN: usize = 1 << 20;
