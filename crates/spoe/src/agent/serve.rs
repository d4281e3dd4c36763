//! One connection of an agent: its socket, its state machine and the handlers that run for it, in one future.
//!
//! Handlers run inside the connection's future: no task is spawned for them, dropping the connection drops them, and one that
//! needs a thread of its own takes it. Answers that are ready together leave in one write. A connection that breaks while
//! handlers run for a proxy that takes answers elsewhere lives on without its socket until they have answered.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::handler::{Handler, Reply, Request};
use super::observer::Seen;
use super::options::Options;
use super::running::{End, Of, Running, unless_panic};
use super::siblings::Place;
use crate::connection::{AgentEnd, AgentEvent};
use crate::drive::{Input, LazyTimer, poll_write_all};
use crate::error::{Error, Violation};
use crate::frame::{Capabilities, Status};
use crate::host::{Clock, Timer};

/// Serves one connection until the proxy ends it, it breaks, or `stop` is ready; then running handlers finish, DISCONNECT is
/// said, and the connection closes.
///
/// # Errors
/// [`Error::Haproxy`] if the proxy broke the protocol (it was told so), [`Error::Host`] if the socket broke while answers were
/// due. A connection that the proxy closes or resets is no error: that is how it ends what it no longer needs.
///
/// # Yield and cancel safety
/// Dropping the future drops the running handlers and closes the socket without DISCONNECT.
pub async fn serve_connection<T, H, C, S>(
    io: T,
    handler: &H,
    clock: &C,
    options: Options,
    stop: S,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
    C: Clock,
    S: Future<Output = ()>,
{
    let mut served = Served {
        io,
        end: AgentEnd::new(options.end(), clock.now()),
        options,
        handler,
        handle: |request| handler.handle(request),
        clock,
        running: Running::default(),
        place: None,
        greeted: false,
        output: Vec::new(),
        written: 0,
        input: Input::default(),
        stop_by: None,
        read_ended: false,
        broken: None,
        fault: None,
        close_by: None,
    };
    let mut timer = LazyTimer::new(Box::new(clock.timer()));
    let mut stop = pin!(stop);
    let mut stopping = false;
    poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            served.stop();
        }
        served.poll(&mut timer, cx)
    })
    .await
}

struct Served<'a, T, H, C, F, M> {
    io: T,
    end: AgentEnd,
    options: Options,
    handler: &'a H,
    handle: M,
    clock: &'a C,
    running: Running<F>,
    /// Among the connections that may answer for it, once greeted, if ASYNC was agreed.
    place: Option<Place>,
    /// Whether its end is to be told: it was greeted, and has not ended.
    greeted: bool,
    output: Vec<u8>,
    written: usize,
    input: Input,
    /// Set when the agent stops: until then handlers are waited for.
    stop_by: Option<Option<Instant>>,
    /// The proxy has closed its half: answers are still sent, nothing more comes.
    read_ended: bool,
    /// The socket is of no use any more; this is how the connection ends when the handlers that run on have.
    broken: Option<Result<(), Error>>,
    fault: Option<Error>,
    /// When a proxy that does not read is no longer waited for.
    close_by: Option<Instant>,
}

impl<T, H, C, F, M> Served<'_, T, H, C, F, M>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
    C: Clock,
    F: Future<Output = Reply>,
    M: Fn(Request) -> F,
{
    /// The agent stops: what runs may finish, for a while.
    fn stop(&mut self) {
        let now = self.clock.now();
        self.stop_by = Some(self.options.stop_timeout.map(|timeout| now + timeout));
    }

    fn poll<W: Timer>(&mut self, timer: &mut LazyTimer<W>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        for _ in 0..TURN_READS_MAX {
            self.poll_handlers(cx);
            if self.broken.is_some() {
                return self.poll_orphans(timer, cx);
            }
            self.take_siblings(cx);
            // Input that was held back by the bound on running handlers may be welcome now.
            self.take_input(cx);
            if self.stop_by.is_some() && self.end.waiting() == 0 {
                self.end.close(Status::NORMAL);
                self.drain_events();
            }
            self.end.poll_transmit(&mut self.output);
            let written = poll_write_all(&mut self.io, &mut self.output, &mut self.written, cx);
            if let Poll::Ready(Err(error)) = written {
                self.on_broken(error);
                continue;
            }
            if self.end.is_closed() || (self.read_ended && self.end.waiting() == 0) {
                return self.poll_close(written, timer, cx);
            }
            if written.is_pending() || self.read_ended || !self.end.wants_input() {
                // The proxy does not read, or waits for us: nothing more is taken in.
                ready!(timer.poll(self.deadline(), cx));
                self.on_timeout();
                continue;
            }
            match self.input.poll_fill(&mut self.io, cx) {
                Poll::Ready(Ok(0)) => self.on_read_end(),
                Poll::Ready(Err(error)) => self.on_broken(error),
                Poll::Ready(Ok(_)) => self.take_input(cx),
                Poll::Pending => {
                    ready!(timer.poll(self.deadline(), cx));
                    self.on_timeout();
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The socket broke. A reset is how HAProxy drops idle connections; answers that are due make it an error.
    fn on_broken(&mut self, error: io::Error) {
        let owed = self.end.waiting() > 0;
        self.broken = Some(match self.fault.take() {
            Some(fault) => Err(fault),
            None if owed => Err(error.into()),
            None => Ok(()),
        });
        self.on_end_of_greeted(Status::IO);
    }

    /// The proxy has nothing more to say here. It may read still, but where answers can travel elsewhere that is safer.
    fn on_read_end(&mut self) {
        self.read_ended = true;
        if self.end.waiting() > 0 && self.place.as_ref().is_some_and(Place::has_sibling) {
            self.broken = Some(self.fault.take().map_or(Ok(()), Err));
            self.on_end_of_greeted(Status::IO);
        }
    }

    /// Waits for the handlers of a broken connection, as long as somebody can take their answers to the proxy.
    fn poll_orphans<W: Timer>(
        &mut self,
        timer: &mut LazyTimer<W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if let Some(place) = &self.place {
            place.leave();
        }
        while self.running.len() > 0 && self.place.as_ref().is_some_and(Place::has_sibling) {
            ready!(timer.poll(self.deadline(), cx));
            self.on_timeout();
        }
        self.drop_handlers();
        Poll::Ready(self.broken.take().unwrap_or(Ok(())))
    }

    /// Lets the last words out, for a moment.
    fn poll_close<W: Timer>(
        &mut self,
        written: Poll<io::Result<()>>,
        timer: &mut LazyTimer<W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let now = self.clock.now();
        let close_by = *self.close_by.get_or_insert(now + LINGER);
        if written.is_pending() && now < close_by && timer.poll(Some(close_by), cx).is_pending() {
            return Poll::Pending;
        }
        if !self.end.is_closed() {
            self.on_end_of_greeted(Status::IO);
        }
        // An error is an end as well.
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        Poll::Ready(self.fault.take().map_or(Ok(()), Err))
    }

    fn poll_handlers(&mut self, cx: &mut Context<'_>) {
        let mut running = std::mem::take(&mut self.running);
        running.poll(cx, |of, end| self.on_end(of, end));
        self.running = running;
    }

    fn take_input(&mut self, cx: &mut Context<'_>) {
        // A handler that answers at once makes room for more of what is here already.
        while !self.input.bytes().is_empty() && self.end.wants_input() && self.stop_by.is_none() {
            let used = match self.end.handle_input(self.clock.now(), self.input.bytes()) {
                Ok(used) => used,
                Err(fault) => {
                    self.fault = Some(fault);
                    self.input.bytes().len()
                }
            };
            self.input.consume(used);
            self.drain_events();
            let mut running = std::mem::take(&mut self.running);
            running.poll_new(cx, |of, end| self.on_end(of, end));
            self.running = running;
            if used == 0 {
                return;
            }
        }
    }

    /// Sends what other connections left here.
    fn take_siblings(&mut self, cx: &Context<'_>) {
        let Some(place) = &self.place else { return };
        for (stream, frame, reply) in place.take(cx.waker()) {
            self.end.ack_for_sibling(stream, frame, reply.actions());
        }
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.end.poll_event() {
            match event {
                AgentEvent::Notify { stream, frame, payload } => match Request::new(stream, frame, payload) {
                    Ok(request) => self.begin(request),
                    Err(error) => {
                        self.fault = Some(Error::Haproxy(Violation::from(error)));
                        self.end.close(error.status());
                    }
                },
                AgentEvent::Hello { engine_id, capabilities, healthcheck, .. } => {
                    self.observe(Seen::Greeted { healthcheck });
                    self.greeted = !healthcheck;
                    if let (Some(siblings), Some(id)) = (&self.options.siblings, engine_id)
                        && capabilities.contains(Capabilities::ASYNC)
                    {
                        self.place = Some(siblings.join(id));
                    }
                }
                AgentEvent::Closed { status } => {
                    self.on_end_of_greeted(status);
                    self.drop_handlers();
                    self.place = None;
                }
            }
        }
    }

    fn begin(&mut self, request: Request) {
        let of = Of { stream: request.stream(), frame: request.frame(), since: self.clock.now() };
        self.observe(Seen::Asked { payload_bytes: request.payload_bytes() });
        let started = unless_panic(|| {
            let deadline = self.handler.deadline(&request).or(self.options.deadline);
            (deadline, (self.handle)(request))
        });
        match started {
            Some((deadline, future)) => {
                self.running.push(of, deadline.map(|deadline| of.since + deadline), future);
            }
            None => self.on_end(of, End::Panicked),
        }
    }

    /// A handler has ended, one way or another: its proxy gets its answer.
    fn on_end(&mut self, of: Of, end: End) {
        let now = self.clock.now();
        let took = now.saturating_duration_since(of.since);
        let reply = match end {
            End::Answered(reply) => {
                self.observe(Seen::Answered { took, actions_bytes: reply.actions().len() });
                reply
            }
            End::Late => {
                self.observe(Seen::Late { took });
                unless_panic(|| self.handler.late()).unwrap_or_default()
            }
            End::Panicked => {
                self.observe(Seen::Panicked);
                Reply::new()
            }
        };
        if self.broken.is_none() {
            self.end.ack(now, of.stream, of.frame, reply.actions());
        } else if self.place.as_ref().is_some_and(|place| place.hand_over(of.stream, of.frame, reply)) {
            self.observe(Seen::HandedOver);
        }
    }

    /// The next instant at which something is due.
    fn deadline(&self) -> Option<Instant> {
        let end = self.end.poll_timeout().filter(|_| self.broken.is_none());
        [end, self.running.deadline(), self.stop_by.flatten()].into_iter().flatten().min()
    }

    fn on_timeout(&mut self) {
        let now = self.clock.now();
        let mut running = std::mem::take(&mut self.running);
        running.expire(now, |of, end| self.on_end(of, end));
        self.running = running;
        if self.stop_by.flatten().is_some_and(|by| by <= now) {
            self.end.close(Status::NORMAL);
            self.drop_handlers();
        }
        if self.broken.is_none() {
            self.end.handle_timeout(now);
            self.drain_events();
        }
    }

    fn drop_handlers(&mut self) {
        for _ in 0..self.running.clear() {
            self.observe(Seen::Unwanted);
        }
    }

    /// Tells the end of a connection whose greeting was told, once.
    fn on_end_of_greeted(&mut self, status: Status) {
        if std::mem::take(&mut self.greeted) {
            self.observe(Seen::Closed { status });
        }
    }

    fn observe(&self, seen: Seen) {
        if let Some(observer) = &self.options.observer {
            observer.observe(seen);
        }
    }
}

/// Reads of one connection before others get their turn.
const TURN_READS_MAX: usize = 16;
const LINGER: Duration = Duration::from_secs(1);
