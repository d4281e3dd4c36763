//! The load: connections that ask as fast as they are answered.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use spoe::{
    EngineId, FrameId, Status, StreamId,
    connection::{HaproxyEnd, HaproxyEndConfig, HaproxyEvent},
    frame::Capabilities,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use super::histogram::Histogram;
use crate::{clock, spoa::address::Address};

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) address: Address,
    /// Questions that wait at once on a connection, at most.
    pub(super) depth: usize,
    /// How long any answer may take.
    pub(super) patience: Duration,
    /// The largest frame offered, in bytes.
    pub(super) frame_size_bytes_max: u32,
    /// The list of messages of each question.
    pub(super) payload: Vec<u8>,
}

/// What all connections share.
pub(super) struct Tally {
    pub(super) latency: RefCell<Histogram>,
    /// Questions that may still be asked.
    pub(super) left: Cell<u64>,
    /// When no more are asked.
    pub(super) until: Cell<Option<Instant>>,
    /// Connections that ended before their time, with the first reason.
    pub(super) failures: RefCell<Vec<String>>,
    /// Whether the agent took several questions at once.
    pub(super) pipelined: Cell<bool>,
}

impl Tally {
    fn may_ask(&self, now: Instant) -> bool {
        let left = self.left.get();
        let time = self.until.get().is_none_or(|until| now < until);
        if left == 0 || !time {
            return false;
        }
        self.left.set(left - 1);
        true
    }

    fn is_over(&self, now: Instant) -> bool {
        self.left.get() == 0 || self.until.get().is_some_and(|until| now >= until)
    }
}

/// One connection from its greeting to its end; a failure is counted.
pub(super) async fn connection(plan: Rc<Plan>, tally: Rc<Tally>) {
    let done = match &plan.address {
        Address::Tcp(addr) => match within(plan.patience, TcpStream::connect(addr)).await {
            Ok(stream) => match stream.set_nodelay(true) {
                Ok(()) => ask(stream, &plan, &tally).await,
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(format!("connecting: {error}")),
        },
        Address::Unix(path) => match within(plan.patience, UnixStream::connect(path)).await {
            Ok(stream) => ask(stream, &plan, &tally).await,
            Err(error) => Err(format!("connecting: {error}")),
        },
    };
    if let Err(what) = done {
        tally.failures.borrow_mut().push(what);
    }
}

async fn ask(mut io: impl AsyncRead + AsyncWrite + Unpin, plan: &Plan, tally: &Tally) -> Result<(), String> {
    let mut end = HaproxyEnd::new(config(plan), clock::instant());
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let mut asked: VecDeque<(u64, Instant)> = VecDeque::new();
    let mut number = 0;
    let mut greeted = false;
    loop {
        let now = clock::instant();
        while greeted && asked.len() < plan.depth && end.can_notify() && tally.may_ask(now) {
            let sent = end.notify(now, StreamId(number), FrameId(1), &plan.payload);
            sent.map_err(|error| format!("the question: {error}"))?;
            asked.push_back((number, now));
            number += 1;
        }
        if greeted && asked.is_empty() && tally.is_over(now) && !end.is_closing() {
            end.close(now, Status::NORMAL);
        }
        if end.poll_transmit(&mut output).is_some() {
            within(plan.patience, io.write_all(&output))
                .await
                .map_err(|error| format!("sending: {error}"))?;
            output.clear();
        }
        if end.is_closing() && greeted && asked.is_empty() {
            // The farewell is answered or not; what was measured is done.
            let _ = within(FAREWELL, io.read_buf(&mut input)).await;
            return Ok(());
        }
        let read = within(plan.patience, io.read_buf(&mut input)).await;
        if read.map_err(|error| format!("awaiting an answer: {error}"))? == 0 {
            return Err("the agent closed the connection".to_owned());
        }
        let now = clock::instant();
        let used = end.handle_input(now, &input).map_err(|error| error.to_string())?;
        input.drain(..used);
        while let Some(event) = end.poll_event() {
            match event {
                HaproxyEvent::Ready { capabilities, .. } => {
                    greeted = true;
                    tally.pipelined.set(capabilities.contains(Capabilities::PIPELINING));
                }
                HaproxyEvent::Ack { stream, .. } => {
                    let Some(at) = asked.iter().position(|(number, _)| *number == stream.0) else { continue };
                    let (_, since) = asked.remove(at).expect("invariant: just found");
                    tally.latency.borrow_mut().record(now.duration_since(since));
                }
                HaproxyEvent::FragmentAborted { .. } => return Err("the agent gave a payload up".to_owned()),
                HaproxyEvent::Closed { status } => return Err(format!("the agent disconnects: {status}")),
            }
        }
    }
}

fn config(plan: &Plan) -> HaproxyEndConfig {
    HaproxyEndConfig {
        frame_size_bytes_max: plan.frame_size_bytes_max,
        capabilities: Capabilities::PIPELINING,
        send_fragments: true,
        engine_id: EngineId::from_random(u128::from(std::process::id()) << 64 | 0x71de_9a7e),
        hello_timeout: None,
        idle_timeout: None,
        linger: FAREWELL,
        waiting_frames_max: plan.depth,
    }
}

/// What `io` gives, or that it takes too long.
async fn within<T>(patience: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(patience, io).await {
        Ok(done) => done,
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing for {} ms", patience.as_millis())))
        }
    }
}

/// How long the answer to a DISCONNECT is awaited.
const FAREWELL: Duration = Duration::from_millis(500);
