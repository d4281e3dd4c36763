//! One HTTP exchange, from a whole request head to its log line.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Instant,
};

use super::{
    Conn,
    analyse::{Passed, choose_backend, evaluate, evaluate_all, has_rules},
    counted,
    deadline::after,
    fault::{Fault, Letters, NORMAL},
    filters::Filters,
    http::Next,
    monitor,
    side::Out,
    upstream::Upstream,
};
use crate::{
    backend::{counters::bump, proxy::InBackend},
    config::{ForwardFor, Proxy},
    filter::Point,
    host::Addr,
    http::{
        Version,
        h1::{
            connection,
            decode::Decoder,
            encode::Encoder,
            parse::{Head, Length},
        },
    },
    rules::{RuleRun, RuleSet},
};

/// What one exchange needs beside the connection and the transaction.
pub(crate) struct Exchange {
    /// What the request head said.
    pub(crate) request: Head,
    /// The request's version, before any rule.
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) filters: Filters,
    /// Reads the request body.
    pub(crate) body: Decoder,
    /// Writes the request body.
    pub(crate) body_out: Encoder,
    /// The request is wholly encoded.
    pub(crate) body_sent: bool,
    /// The server's side, once there is one.
    pub(crate) upstream: Option<Upstream>,
    /// What was sent to a server that turned out to be gone, to be sent again.
    pub(crate) replay: Option<Box<Out>>,
    /// Trailers being collected.
    pub(crate) trailers: Vec<u8>,
    /// The backend whose sessions this exchange is one of.
    pub(crate) counted: Option<InBackend>,
    /// The head of the answer is on its way: nothing else can be answered any more.
    pub(crate) answered: bool,
    /// The client's connection may carry another exchange.
    pub(crate) keep_alive: bool,
    /// `100 Continue` was sent or is not wanted.
    pub(crate) continued: bool,
    pub(crate) letters: Letters,
}

/// The methods that framing depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Head,
    Connect,
    /// One that may be repeated.
    Idempotent,
    Other,
}

impl Method {
    fn of(name: &[u8]) -> Self {
        match name {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            b"GET" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE" => Self::Idempotent,
            _ => Self::Other,
        }
    }

    /// For [`connection`]'s functions.
    pub(crate) fn framing_name(self) -> &'static [u8] {
        match self {
            Self::Head => b"HEAD",
            Self::Connect => b"CONNECT",
            Self::Idempotent | Self::Other => b"",
        }
    }

    pub(crate) fn may_repeat(self) -> bool {
        matches!(self, Self::Head | Self::Idempotent)
    }
}

/// Runs an exchange whose request head stands in `conn.txn.req`.
pub(crate) async fn run(conn: &mut Conn, head: Head) -> Next {
    let mut exchange = Exchange::new(conn, head);
    let mut outcome = exchange.drive(conn).await;
    if let Err(fault) = outcome {
        outcome = exchange.answer_fault(conn, fault).await;
    }
    if let Err(fault) = &outcome {
        exchange.letters = match fault {
            Fault::Close(letters) | Fault::Status(_, letters) | Fault::Reply(_, letters) => *letters,
        };
        exchange.keep_alive = false;
    }
    let failed = outcome.is_err();
    exchange.finish(conn);
    match (failed, exchange.keep_alive) {
        (true, _) => Next::Close,
        (false, true) => Next::KeepAlive,
        (false, false) if conn.client.eof => Next::Close,
        (false, false) => Next::Linger,
    }
}

/// Who answers.
enum Target {
    Server,
    Service(Arc<dyn crate::applet::ServiceMaker>),
}

impl Exchange {
    fn new(conn: &mut Conn, request: Head) -> Self {
        let now = conn.now();
        conn.requests += 1;
        conn.txn.started = now;
        conn.txn.log.request_done = Some(now);
        counted::request(conn);
        if !conn.session.frontend.logs.is_empty() {
            let mut line = std::mem::take(&mut conn.txn.log.request_line);
            conn.txn.req.write_start_line(&mut line);
            conn.txn.log.request_line = line;
        }
        let version = conn.txn.req.version();
        let frontend = &conn.session.frontend;
        let keep_alive = connection::persists(version, &request) && !frontend.options.httpclose;
        let body = Decoder::new(request.length);
        conn.txn.req_chn.ended = body.is_done();
        Self {
            version,
            method: Method::of(conn.txn.req.method()),
            filters: Filters::default(),
            body,
            body_out: Encoder::default(),
            body_sent: false,
            upstream: None,
            replay: None,
            trailers: Vec::new(),
            counted: None,
            answered: false,
            keep_alive,
            continued: !request.expect_continue,
            letters: NORMAL,
            request,
        }
    }

    async fn drive(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        match self.analyse_request(conn).await? {
            Target::Service(maker) => Box::pin(self.serve_applet(conn, maker)).await,
            Target::Server => self.forward(conn).await,
        }
    }

    /// Filters and rules of frontend and backend, in HAProxy's order.
    async fn analyse_request(&mut self, conn: &mut Conn) -> Result<Target, Fault> {
        let session = conn.session.clone();
        let frontend = &session.frontend;
        if frontend.monitor.is_some()
            && let Some(answer) = monitor::answer(conn)
        {
            return Err(answer);
        }
        if !frontend.filters.is_empty() {
            Box::pin(self.filters.begin(conn, frontend)).await?;
        }
        if frontend.options.http_buffer_request {
            Box::pin(self.buffer_body(conn)).await?;
        }
        let points = [
            (Point::FrontendTcpRequest, RuleSet::TcpRequest),
            (Point::FrontendHttpRequest, RuleSet::HttpRequest),
        ];
        if self.has_work(frontend, points) {
            Box::pin(self.pass(conn, frontend, points)).await?;
        }
        if let Some(service) = conn.txn.service.take() {
            return Ok(Target::Service(service));
        }
        let backend = choose_backend(conn)?;
        self.counted = Some(InBackend::new(&backend));
        if !Arc::ptr_eq(&backend, frontend) {
            conn.txn.backend = backend.clone();
            if !backend.filters.is_empty() {
                Box::pin(self.filters.begin(conn, &backend)).await?;
            }
            if backend.options.http_buffer_request && !frontend.options.http_buffer_request {
                Box::pin(self.buffer_body(conn)).await?;
            }
            let points = [
                (Point::BackendTcpRequest, RuleSet::TcpRequest),
                (Point::BackendHttpRequest, RuleSet::HttpRequest),
            ];
            if self.has_work(&backend, points) {
                Box::pin(self.pass(conn, &backend, points)).await?;
            }
            if let Some(service) = conn.txn.service.take() {
                return Ok(Target::Service(service));
            }
        }
        self.keep_alive &= !backend.options.httpclose;
        add_forwardfor(conn, &backend);
        Ok(Target::Server)
    }

    /// Whether [`Exchange::pass`] would do anything. Most often it would not, and then no future is
    /// made for it.
    fn has_work(&self, proxy: &Proxy, points: [(Point, RuleSet); 2]) -> bool {
        points.into_iter().any(|(point, at)| has_rules(proxy, at) || self.filters.want(point))
    }

    /// Points of the filters, each with the rule set behind it.
    async fn pass(
        &mut self,
        conn: &mut Conn,
        proxy: &Arc<Proxy>,
        points: [(Point, RuleSet); 2],
    ) -> Result<(), Fault> {
        for (point, at) in points {
            self.filters.ask(conn, point).await?;
            let mut run = RuleRun::default();
            while has_rules(proxy, at) && evaluate(conn, proxy, at, &mut run).await? == Passed::WaitData {
                if conn.txn.req_chn.settled() {
                    break;
                }
                self.buffer_body(conn).await?;
            }
        }
        Ok(())
    }

    /// Takes the request's body into its channel until it is whole or the channel is full.
    async fn buffer_body(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let timeouts = conn.timeouts();
        let until = after(conn.now(), timeouts.http_request.or(timeouts.client));
        poll_fn(|cx| self.poll_buffer_body(conn, until, cx)).await
    }

    fn poll_buffer_body(
        &mut self,
        conn: &mut Conn,
        until: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        loop {
            self.take_body(conn)?;
            let channel = &mut conn.txn.req_chn;
            channel.ended = self.body.is_done();
            if channel.settled() {
                return Poll::Ready(Ok(()));
            }
            if !std::mem::replace(&mut self.continued, true) {
                conn.client.out.buf(&conn.worker.buffers).extend_from_slice(CONTINUE);
                conn.txn.req.del_header(b"expect");
            }
            let _ = conn.poll_flush_client(*b"CR", cx)?;
            match conn.client.poll_fill(&conn.worker.buffers, cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Err(Fault::Close(*b"CD"))),
                Poll::Pending => {
                    return conn.deadline.poll(until, cx).map(|()| Err(Fault::Status(408, *b"cD")));
                }
            }
        }
    }

    /// Decodes from the client's input into the request channel, as far as there is room.
    pub(crate) fn take_body(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let cut = conn.txn.req_chn.is_cut();
        let (input, channel) = (&mut conn.client.input, &mut conn.txn.req_chn.buf);
        while !self.body.is_done() && !cut {
            channel.ensure(&conn.worker.buffers);
            let room = channel.capacity() - channel.len();
            let seen = &input.unread()[..input.len().min(room)];
            let step = self.body.step(seen, &mut self.trailers).map_err(|_| Fault::Status(400, *b"PR"))?;
            input.consume(step.skip);
            channel.push(&input.unread()[..step.data]);
            input.consume(step.data);
            if step.skip + step.data == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Filters and rules on a response whose head stands in `conn.txn.res`.
    pub(crate) async fn analyse_response(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        conn.txn.begin_response_scope();
        let (frontend, backend) = (&conn.txn.frontend.rules, &conn.txn.backend.rules);
        if self.filters.is_empty() && !frontend.look_at_responses() && !backend.look_at_responses() {
            return Ok(());
        }
        Box::pin(self.pass_response(conn)).await
    }

    async fn pass_response(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let (frontend, backend) = (conn.session.frontend.clone(), conn.txn.backend.clone());
        let points =
            [(Point::TcpResponse, RuleSet::TcpResponse), (Point::HttpResponse, RuleSet::HttpResponse)];
        self.pass(conn, &backend, points).await?;
        if !Arc::ptr_eq(&frontend, &backend) {
            evaluate_all(conn, &frontend, RuleSet::HttpResponse).await?;
        }
        self.after_response(conn).await
    }

    /// `http-after-response` rules, which see every answer.
    pub(crate) async fn after_response(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let (frontend, backend) = (conn.session.frontend.clone(), conn.txn.backend.clone());
        evaluate_all(conn, &backend, RuleSet::HttpAfterResponse).await?;
        if !Arc::ptr_eq(&frontend, &backend) {
            evaluate_all(conn, &frontend, RuleSet::HttpAfterResponse).await?;
        }
        Ok(())
    }

    /// Closes the books: log line and counters. The server's connection goes back or away.
    fn finish(&mut self, conn: &mut Conn) {
        self.filters.over(conn);
        let now = conn.now();
        self.upstream = None;
        // The log line counts the backend's other sessions.
        self.counted = None;
        let log = &mut conn.txn.log;
        log.ended = Some(now);
        log.bytes_in = conn.client.bytes_in - conn.client.input.len() as u64;
        log.bytes_out = conn.client.bytes_out;
        log.termination = [self.letters[0], self.letters[1], b'-', b'-'];
        let (bytes_in, bytes_out, status) = (log.bytes_in, log.bytes_out, log.status);
        let (frontend, backend) = (&conn.txn.frontend, &conn.txn.backend);
        let server = conn.txn.server.as_ref().map(|s| &s.traffic);
        let backend =
            (!Arc::ptr_eq(frontend, backend) || backend.capabilities.backend).then_some(&backend.state.be);
        for traffic in [Some(&frontend.state.fe), backend, server].into_iter().flatten() {
            bump(&traffic.requests);
            traffic.bytes_in.fetch_add(bytes_in, Relaxed);
            traffic.bytes_out.fetch_add(bytes_out, Relaxed);
            if status != 0 {
                traffic.count_response(status);
            }
            match self.letters[0] {
                b'C' | b'c' => bump(&traffic.client_aborts),
                b'S' | b's' if self.letters[1] == b'D' => bump(&traffic.server_aborts),
                _ => {}
            }
        }
        bump(&conn.worker.shared.counters.requests);
        counted::end(conn, self.letters);
        crate::log::log_exchange(&mut conn.txn);
    }

    /// Whether the request has no body, or all of it was read.
    pub(crate) fn request_read(&self) -> bool {
        self.body.is_done()
    }

    /// The framing of an answer's body towards this client.
    pub(crate) fn client_framing(&self, length: Length) -> Length {
        connection::framing_for(length, self.version)
    }
}

/// What tells a client to send its body.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// `option forwardfor` of the frontend or the backend.
fn add_forwardfor(conn: &mut Conn, backend: &Proxy) {
    let session = conn.session.clone();
    let options = session.frontend.options.forwardfor.as_ref().or(backend.options.forwardfor.as_ref());
    let Some(ForwardFor { header, if_none, except }) = options else { return };
    let Some(Addr::Ip(src)) = &session.src else { return };
    if except.is_some_and(|net| net.contains(&src.ip())) {
        return;
    }
    if *if_none && conn.txn.req.header(header.as_bytes()).is_some() {
        return;
    }
    let mut text = [0; 48];
    let mut rest = &mut text[..];
    // An address in text takes less than 48 bytes.
    let _ = std::io::Write::write_fmt(&mut rest, format_args!("{}", src.ip()));
    let len = 48 - rest.len();
    // A header name from the configuration that is no token is simply not added.
    let _ = conn.txn.req.add_header(header.as_bytes(), &text[..len]);
}
