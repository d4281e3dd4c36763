//! TCP mode: connection rules, content inspection, then a service or a relay.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Instant,
};

use super::{
    Conn,
    analyse::{Passed, choose_backend, evaluate, evaluate_fed, has_rules},
    counted,
    deadline::after,
    fault::{Fault, Letters, NORMAL},
    filters::Filters,
    relay::relay,
    service::serve_tcp,
    side::poll_read_into,
    upstream::{Tries, Upstream, connect},
};
use crate::{
    backend::{counters::bump, proxy::InBackend},
    config::Proxy,
    filter::Point,
    rules::{RuleRun, RuleSet},
    txn::Direction,
};

/// Evaluates `tcp-request connection` and `tcp-request session`; whether the connection may stay.
pub(crate) async fn admit(conn: &mut Conn) -> bool {
    let frontend = conn.session.frontend.clone();
    conn.begin(conn.now());
    conn.txn.sampling.session_only = true;
    for at in [RuleSet::TcpConnection, RuleSet::TcpSession] {
        if has_rules(&frontend, at) && evaluate(conn, &frontend, at, &mut RuleRun::default()).await.is_err() {
            return false;
        }
    }
    conn.rest();
    true
}

/// Serves a connection in TCP mode until it ends.
pub(crate) async fn run(conn: &mut Conn) {
    conn.begin(conn.now());
    conn.requests = 1;
    let mut counted = None;
    let mut filters = Filters::default();
    let letters = match serve(conn, &mut counted, &mut filters).await {
        Ok(letters) => letters,
        Err(Fault::Close(letters) | Fault::Status(_, letters) | Fault::Reply(_, letters)) => letters,
    };
    let traffic = &conn.session.frontend.state.fe;
    if letters[0] == b'C' || letters[0] == b'c' {
        bump(&traffic.client_aborts);
    }
    filters.over(conn);
    drop(counted);
    finish(conn, letters);
    conn.client.release(&conn.worker.buffers);
}

async fn serve(
    conn: &mut Conn,
    counted: &mut Option<InBackend>,
    filters: &mut Filters,
) -> Result<Letters, Fault> {
    let frontend = conn.session.frontend.clone();
    if !frontend.filters.is_empty() {
        Box::pin(filters.begin(conn, &frontend)).await?;
    }
    request_content(conn, filters, Point::FrontendTcpRequest, &frontend).await?;
    if let Some(service) = conn.txn.service.take() {
        serve_tcp(conn, service).await?;
        return Ok(*b"LR");
    }
    let backend = choose_backend(conn)?;
    *counted = Some(InBackend::new(&backend));
    if !Arc::ptr_eq(&backend, &frontend) {
        conn.txn.backend = backend.clone();
        if !backend.filters.is_empty() {
            Box::pin(filters.begin(conn, &backend)).await?;
        }
        request_content(conn, filters, Point::BackendTcpRequest, &backend).await?;
        if let Some(service) = conn.txn.service.take() {
            serve_tcp(conn, service).await?;
            return Ok(*b"LR");
        }
    }
    let mut upstream = connect(conn, &mut Tries::new(&backend)).await?;
    filters.ask(conn, Point::ServerSession).await?;
    Box::pin(filters.begin_response(conn)).await?;
    filters.ask(conn, Point::TcpResponse).await?;
    // Filters see what was inspected, too.
    let filtered = filters.begin_payload(Direction::Request) | filters.begin_payload(Direction::Response);
    conn.txn.req_chn.forwarded = 0;
    if !filtered {
        send_inspected(conn, &mut upstream);
    }
    if has_rules(&backend, RuleSet::TcpResponse) {
        response_content(conn, &mut upstream, &backend).await?;
    }
    let letters = relay(conn, &mut upstream, filtered.then_some(filters)).await;
    upstream.side.release(&conn.worker.buffers);
    Ok(letters)
}

/// Puts what was inspected in front of what came from the client since.
fn send_inspected(conn: &mut Conn, upstream: &mut Upstream) {
    let pool = &conn.worker.buffers;
    let inspected = &mut conn.txn.req_chn;
    if !inspected.buf.is_empty() {
        upstream.side.out.buf(pool).extend_from_slice(inspected.buf.unread());
        inspected.reset(pool);
    }
}

/// `tcp-request content` of one proxy: its rules may wait for data up to `inspect-delay`.
async fn request_content(
    conn: &mut Conn,
    filters: &mut Filters,
    point: Point,
    proxy: &Arc<Proxy>,
) -> Result<(), Fault> {
    filters.ask(conn, point).await?;
    if !has_rules(proxy, RuleSet::TcpRequest) {
        return Ok(());
    }
    let until = after(conn.now(), proxy.tcp_request_inspect_delay);
    let mut run = RuleRun::default();
    conn.txn.req_chn.settled = until.is_none();
    conn.txn.sampling.may_wait = true;
    let mut silence = Silence::new(conn);
    while evaluate_fed(conn, proxy, RuleSet::TcpRequest, &mut run, |conn, cx| silence.feed(conn, cx)).await?
        == Passed::WaitData
    {
        if conn.txn.req_chn.settled() {
            break;
        }
        poll_fn(|cx| poll_more_request(conn, until, cx)).await?;
    }
    conn.txn.req_chn.settled = false;
    conn.txn.sampling.may_wait = false;
    Ok(())
}

/// How long a client may say nothing while a rule waits for more from it.
struct Silence {
    until: Option<Instant>,
}

impl Silence {
    fn new(conn: &Conn) -> Self {
        Self { until: conn.client_deadline() }
    }

    /// Takes what came from the client into the request channel; a client that is silent for too long has
    /// ended, as far as the rule is concerned.
    fn feed(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let (input, channel) = (&mut conn.client.input, &mut conn.txn.req_chn);
        if channel.ended {
            return Ok(false);
        }
        if !input.is_empty() {
            channel.buf.ensure(&conn.worker.buffers);
            let moved = channel.buf.push(input.unread());
            input.consume(moved);
            input.release_if_empty(&conn.worker.buffers);
            self.until = conn.client_deadline();
            conn.txn.req_chn.ended = conn.client.eof && conn.client.input.is_empty();
            return Ok(moved > 0);
        }
        channel.ended = conn.client.eof || conn.deadline.poll(self.until, cx).is_ready();
        Ok(conn.txn.req_chn.ended)
    }
}

/// Takes more from the client into the request channel, or settles it when the delay is over.
fn poll_more_request(
    conn: &mut Conn,
    until: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Fault>> {
    let (channel, input) = (&mut conn.txn.req_chn, &mut conn.client.input);
    channel.buf.ensure(&conn.worker.buffers);
    // What was read while the client was watched comes before what the connection still holds.
    let moved = channel.buf.push(input.unread());
    input.consume(moved);
    if moved > 0 || conn.client.eof {
        channel.ended = conn.client.eof && input.is_empty();
        input.release_if_empty(&conn.worker.buffers);
        return Poll::Ready(Ok(()));
    }
    match poll_read_into(&mut conn.client.io, &mut channel.buf, cx) {
        Poll::Ready(Ok(n)) => {
            conn.client.bytes_in += n as u64;
            conn.client.eof |= n == 0;
            channel.ended |= n == 0;
            Poll::Ready(Ok(()))
        }
        Poll::Ready(Err(_)) => Poll::Ready(Err(Fault::Close(*b"CR"))),
        Poll::Pending => {
            if conn.deadline.poll(until, cx).is_pending() {
                return Poll::Pending;
            }
            channel.settled = true;
            Poll::Ready(Ok(()))
        }
    }
}

/// `tcp-response content`, on what the server sends.
async fn response_content(
    conn: &mut Conn,
    upstream: &mut Upstream,
    backend: &Arc<Proxy>,
) -> Result<(), Fault> {
    let until = after(conn.now(), backend.tcp_response_inspect_delay);
    let mut run = RuleRun::default();
    conn.txn.begin_response_scope();
    conn.txn.sampling.may_wait = true;
    loop {
        poll_fn(|cx| poll_more_response(conn, upstream, until, cx)).await?;
        std::mem::swap(&mut conn.txn.res_chn.buf, &mut upstream.side.input);
        conn.txn.res_chn.ended = upstream.side.eof;
        conn.txn.res_chn.settled |= until.is_none();
        let mut silent_until = after(conn.now(), backend.timeouts.server);
        let feed =
            |conn: &mut Conn, cx: &mut Context<'_>| feed_response(conn, upstream, &mut silent_until, cx);
        let passed = evaluate_fed(conn, backend, RuleSet::TcpResponse, &mut run, feed).await;
        let settled = conn.txn.res_chn.settled();
        std::mem::swap(&mut conn.txn.res_chn.buf, &mut upstream.side.input);
        if passed? == Passed::On || settled {
            // What a rule has forwarded and what it has not go the same way from here.
            conn.txn.res_chn.forwarded = 0;
            return Ok(());
        }
    }
}

/// Takes what comes from the server into the response channel while a rule waits for more of it, until a
/// moment that moves with all that comes.
fn feed_response(
    conn: &mut Conn,
    upstream: &mut Upstream,
    until: &mut Option<Instant>,
    cx: &mut Context<'_>,
) -> Result<bool, Fault> {
    let pool = &conn.worker.buffers;
    super::relay::pump_request(&mut conn.client, &mut upstream.side, pool, cx).map_err(Fault::Close)?;
    let channel = &mut conn.txn.res_chn;
    if channel.ended || channel.buf.is_full_of_data() {
        return Ok(false);
    }
    channel.buf.ensure(pool);
    match poll_read_into(&mut upstream.side.io, &mut channel.buf, cx) {
        Poll::Ready(Ok(n)) => {
            upstream.side.bytes_in += n as u64;
            upstream.side.eof |= n == 0;
            channel.ended = n == 0;
            *until = after(conn.now(), conn.txn.backend.timeouts.server);
            Ok(true)
        }
        Poll::Ready(Err(_)) => Err(Fault::Close(*b"SD")),
        Poll::Pending if conn.deadline.poll(*until, cx).is_ready() => Err(Fault::Close(*b"sD")),
        Poll::Pending => Ok(false),
    }
}

/// Waits for bytes from the server while the client's go on to it.
fn poll_more_response(
    conn: &mut Conn,
    upstream: &mut Upstream,
    until: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Fault>> {
    if upstream.slot.is_killed() {
        return Poll::Ready(Err(Fault::Close(*b"KD")));
    }
    let pool = &conn.worker.buffers;
    super::relay::pump_request(&mut conn.client, &mut upstream.side, pool, cx).map_err(Fault::Close)?;
    match upstream.side.poll_fill(pool, cx) {
        Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
        Poll::Ready(Err(_)) => Poll::Ready(Err(Fault::Close(*b"SD"))),
        Poll::Pending => {
            let server = after(conn.now(), conn.txn.backend.timeouts.server);
            let at = until.or(server);
            if conn.deadline.poll(at, cx).is_pending() {
                return Poll::Pending;
            }
            conn.txn.res_chn.settled = true;
            Poll::Ready(if until.is_some() { Ok(()) } else { Err(Fault::Close(*b"sD")) })
        }
    }
}

fn finish(conn: &mut Conn, letters: Letters) {
    let now = conn.now();
    let (bytes_in, bytes_out) = (conn.client.bytes_in, conn.client.bytes_out);
    let log = &mut conn.txn.log;
    log.ended = Some(now);
    log.bytes_in = bytes_in;
    log.bytes_out = bytes_out;
    log.termination = [letters[0], letters[1], b'-', b'-'];
    let (frontend, backend) = (&conn.txn.frontend, &conn.txn.backend);
    let server = conn.txn.server.as_ref().map(|server| &server.traffic);
    let back = backend.capabilities.backend.then_some(&backend.state.be);
    for traffic in [Some(&frontend.state.fe), back, server].into_iter().flatten() {
        traffic.bytes_in.fetch_add(bytes_in, Relaxed);
        traffic.bytes_out.fetch_add(bytes_out, Relaxed);
        if letters != NORMAL && letters[0] == b'S' {
            bump(&traffic.server_aborts);
        }
    }
    counted::end(conn, letters);
    crate::log::log_exchange(&mut conn.txn);
}
