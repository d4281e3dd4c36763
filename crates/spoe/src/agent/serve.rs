//! One connection of an agent: its socket, its state machine and the handlers that run for it, in one future.
//!
//! Handlers run inside the connection's future: no task is spawned for them, dropping the connection drops them, and one that
//! needs a thread of its own takes it. Answers that are ready together leave in one write.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::handler::{Handler, Reply, Request};
use crate::connection::{AgentEnd, AgentEndConfig, AgentEvent};
use crate::drive::{Input, LazyTimer, poll_write_all};
use crate::error::{Error, Violation};
use crate::frame::{FrameId, Status, StreamId};
use crate::host::Clock;

/// How an agent serves its connections. The default suits most.
pub type Options = AgentEndConfig;

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
        end: AgentEnd::new(options, clock.now()),
        running: Running::default(),
        output: Vec::new(),
        written: 0,
        input: Input::default(),
        stopping: false,
        read_ended: false,
        fault: None,
        close_by: None,
    };
    let mut timer = LazyTimer::new(Box::new(clock.timer()));
    let handle = |request| handler.handle(request);
    let mut stop = pin!(stop);
    poll_fn(|cx| {
        if !served.stopping && stop.as_mut().poll(cx).is_ready() {
            served.stopping = true;
        }
        served.poll(&handle, clock, &mut timer, cx)
    })
    .await
}

struct Served<T, F> {
    io: T,
    end: AgentEnd,
    running: Running<F>,
    output: Vec<u8>,
    written: usize,
    input: Input,
    stopping: bool,
    /// The proxy has closed its half: answers are still sent, nothing more comes.
    read_ended: bool,
    fault: Option<Error>,
    /// When a proxy that does not read is no longer waited for.
    close_by: Option<Instant>,
}

impl<T, F> Served<T, F>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Reply>,
{
    fn poll<C: Clock>(
        &mut self,
        handle: &impl Fn(Request) -> F,
        clock: &C,
        timer: &mut LazyTimer<C::Timer>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        for _ in 0..TURN_READS_MAX {
            let now = clock.now();
            self.running.poll(cx, |stream, frame, reply| {
                self.end.ack(now, stream, frame, reply.actions());
            });
            // Input that was held back by the bound on running handlers may be welcome now.
            self.take_input(handle, clock, cx);
            if self.stopping && self.end.waiting() == 0 {
                self.end.close(Status::NORMAL);
                self.drain_events(handle, cx);
            }
            self.end.poll_transmit(&mut self.output);
            let written = poll_write_all(&mut self.io, &mut self.output, &mut self.written, cx);
            if let Poll::Ready(Err(error)) = written {
                let owed = self.end.waiting() > 0;
                return Poll::Ready(match self.fault.take() {
                    Some(fault) => Err(fault),
                    None if owed => Err(error.into()),
                    None => Ok(()),
                });
            }
            if self.end.is_closed() || (self.read_ended && self.end.waiting() == 0) {
                return self.poll_close(written, clock, timer, cx);
            }
            if written.is_pending() || self.read_ended || !self.end.wants_input() {
                // The proxy does not read, or waits for us: nothing more is taken in.
                ready!(timer.poll(self.end.poll_timeout(), cx));
                self.end.handle_timeout(clock.now());
                self.drain_events(handle, cx);
                continue;
            }
            match self.input.poll_fill(&mut self.io, cx) {
                Poll::Ready(Ok(0)) => self.read_ended = true,
                // A reset is how HAProxy drops idle connections.
                Poll::Ready(Err(error)) => {
                    let owed = self.end.waiting() > 0;
                    return Poll::Ready(if owed { Err(error.into()) } else { Ok(()) });
                }
                Poll::Ready(Ok(_)) => self.take_input(handle, clock, cx),
                Poll::Pending => {
                    ready!(timer.poll(self.end.poll_timeout(), cx));
                    self.end.handle_timeout(clock.now());
                    self.drain_events(handle, cx);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets the last words out, for a moment.
    fn poll_close<C: Clock>(
        &mut self,
        written: Poll<io::Result<()>>,
        clock: &C,
        timer: &mut LazyTimer<C::Timer>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let now = clock.now();
        let close_by = *self.close_by.get_or_insert(now + LINGER);
        if written.is_pending() && now < close_by && timer.poll(Some(close_by), cx).is_pending() {
            return Poll::Pending;
        }
        // An error is an end as well.
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        Poll::Ready(self.fault.take().map_or(Ok(()), Err))
    }

    fn take_input<C: Clock>(&mut self, handle: &impl Fn(Request) -> F, clock: &C, cx: &mut Context<'_>) {
        // A handler that answers at once makes room for more of what is here already.
        while !self.input.bytes().is_empty() && self.end.wants_input() && !self.stopping {
            let used = match self.end.handle_input(clock.now(), self.input.bytes()) {
                Ok(used) => used,
                Err(fault) => {
                    self.fault = Some(fault);
                    self.input.bytes().len()
                }
            };
            self.input.consume(used);
            self.drain_events(handle, cx);
            let now = clock.now();
            self.running.poll_new(cx, |stream, frame, reply| {
                self.end.ack(now, stream, frame, reply.actions());
            });
            if used == 0 {
                return;
            }
        }
    }

    fn drain_events(&mut self, handle: &impl Fn(Request) -> F, _cx: &mut Context<'_>) {
        while let Some(event) = self.end.poll_event() {
            match event {
                AgentEvent::Notify { stream, frame, payload } => match Request::new(stream, frame, payload) {
                    Ok(request) => self.running.push(stream, frame, handle(request)),
                    Err(error) => {
                        self.fault = Some(Error::Haproxy(Violation::from(error)));
                        self.end.close(error.status());
                    }
                },
                AgentEvent::Hello { .. } => {}
                AgentEvent::Closed { .. } => self.running.clear(),
            }
        }
    }
}

/// The handlers that have not answered. Those that answer when first polled never wait here for another turn.
struct Running<F> {
    tasks: Vec<Task<F>>,
    /// How many of `tasks` have been polled before.
    polled: usize,
    spare: Vec<Pin<Box<Option<F>>>>,
}

struct Task<F> {
    stream: StreamId,
    frame: FrameId,
    future: Pin<Box<Option<F>>>,
}

impl<F> Default for Running<F> {
    fn default() -> Self {
        Self { tasks: Vec::new(), polled: 0, spare: Vec::new() }
    }
}

impl<F: Future<Output = Reply>> Running<F> {
    fn push(&mut self, stream: StreamId, frame: FrameId, future: F) {
        let future = match self.spare.pop() {
            Some(mut memory) => {
                memory.set(Some(future));
                memory
            }
            None => Box::pin(Some(future)),
        };
        self.tasks.push(Task { stream, frame, future });
    }

    /// Polls all that run.
    fn poll(&mut self, cx: &mut Context<'_>, answer: impl FnMut(StreamId, FrameId, Reply)) {
        self.polled = 0;
        self.poll_new(cx, answer);
    }

    /// Polls those that were pushed since the last poll.
    fn poll_new(&mut self, cx: &mut Context<'_>, mut answer: impl FnMut(StreamId, FrameId, Reply)) {
        let mut at = self.polled;
        while let Some(task) = self.tasks.get_mut(at) {
            let future = task.future.as_mut().as_pin_mut();
            match future.expect("invariant: a task that runs has its future").poll(cx) {
                Poll::Ready(reply) => {
                    let mut task = self.tasks.remove(at);
                    task.future.set(None);
                    if self.spare.len() < SPARE_MAX {
                        self.spare.push(task.future);
                    }
                    answer(task.stream, task.frame, reply);
                }
                Poll::Pending => at += 1,
            }
        }
        self.polled = at;
    }

    fn clear(&mut self) {
        self.tasks.clear();
        self.polled = 0;
    }
}

/// Reads of one connection before others get their turn.
const TURN_READS_MAX: usize = 16;
const SPARE_MAX: usize = 64;
const LINGER: Duration = Duration::from_secs(1);
